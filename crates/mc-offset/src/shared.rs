//! The allocator for several threads.
//!
//! The core is behind one lock. In front of it each thread has a
//! [magazine](magazine) with a few freed blocks of the sizes in use, which
//! serves the next request of the same size without the lock and without
//! touching the core. A block goes to the magazine of the thread that frees
//! it; a thread that allocates what others free takes all that one of them
//! keeps at once. Magazines are looked at while requests use up whole
//! holes, as they do where sizes repeat. Nothing is ever refused because of
//! what lies in magazines: they are emptied into the core first, and the
//! refusal without the lock is taken only if all are empty, as [one
//! word](flags) shows for most of them.

mod ask;
mod capacity;
mod flags;
mod frame;
mod frame_id;
mod free;
mod handle;
mod held;
mod locked;
mod magazine;
mod place;
mod recent;
mod seat;
mod serve;
mod state;
mod thread;
mod token;

use alloc::{sync::Arc, vec::Vec};
use core::{fmt, ptr};

use self::{
    flags::{FLAG_COUNT, Snapshot},
    locked::{Core, settle_free},
    magazine::{Magazine, Magazines, Put},
    state::State,
    thread::thread_number,
};
use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{AllocError, CapacityError, FreeError, OptionsError, PlaceError, ResizeError},
    options::Options,
    sync::Ordering,
};

pub use self::handle::Handle;

/// Magazines of an allocator. Threads beyond so many share them.
#[cfg(not(loom))]
const MAGAZINE_COUNT: usize = 16;
#[cfg(loom)]
const MAGAZINE_COUNT: usize = 2;
const _: () = assert!(MAGAZINE_COUNT <= FLAG_COUNT, "every magazine has a flag");

/// Blocks that a thread takes from the core beyond the one it needs, where
/// several threads allocate sizes that repeat.
#[cfg(not(loom))]
const STOCK_LEN: usize = 16;
#[cfg(loom)]
const STOCK_LEN: usize = 1;

/// The largest hole is at least as many blocks, or none are taken beyond need.
#[cfg(not(loom))]
const STOCK_SHARE: u64 = 16 * STOCK_LEN as u64;
#[cfg(loom)]
const STOCK_SHARE: u64 = STOCK_LEN as u64;

/// An [`OffsetAllocator`] that threads share and whose allocations free
/// themselves.
///
/// Clones name the same allocator. Allocating and freeing a size that a thread
/// has used before scales with the threads: neither takes a lock or writes
/// memory that other threads write. A request is refused only if no hole fits
/// once all freed blocks are merged.
///
/// Handles refer to their allocator without counting. So the fixed part of an
/// allocator, less than 1 KiB, stays with the process: when it and its handles
/// are gone, it serves the next one that is made. An allocator takes what
/// [`metadata_bytes`](crate::Report::metadata_bytes) reports, and about 6 KiB
/// for each thread whose sizes repeat, up to 16.
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
    core: &'static Core,
    open: Arc<Open>,
}

/// An allocator that may be asked for more; closes the core with the last
/// clone.
struct Open {
    core: &'static Core,
    magazines: Arc<Magazines>,
}

impl Drop for Open {
    fn drop(&mut self) {
        frame::close(self.core);
    }
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

    /// Says at which address the range begins, from which
    /// [`Handle::address`] counts; 0 unless this is called. All clones and
    /// handles of the allocator follow.
    ///
    /// Nothing is placed by it: [`allocate_aligned`](Self::allocate_aligned)
    /// aligns offsets.
    ///
    /// # Errors
    ///
    /// [`BaseTooHigh`](OptionsError::BaseTooHigh) if the range would pass
    /// 2<sup>64</sup>.
    pub fn set_base(&self, base: u64) -> Result<(), OptionsError> {
        // Locked, so that the range does not grow meanwhile.
        let _state = self.core.lock();
        let capacity = self.capacity();
        if base.checked_add(capacity - 1).is_none() {
            return Err(OptionsError::BaseTooHigh { base, capacity });
        }
        self.core.set_base(base);
        Ok(())
    }

    /// Returns whether both name the same allocator.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.core.id == other.core.id
    }

    /// Returns whether a handle's allocation is one of this allocator.
    pub fn owns(&self, handle: &Handle) -> bool {
        handle.frame() == Some(self.core.id)
    }

    /// Makes an allocator of one whose tokens nobody else has.
    fn from_core(allocator: OffsetAllocator) -> Self {
        let (core, magazines) = frame::around(allocator);
        Self {
            core,
            open: Arc::new(Open { core, magazines }),
        }
    }

    /// Finds a place for `size` bytes.
    ///
    /// A request that nothing can serve is refused without the lock.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::allocate`]; in a [`NoHole`](AllocError::NoHole)
    /// that was found without merging what threads keep back, `largest_hole`
    /// is an upper bound.
    #[inline]
    pub fn allocate(&self, size: u64) -> Result<Handle, AllocError> {
        let place = |core: &mut OffsetAllocator| core.serve_with_lock(size);
        self.allocate_by(size, 1, place, |core| core.allocate(size))
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
        let allocate = |core: &mut OffsetAllocator| core.allocate_aligned(size, align);
        self.allocate_by(size, align, |core| allocate(core).ok(), allocate)
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
        Ok(self.handles(&allocations))
    }

    #[inline]
    fn handle(&self, allocation: Allocation) -> Handle {
        Handle::new(allocation, self.core.id)
    }

    fn handles(&self, allocations: &[Allocation]) -> Vec<Handle> {
        let allocations = allocations.iter();
        allocations
            .map(|&allocation| self.handle(allocation))
            .collect()
    }

    /// Finds a place by `place`; by `allocate`, which does the same and says why
    /// there is none, if that fails.
    // Always: a handle that a call returns is copied through memory, word by
    // word, which costs as much as finding a kept block.
    #[inline(always)]
    fn allocate_by(
        &self,
        size: u64,
        align: u64,
        place: impl FnOnce(&mut OffsetAllocator) -> Option<Allocation>,
        allocate: impl FnMut(&mut OffsetAllocator) -> Result<Allocation, AllocError>,
    ) -> Result<Handle, AllocError> {
        let core = self.core;
        let is_keeping = core.flags.is_keeping();
        if is_keeping && let Some(allocation) = self.own_magazine().take(size, align) {
            return Ok(self.handle(allocation));
        }
        self.refuse_early(size)?;
        let mut state = core.lock();
        if is_keeping
            && state.is_for_several()
            && let Some(allocation) = self.take_over(size, align)
        {
            return Ok(self.handle(allocation));
        }
        let placed = place(state.allocator());
        core.publish(state.allocator());
        let Some(allocation) = placed else {
            return self.retry(&mut state, allocate);
        };
        if is_keeping {
            self.learn(&mut state, size);
        }
        Ok(self.handle(allocation))
    }

    #[inline]
    fn own_magazine(&self) -> &Magazine {
        self.open.magazines.get(thread_number())
    }

    /// Gets a request of a size that the thread's magazine is for what another
    /// keeps.
    fn take_over(&self, size: u64, align: u64) -> Option<Allocation> {
        let own = self.own_magazine();
        if !own.is_for(size) {
            return None;
        }
        let flags = self.core.flags.snapshot();
        let mut others = self.magazines_of(flags);
        others.find_map(|other| {
            if !ptr::eq(other, own) {
                own.take_over(other, size);
            }
            own.take(size, align)
        })
    }

    /// Returns the magazines that may hold blocks.
    fn magazines_of(&self, flags: Snapshot) -> impl Iterator<Item = &Magazine> {
        flags.raised().map(|number| self.open.magazines.get(number))
    }

    /// Makes the thread's magazine one for a size that comes again; stocks one
    /// that is for the size and empty, while other threads want the lock too.
    fn learn(&self, state: &mut State, size: u64) {
        if self.own_magazine().is_for(size) {
            if state.is_for_several() {
                self.stock(state, size);
            }
        } else if state.recent.comes_again(size) {
            self.core.adopt(state, &self.open.magazines, size);
        }
    }

    /// Puts blocks into the thread's magazine that nobody has asked for yet,
    /// unless they would take much of what is left.
    #[cold]
    fn stock(&self, state: &mut State, size: u64) {
        let allocator = state.allocator();
        let charge = allocator.space().charge(size);
        if charge.saturating_mul(STOCK_SHARE) > allocator.largest_bound() {
            return;
        }
        let stock = [(); STOCK_LEN].map(|()| allocator.allocate(size).ok());
        // What is put in last is taken first: the one at the lowest offset.
        for block in stock.into_iter().rev().flatten() {
            if self.own_magazine().put(block) != Put::Kept {
                settle_free(allocator.free(block));
            }
        }
        self.core.publish(allocator);
    }

    /// Serves a request that the core could not serve with what magazines
    /// hold, or refuses it if that does not help; first asks the core why.
    #[cold]
    fn retry(
        &self,
        state: &mut State,
        mut allocate: impl FnMut(&mut OffsetAllocator) -> Result<Allocation, AllocError>,
    ) -> Result<Handle, AllocError> {
        loop {
            let allocated = allocate(state.allocator());
            self.core.publish(state.allocator());
            let error = match allocated {
                Ok(allocation) => return Ok(self.handle(allocation)),
                Err(error) => error,
            };
            if let Some(refusal) = self.refuse_all(state, error) {
                return Err(refusal);
            }
            if !error.is_exhaustion() || !self.core.reclaim(state) {
                return Err(error);
            }
        }
    }

    /// Refuses a request without emptying any magazine, if all holes and all
    /// that magazines hold could not have served it at one moment of the call.
    ///
    /// A hole that merging makes consists of kept blocks and of one hole more
    /// than there are such blocks, or less.
    fn refuse_all(&self, state: &mut State, error: AllocError) -> Option<AllocError> {
        let AllocError::NoHole { asked, .. } = error else {
            return None;
        };
        let flags = self.core.flags.snapshot();
        let (mut blocks, mut bytes, mut puts) = (0_u64, 0_u64, 0_u64);
        for magazine in self.magazines_of(flags) {
            let kept = magazine.most_kept(|size| state.charge(size))?;
            blocks += kept.blocks;
            bytes = bytes.saturating_add(kept.bytes);
            puts = puts.wrapping_add(kept.puts);
        }
        if blocks == 0 {
            return None;
        }
        let is_same = self.is_nothing_put(flags, puts);
        let allocator = state.allocator();
        let free = allocator.free_bytes().saturating_add(bytes);
        let merged = (blocks + 1).saturating_mul(allocator.largest_bound());
        let largest_hole = free.min(merged.saturating_add(bytes));
        (is_same && allocator.space().charge(asked) > largest_hole).then_some(AllocError::NoHole {
            asked,
            free,
            largest_hole,
        })
    }

    /// Refuses a request that nothing could serve at one moment of the call.
    #[inline]
    fn refuse_early(&self, size: u64) -> Result<(), AllocError> {
        let core = self.core;
        if size <= core.largest_bound.load(Ordering::Relaxed) || size > core.capacity() {
            return Ok(());
        }
        match self.bound_of_all() {
            // Under the lock it may be refused for the limit.
            _ if core.is_limited.load(Ordering::Relaxed) => Ok(()),
            Some(largest_hole) if size > largest_hole => Err(AllocError::NoHole {
                asked: size,
                free: core.free_bytes.load(Ordering::Relaxed),
                largest_hole,
            }),
            _ => Ok(()),
        }
    }

    /// Returns a bound on all holes that was true at one moment of the call,
    /// when no block was kept back; `None` if there need not have been one.
    #[inline]
    fn bound_of_all(&self) -> Option<u64> {
        let flags = self.core.flags.snapshot();
        let mut puts = 0_u64;
        for magazine in self.magazines_of(flags) {
            puts = puts.wrapping_add(magazine.puts_if_empty()?);
        }
        let bound = self.core.largest_bound.load(Ordering::Acquire);
        self.is_nothing_put(flags, puts).then_some(bound)
    }

    /// Returns whether no block came into any magazine since the flags were
    /// read, and after them from each magazine what it has been given, `puts`
    /// in sum. Flags count their changes, as magazines count blocks, so that
    /// none came and went unnoticed.
    #[inline]
    fn is_nothing_put(&self, flags: Snapshot, puts: u64) -> bool {
        let mut magazines = self.magazines_of(flags);
        let puts_now = magazines.try_fold(0_u64, |sum, magazine| {
            Some(sum.wrapping_add(magazine.puts()?))
        });
        puts_now == Some(puts) && self.core.flags.snapshot() == flags
    }

    /// Runs `allocate` under the lock until it succeeds or fails with all
    /// magazines empty.
    fn allocate_in_core<R, E: Exhaustion>(
        &self,
        mut allocate: impl FnMut(&mut OffsetAllocator) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut state = self.core.lock();
        loop {
            let allocated = allocate(state.allocator());
            self.core.publish(state.allocator());
            let is_exhausted = allocated.as_ref().is_err_and(E::is_exhaustion);
            if !is_exhausted || !self.core.reclaim(&mut state) {
                return allocated;
            }
        }
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

impl Exhaustion for CapacityError {
    fn is_exhaustion(&self) -> bool {
        matches!(self, Self::Occupied { .. } | Self::OutOfMemory)
    }
}

impl Exhaustion for ResizeError {
    fn is_exhaustion(&self) -> bool {
        matches!(
            self,
            Self::NoRoom { .. } | Self::Refused(FreeError::OutOfMemory)
        )
    }
}

impl fmt::Debug for SharedAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAllocator")
            .field("report", &self.report())
            .finish()
    }
}
