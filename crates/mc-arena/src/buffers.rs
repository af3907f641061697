//! Process-wide buffers: from the arena while it has room, from a mapping of their own otherwise.
//!
//! Key types: [`Buffer`], which gives itself back when dropped, and [`Buffers`], the source behind the
//! function [`allocate`]. The arena is set up by the first request, once; a set-up that failed is
//! tried again by the next request, with the environment as it then is.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering, fence},
    },
};

use crate::{
    arena::{Arena, ArenaError, ArenaStats, SliceError},
    config::{ArenaConfig, ArenaMode, ConfigError},
    error::PoolError,
    hugepage::Shortage,
    mapping::{OtherProcess, OwnedBytes, Process},
    numa::{NodeSegment, NumaPolicy},
    options::PoolOptions,
    pages::{PagePolicy, PageSize},
    pool::{Pool, Verification},
    publish::PublishOnce,
};

/// This many fallbacks are logged; the counter tells of the others.
const FALLBACKS_WARNED: u64 = 3;

static PROCESS: LazyLock<Buffers> = LazyLock::new(|| Buffers::new(ArenaConfig::from_env));

/// Returns `size` zeroed bytes aligned to `align`, from the buffers of the process.
///
/// They are configured by the environment; see [`crate::config`].
///
/// # Errors
///
/// See [`BufferError`].
pub fn allocate(size: usize, align: usize) -> Result<Buffer<'static>, BufferError> {
    PROCESS.allocate(size, align)
}

/// Returns `size` zeroed bytes aligned to `align`, one contiguous part on each of `nodes`.
///
/// See [`Buffers::allocate_over_nodes`].
///
/// # Errors
///
/// See [`BufferError`].
pub fn allocate_over_nodes(
    size: usize,
    align: usize,
    nodes: &[u32],
) -> Result<Buffer<'static>, BufferError> {
    PROCESS.allocate_over_nodes(size, align, nodes)
}

/// Returns the counters of the buffers of the process.
#[must_use]
pub fn stats() -> BufferStats {
    PROCESS.stats()
}

/// Says whether an address lies in the arena of the process.
#[must_use]
pub fn is_arena_address(address: *const u8) -> bool {
    PROCESS.owns(address)
}

/// A source of buffers: an arena if configured, and direct mappings.
#[derive(Debug)]
pub struct Buffers {
    configure: fn() -> Result<ArenaConfig, ConfigError>,
    /// How many threads set the source up or wait to, in the low bits, and the number of their process
    /// above. A child finds it another's if threads of its parent were at it, one of which may have the
    /// lock: the child would wait for that one for ever. So a child must not see the lock taken and no
    /// thread here, which the fence behind the increment and the `Release` of the decrement see to.
    makers: AtomicU64,
    set_up: PublishOnce<SetUp>,
    counts: Counts,
}

#[derive(Debug)]
struct SetUp {
    config: ArenaConfig,
    arena: Option<Arena>,
}

/// Every count is a statistic that orders nothing, hence Relaxed throughout.
#[derive(Debug, Default)]
struct Counts {
    /// Added to by every request that found the arena full.
    arena_fallbacks: AtomicU64,
    /// Added to by every direct mapping made.
    direct_buffers: AtomicU64,
    /// Added to by every drop of a buffer from the arena.
    arena_drops: AtomicU64,
}

/// A thread that sets a source up, or waits to: from before it asks for the lock until it has let go.
struct Making<'a>(&'a AtomicU64);

/// Bits that count threads: no process has more of them.
const MAKER_BITS: u32 = 22;

impl<'a> Making<'a> {
    fn begin(makers: &'a AtomicU64, process: Process) -> Result<Self, BufferError> {
        let own = process.number() << MAKER_BITS;
        let one_more = |word: u64| match word % (1 << MAKER_BITS) {
            0 => Some(own + 1),
            makers => (word - makers == own).then_some(word + 1),
        };
        let begun = makers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        begun.map_err(|_| BufferError::ParentWasSettingUp)?;
        fence(Ordering::SeqCst);
        Ok(Self(makers))
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// What a source of buffers has done.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferStats {
    /// The arena, if there is one.
    pub arena: Option<ArenaStats>,
    /// Requests that found the arena full and got a direct mapping.
    pub arena_fallbacks: u64,
    /// Direct mappings made.
    pub direct_buffers: u64,
    /// Buffers from the arena that were dropped; their memory stays with the arena.
    pub arena_drops: u64,
}

/// Why a buffer could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// A variable of the environment holds something that is not accepted.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configured arena has no pool. The next request tries again.
    #[error(
        "the configured arena could not be set up; fix the cause, or switch it off with MC_DISABLE_MMAP_ARENA=1"
    )]
    ArenaPool(#[source] PoolError),
    /// The pool cannot serve as an arena. The next request tries again.
    #[error("the configured arena could not be set up")]
    Arena(#[source] ArenaError),
    /// A size or an alignment that no buffer has, or an arena that belongs to the parent of this
    /// process.
    #[error(transparent)]
    Request(SliceError),
    /// The process was forked while a thread of its parent set the source up.
    #[error(
        "this process was forked while its parent set up the buffers; start children by exec, or before threads"
    )]
    ParentWasSettingUp,
    /// Neither the arena nor a mapping of its own could hold the buffer.
    #[error("direct mapping for a buffer of {asked_bytes} bytes failed")]
    Direct {
        /// Bytes asked for.
        asked_bytes: usize,
        /// Why the mapping failed.
        source: PoolError,
    },
}

/// An exclusive, zeroed range of bytes.
///
/// Dropping it unmaps a mapping of its own at once. What came from the arena stays there: the drop
/// only counts. In a child that was forked since, the bytes are not there: looking at them panics, and
/// the drop does nothing.
#[derive(Debug)]
pub struct Buffer<'a> {
    bytes: Bytes<'a>,
    segments: Vec<NodeSegment>,
    process: Process,
    counts: &'a Counts,
}

#[derive(Debug)]
enum Bytes<'a> {
    Arena(&'a mut [u8]),
    /// A mapping of its own, at least `size` bytes long.
    Direct {
        mapping: OwnedBytes,
        size: usize,
    },
}

impl Buffers {
    /// Returns a source that asks `configure` at its first request, and again after a failure.
    #[must_use]
    pub fn new(configure: fn() -> Result<ArenaConfig, ConfigError>) -> Self {
        Self {
            configure,
            makers: AtomicU64::new(0),
            set_up: PublishOnce::new(),
            counts: Counts::default(),
        }
    }

    /// Returns `size` zeroed bytes aligned to `align`: from the arena while it has room, from a mapping
    /// of its own when there is no arena or it is full.
    ///
    /// # Errors
    ///
    /// See [`BufferError`]. Pages that the configuration requires are never replaced by others. In a
    /// child, an arena that its parent has set up is an error; without one, buffers have mappings of
    /// their own there as here.
    pub fn allocate(&self, size: usize, align: usize) -> Result<Buffer<'_>, BufferError> {
        check(size, align)?;
        let set_up = self.set_up()?;
        if let Some(arena) = &set_up.arena {
            match arena.allocate_aligned(size, align) {
                Ok(bytes) => {
                    return Ok(Buffer {
                        bytes: Bytes::Arena(bytes),
                        segments: Vec::new(),
                        process: arena.process(),
                        counts: &self.counts,
                    });
                }
                Err(refusal @ SliceError::Full { .. }) => self.note_fallback(&refusal),
                Err(refusal) => return Err(BufferError::Request(refusal)),
            }
        }
        self.map_direct(&set_up.config, size, align, NumaPolicy::System)
    }

    /// Returns `size` zeroed bytes aligned to `align` in a mapping of its own, one contiguous part on each
    /// of `nodes`, in their order.
    ///
    /// No byte is lost where the size does not divide: pages that are left over go to the first nodes,
    /// one each. Each part is populated by threads on its node.
    ///
    /// # Errors
    ///
    /// See [`BufferError`]; nodes that do not exist or have no memory are a [`BufferError::Direct`].
    pub fn allocate_over_nodes(
        &self,
        size: usize,
        align: usize,
        nodes: &[u32],
    ) -> Result<Buffer<'_>, BufferError> {
        check(size, align)?;
        let numa = NumaPolicy::Segmented(nodes.to_vec());
        self.map_direct(&self.set_up()?.config, size, align, numa)
    }

    /// Says whether an address lies in the arena.
    #[must_use]
    pub fn owns(&self, address: *const u8) -> bool {
        self.arena().is_some_and(|arena| arena.owns(address))
    }

    /// Returns what has been done so far.
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        BufferStats {
            arena: self.arena().map(Arena::stats),
            arena_fallbacks: self.counts.arena_fallbacks.load(Ordering::Relaxed),
            direct_buffers: self.counts.direct_buffers.load(Ordering::Relaxed),
            arena_drops: self.counts.arena_drops.load(Ordering::Relaxed),
        }
    }

    fn arena(&self) -> Option<&Arena> {
        self.set_up.get()?.arena.as_ref()
    }

    fn set_up(&self) -> Result<&SetUp, BufferError> {
        if let Some(set_up) = self.set_up.get() {
            return Ok(set_up);
        }
        let process = Process::current()
            .map_err(|source| BufferError::ArenaPool(PoolError::Process { source }))?;
        let _making = Making::begin(&self.makers, process)?;
        self.set_up.get_or_try_make(|| self.make())
    }

    fn make(&self) -> Result<SetUp, BufferError> {
        let config = (self.configure)()?;
        if config.arena == ArenaMode::Disabled {
            tracing::info!(
                "the memory arena is configured but switched off; buffers are mapped one by one"
            );
        }
        let arena = match config.pool_options() {
            None => None,
            Some(options) => {
                let pool = options.map().map_err(BufferError::ArenaPool)?;
                Some(Arena::new(pool).map_err(BufferError::Arena)?)
            }
        };
        Ok(SetUp { config, arena })
    }

    fn map_direct(
        &self,
        config: &ArenaConfig,
        size: usize,
        align: usize,
        numa: NumaPolicy,
    ) -> Result<Buffer<'_>, BufferError> {
        let options = config.direct_options(size as u64).align(align).numa(numa);
        let map = |options: PoolOptions| Pool::map_tiers(&options, Verification::Skipped);
        let mapped = map(options.clone()).or_else(|error| match (error, config.direct_pages) {
            // Huge pages are demanded, and a buffer is seldom as long as one: it gets the smallest.
            (
                PoolError::Hugepages(Shortage::NoneSuits { offered_bytes, .. }),
                PagePolicy::Required(PageSize::Auto),
            ) => {
                let smallest = PageSize::Bytes(offered_bytes[0]);
                map(options.pages(PagePolicy::Required(smallest)))
            }
            (error, _) => Err(error),
        });
        let pool = mapped.map_err(|source| BufferError::Direct {
            asked_bytes: size,
            source,
        })?;
        self.counts.direct_buffers.fetch_add(1, Ordering::Relaxed);
        Ok(Buffer {
            process: *pool.process(),
            segments: pool.segments().to_vec(),
            bytes: Bytes::Direct {
                mapping: pool.into_bytes(),
                size,
            },
            counts: &self.counts,
        })
    }

    fn note_fallback(&self, refusal: &SliceError) {
        let earlier = self.counts.arena_fallbacks.fetch_add(1, Ordering::Relaxed);
        if earlier < FALLBACKS_WARNED {
            tracing::warn!(%refusal, "the memory arena is full; mapping the buffer by itself");
        }
    }
}

/// Refuses what no buffer is.
fn check(size: usize, align: usize) -> Result<(), BufferError> {
    if size == 0 {
        return Err(BufferError::Request(SliceError::ZeroSize));
    }
    if !align.is_power_of_two() {
        return Err(BufferError::Request(SliceError::InvalidAlign { align }));
    }
    Ok(())
}

impl Buffer<'_> {
    /// Returns the part on each node; empty unless the buffer was asked for over nodes.
    #[must_use]
    pub fn segments(&self) -> &[NodeSegment] {
        &self.segments
    }

    /// Refuses in a child that was forked since.
    ///
    /// # Errors
    ///
    /// [`OtherProcess`] if the bytes belong to the process that this one was forked from.
    pub fn check(&self) -> Result<(), OtherProcess> {
        self.process.check()
    }

    /// Says whether the bytes come from the arena.
    #[must_use]
    pub fn is_from_arena(&self) -> bool {
        matches!(self.bytes, Bytes::Arena(_))
    }
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.process.assert_current();
        match &self.bytes {
            Bytes::Arena(bytes) => bytes,
            Bytes::Direct { mapping, size } => &mapping.as_slice()[..*size],
        }
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.process.assert_current();
        match &mut self.bytes {
            Bytes::Arena(bytes) => bytes,
            Bytes::Direct { mapping, size } => &mut mapping.as_mut_slice()[..*size],
        }
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        if self.is_from_arena() && self.process.is_current() {
            self.counts.arena_drops.fetch_add(1, Ordering::Relaxed);
        }
    }
}
