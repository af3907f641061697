//! The allocator for several threads.
//!
//! The core is behind one lock. In front of it each thread has a
//! [magazine](magazine) with a few freed blocks of the sizes in use, which
//! serves the next request of the same size without the lock and without
//! touching the core. Nothing is ever refused because of what lies in
//! magazines: they are emptied into the core first, and the refusal without
//! the lock is taken only while [one word](flags) shows that all are empty.

mod flags;
mod handle;
mod magazine;
mod place;
mod thread;
mod token;

use alloc::{sync::Arc, vec::Vec};
use core::fmt;
use std::sync::PoisonError;

use self::{
    flags::{FLAG_COUNT, Flags},
    magazine::Magazine,
    thread::thread_number,
};
use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{AllocError, FreeError, OptionsError, PlaceError},
    options::Options,
    report::Report,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
};

pub use self::handle::Handle;

/// Magazines of an allocator. Threads beyond so many share them.
#[cfg(not(loom))]
const HOME_COUNT: usize = 16;
#[cfg(loom)]
const HOME_COUNT: usize = 2;
const _: () = assert!(HOME_COUNT <= FLAG_COUNT, "every magazine has a flag");

/// An [`OffsetAllocator`] that threads share and whose allocations free
/// themselves.
///
/// Clones name the same allocator. Allocating and freeing a size that a thread
/// has used before scales with the threads: neither takes a lock or writes
/// memory that other threads write. A request is refused only if no hole fits
/// once all freed blocks are merged.
///
/// # Examples
///
/// ```
/// use mc_offset::SharedAllocator;
///
/// let allocator = SharedAllocator::new(1 << 20)?;
/// let handle = allocator.allocate(4096)?;
/// std::thread::spawn(move || drop(handle)).join().unwrap();
/// assert_eq!(allocator.report().free_bytes, 1 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SharedAllocator {
    homes: Arc<[Arc<Home>]>,
}

/// One thread's side of an allocator, on cache lines of its own together with
/// the reference count that the thread's handles share.
#[repr(align(128))]
struct Home {
    magazine: Magazine,
    /// The magazine's flag.
    flag: usize,
    core: Arc<Core>,
}

/// What all threads share.
struct Core {
    allocator: Mutex<OffsetAllocator>,
    /// No hole is larger than this. Stored under the lock of `allocator` after
    /// every change, with `Release`; read by refusals with `Acquire`, so that
    /// what they read next is not older.
    largest_bound: AtomicU64,
    /// Free bytes, for the text of a refusal only: hence `Relaxed`.
    free_bytes: AtomicU64,
    flags: Flags,
    capacity: u64,
}

impl SharedAllocator {
    /// Makes an allocator for `capacity` bytes with the default options.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::new`].
    pub fn new(capacity: u64) -> Result<Self, OptionsError> {
        Self::with_options(Options::new(capacity))
    }

    /// Makes an allocator; all of its capacity is one hole.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::with_options`].
    pub fn with_options(options: Options) -> Result<Self, OptionsError> {
        OffsetAllocator::with_options(options).map(Self::from_core)
    }

    /// Makes an allocator of one whose tokens nobody else has.
    fn from_core(allocator: OffsetAllocator) -> Self {
        let core = Arc::new(Core {
            largest_bound: AtomicU64::new(allocator.largest_hole()),
            free_bytes: AtomicU64::new(allocator.free_bytes()),
            flags: Flags::new(),
            capacity: allocator.capacity(),
            allocator: Mutex::new(allocator),
        });
        let home = |flag| {
            let magazine = Magazine::new();
            Arc::new(Home {
                magazine,
                flag,
                core: Arc::clone(&core),
            })
        };
        let homes: Vec<Arc<Home>> = (0..HOME_COUNT).map(home).collect();
        Self {
            homes: homes.into(),
        }
    }

    /// Finds a place for `size` bytes.
    ///
    /// A request that nothing can serve is refused without the lock.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::allocate`]; in a [`NoHole`](AllocError::NoHole)
    /// that was found without the lock, `largest_hole` is an upper bound.
    #[inline]
    pub fn allocate(&self, size: u64) -> Result<Handle, AllocError> {
        self.allocate_by(size, 1, |core| core.allocate(size))
    }

    /// Finds a place for `size` bytes at a multiple of `align`, a power of
    /// two.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::allocate_aligned`].
    pub fn allocate_aligned(&self, size: u64, align: u64) -> Result<Handle, AllocError> {
        if !align.is_power_of_two() {
            return Err(AllocError::AlignNotPowerOfTwo { align });
        }
        self.allocate_by(size, align, |core| core.allocate_aligned(size, align))
    }

    /// Finds places for all `sizes` at the cost of one lock.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::allocate`] for the first size that cannot be
    /// had; nothing is allocated then.
    pub fn allocate_batch(&self, sizes: &[u64]) -> Result<Vec<Handle>, AllocError> {
        let allocations = self.allocate_in_core(|core| {
            let mut allocations = Vec::with_capacity(sizes.len());
            for &size in sizes {
                match core.allocate(size) {
                    Ok(allocation) => allocations.push(allocation),
                    Err(error) => {
                        for allocation in allocations {
                            settle_free(core.free(allocation));
                        }
                        return Err(error);
                    }
                }
            }
            Ok(allocations)
        })?;
        let home = self.home();
        Ok(allocations
            .into_iter()
            .map(|allocation| Handle::new(allocation, home))
            .collect())
    }

    /// Frees all `handles` at the cost of one lock; those of other allocators
    /// are dropped one by one.
    pub fn free_batch(&self, handles: impl IntoIterator<Item = Handle>) {
        let core = self.core();
        // Dropped with the lock released: they may take it, or another's.
        let mut others = Vec::new();
        core.locked(|allocator| {
            for mut handle in handles {
                if handle
                    .home()
                    .is_some_and(|home| Arc::ptr_eq(&home.core, core))
                {
                    settle_free(allocator.free(handle.allocation()));
                    handle.take_home();
                } else {
                    others.push(handle);
                }
            }
        });
    }

    /// Returns the bytes of the address range.
    pub fn capacity(&self) -> u64 {
        self.core().capacity
    }

    /// Returns a number of bytes that no request can exceed and succeed.
    ///
    /// Takes no lock while no thread keeps freed blocks back; otherwise it
    /// merges those first.
    pub fn largest_hole_bound(&self) -> u64 {
        let core = self.core();
        let before = core.flags.snapshot();
        let bound = core.largest_bound.load(Ordering::Acquire);
        if before.is_clear() && core.flags.snapshot() == before {
            return bound;
        }
        self.inspect(OffsetAllocator::largest_hole)
    }

    /// Returns the bytes of the largest hole as the last thread to change the
    /// holes left it, or somewhat more; freed blocks that threads keep back are
    /// not in it. Reads one number: for choosing among allocators.
    #[inline]
    pub fn recent_largest_hole(&self) -> u64 {
        self.core().largest_bound.load(Ordering::Relaxed)
    }

    /// Returns the free bytes as the last thread to change the holes left
    /// them; freed blocks that threads keep back are not in it. Reads one
    /// number.
    #[inline]
    pub fn recent_free_bytes(&self) -> u64 {
        self.core().free_bytes.load(Ordering::Relaxed)
    }

    /// Returns the sums of one moment, all freed blocks merged.
    pub fn report(&self) -> Report {
        self.inspect(OffsetAllocator::report)
    }

    /// Calls `inspect` with the allocator locked and all freed blocks merged:
    /// for queries that [`report`](Self::report) does not answer. Other
    /// threads wait meanwhile.
    pub fn inspect<R>(&self, inspect: impl FnOnce(&OffsetAllocator) -> R) -> R {
        let mut allocator = self.core().lock();
        while self.reclaim(&mut allocator) {}
        inspect(&allocator)
    }

    #[inline]
    fn home(&self) -> &Arc<Home> {
        &self.homes[thread_number() % HOME_COUNT]
    }

    fn core(&self) -> &Arc<Core> {
        &self.homes[0].core
    }

    // Always: a handle that is returned by a call is copied through memory, word by word, which costs
    // as much as finding a kept block.
    #[inline(always)]
    fn allocate_by(
        &self,
        size: u64,
        align: u64,
        allocate: impl FnMut(&mut OffsetAllocator) -> Result<Allocation, AllocError>,
    ) -> Result<Handle, AllocError> {
        let home = self.home();
        if let Some(allocation) = home.magazine.take(size, align) {
            return Ok(Handle::new(allocation, home));
        }
        home.refuse_early(size)?;
        let allocation = self.allocate_in_core(allocate)?;
        if home.magazine.miss(size) {
            home.adopt(size);
        }
        Ok(Handle::new(allocation, home))
    }

    /// Runs `allocate` under the lock until it succeeds or fails with all
    /// magazines empty.
    fn allocate_in_core<R, E: Exhaustion>(
        &self,
        mut allocate: impl FnMut(&mut OffsetAllocator) -> Result<R, E>,
    ) -> Result<R, E> {
        let core = self.core();
        let mut allocator = core.lock();
        loop {
            let allocated = allocate(&mut allocator);
            let is_exhausted = allocated.as_ref().is_err_and(E::is_exhaustion);
            if !(is_exhausted && self.reclaim(&mut allocator)) {
                core.publish(&mut allocator);
                return allocated;
            }
        }
    }

    /// Empties the magazines that may hold blocks into the locked allocator;
    /// returns whether there were any such.
    ///
    /// `false` means that at that moment no block was kept back: the lock
    /// keeps the allocator as it was when it failed, and the flags were clear.
    #[cold]
    fn reclaim(&self, allocator: &mut OffsetAllocator) -> bool {
        let core = self.core();
        let raised = core.flags.snapshot();
        for home in raised.raised().map(|magazine| &self.homes[magazine]) {
            let drain = home.magazine.drain();
            for block in drain.blocks() {
                settle_free(allocator.free(block));
            }
            // The bound covers the blocks before the flag says they are gone.
            core.publish(allocator);
            drain.finish(&core.flags, home.flag);
        }
        !raised.is_clear()
    }
}

/// What a refusal says about the blocks that threads keep back.
trait Exhaustion {
    /// Returns whether freed blocks in the core would have helped.
    fn is_exhaustion(&self) -> bool;
}

impl Exhaustion for AllocError {
    #[inline]
    fn is_exhaustion(&self) -> bool {
        matches!(
            self,
            Self::NoHole { .. } | Self::LimitReached { .. } | Self::OutOfMemory
        )
    }
}

impl Exhaustion for PlaceError {
    fn is_exhaustion(&self) -> bool {
        match self {
            Self::Occupied { .. } => true,
            Self::Refused(error) => error.is_exhaustion(),
            Self::OffGranule { .. } | Self::OutOfRange { .. } => false,
        }
    }
}

impl Home {
    /// Refuses a request that is larger than any hole while no block is kept
    /// back.
    ///
    /// The flags are read before and after the bound. If they are clear and
    /// did not change, no magazine held a block all the while, and the bound
    /// was true at one moment of it: then nothing could have served the
    /// request.
    #[inline]
    fn refuse_early(&self, size: u64) -> Result<(), AllocError> {
        let core = &self.core;
        if size <= core.largest_bound.load(Ordering::Relaxed) || size > core.capacity {
            return Ok(());
        }
        let mut before = core.flags.snapshot();
        if before.is_only(self.flag) {
            self.magazine.settle(&core.flags, self.flag);
            before = core.flags.snapshot();
        }
        let largest_hole = core.largest_bound.load(Ordering::Acquire);
        let is_certain = before.is_clear() && core.flags.snapshot() == before;
        if size <= largest_hole || !is_certain {
            return Ok(());
        }
        let free = core.free_bytes.load(Ordering::Relaxed);
        Err(AllocError::NoHole {
            asked: size,
            free,
            largest_hole,
        })
    }

    /// Makes the magazine keep blocks of a size; what it kept in their place
    /// is freed while the lock and the magazine are both held, so that it is
    /// findable at any time.
    #[cold]
    fn adopt(&self, size: u64) {
        self.core.locked(|allocator| {
            self.magazine
                .adopt(size, |block| settle_free(allocator.free(block)));
        });
    }

    /// Keeps a block back for the next request of its size, or frees it.
    #[inline]
    fn free(&self, block: Allocation) {
        if !self.magazine.put(block, &self.core.flags, self.flag) {
            self.core
                .locked(|allocator| settle_free(allocator.free(block)));
        }
    }
}

impl Core {
    /// Runs an operation under the lock and publishes what it changed.
    #[inline]
    fn locked<R>(&self, operate: impl FnOnce(&mut OffsetAllocator) -> R) -> R {
        let mut allocator = self.lock();
        let result = operate(&mut allocator);
        self.publish(&mut allocator);
        result
    }

    /// Takes the lock. The allocator panics only where it finds itself
    /// corrupted, and its checks go on refusing then; so poison is no error.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, OffsetAllocator> {
        self.allocator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells refusals what the locked allocator has.
    #[inline]
    fn publish(&self, allocator: &mut OffsetAllocator) {
        allocator.holes.learn_lone_largest();
        self.largest_bound
            .store(allocator.holes.largest_bound(), Ordering::Release);
        self.free_bytes
            .store(allocator.free_bytes(), Ordering::Relaxed);
    }
}

/// Takes note of the outcome of freeing a block that a handle owned.
///
/// The one possible error is a heap without room for a hole's record: the
/// bytes then stay charged, which loses space but never gives it twice.
#[inline]
fn settle_free(freed: Result<(), FreeError>) {
    debug_assert!(
        !matches!(freed, Err(FreeError::NotLive { .. })),
        "a handle was freed twice"
    );
}

impl fmt::Debug for SharedAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAllocator")
            .field("report", &self.report())
            .finish()
    }
}
