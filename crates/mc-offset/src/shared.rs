//! The allocator for several threads.
//!
//! The core is behind one lock. In front of it each thread has a
//! [magazine](magazine) with a few freed blocks of the sizes in use, which
//! serves the next request of the same size without the lock and without
//! touching the core. Magazines are looked at while requests use up whole
//! holes, as they do where sizes repeat. Nothing is ever refused because of
//! what lies in magazines: they are emptied into the core first, and the
//! refusal without the lock is taken only if [one word](flags) and the counts
//! of the magazines that it names show that all are empty.

mod flags;
mod frame;
mod handle;
mod home;
mod home_id;
mod locked;
mod magazine;
mod place;
mod serve;
mod thread;
mod token;

use alloc::{sync::Arc, vec::Vec};
use core::{fmt, ptr};

use self::{
    flags::{FLAG_COUNT, Snapshot},
    frame::Frame,
    home::Home,
    locked::{Core, Exhaustion, settle_free},
    thread::thread_number,
};
use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{AllocError, OptionsError},
    options::Options,
    report::Report,
    sync::Ordering,
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
/// Handles refer to their allocator without counting. So the fixed parts of an
/// allocator, about 130 KiB, stay with the process: when it and its handles
/// are gone, they serve the next one that is made.
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
    homes: &'static [Home; HOME_COUNT],
    /// Closes the frame of the two with the last clone.
    _open: Arc<Open>,
}

/// An allocator that may be asked for more.
struct Open(Frame);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
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
    /// [`Handle::address`] counts; 0 unless this is called. Clones and handles
    /// that there are follow.
    ///
    /// Nothing is placed by it: [`allocate_aligned`](Self::allocate_aligned)
    /// aligns offsets.
    ///
    /// # Errors
    ///
    /// [`BaseTooHigh`](OptionsError::BaseTooHigh) if the range would pass
    /// 2<sup>64</sup>.
    pub fn with_base(self, base: u64) -> Result<Self, OptionsError> {
        let capacity = self.capacity();
        if base.checked_add(capacity - 1).is_none() {
            return Err(OptionsError::BaseTooHigh { base, capacity });
        }
        self.core.set_base(base);
        Ok(self)
    }

    /// Makes an allocator of one whose tokens nobody else has.
    fn from_core(allocator: OffsetAllocator) -> Self {
        let frame = Frame::around(allocator);
        Self {
            core: frame.core,
            homes: frame.homes,
            _open: Arc::new(Open(frame)),
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
        self.allocate_by(size, 1, |core| core.serve_with_lock(size))
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
            .map(|allocation| Handle::new(allocation, home.id))
            .collect())
    }

    /// Frees all `handles` at the cost of one lock; those of other allocators
    /// are dropped one by one.
    pub fn free_batch(&self, handles: impl IntoIterator<Item = Handle>) {
        let core = self.core;
        // Dropped with the lock released: they may take it, or another's.
        let mut others = Vec::new();
        core.locked(|allocator| {
            for mut handle in handles {
                if handle.core().is_some_and(|other| ptr::eq(other, core)) {
                    settle_free(allocator.free(handle.allocation()));
                    handle.defuse();
                } else {
                    others.push(handle);
                }
            }
        });
    }

    /// Returns the bytes of the address range.
    pub fn capacity(&self) -> u64 {
        self.core.capacity()
    }

    /// Returns the address at which the range begins.
    pub fn base(&self) -> u64 {
        self.core.base()
    }

    /// Returns a number of bytes that no request can exceed and succeed.
    ///
    /// Takes no lock while no thread keeps freed blocks back; otherwise it
    /// merges those first.
    pub fn largest_hole_bound(&self) -> u64 {
        match self.bound_of_all() {
            Some(bound) => bound,
            None => self.inspect(OffsetAllocator::largest_hole),
        }
    }

    /// Returns the bytes of the largest hole as the last thread to change the
    /// holes left it, or somewhat more; freed blocks that threads keep back are
    /// not in it. Reads one number: for choosing among allocators.
    #[inline]
    pub fn recent_largest_hole(&self) -> u64 {
        self.core.largest_bound.load(Ordering::Relaxed)
    }

    /// Returns the free bytes as the last thread to change the holes left
    /// them; freed blocks that threads keep back are not in it. Reads one
    /// number.
    #[inline]
    pub fn recent_free_bytes(&self) -> u64 {
        self.core.free_bytes.load(Ordering::Relaxed)
    }

    /// Returns the sums of one moment, all freed blocks merged.
    pub fn report(&self) -> Report {
        self.inspect(OffsetAllocator::report)
    }

    /// Calls `inspect` with the allocator locked and all freed blocks merged:
    /// for queries that [`report`](Self::report) does not answer. Other
    /// threads wait meanwhile.
    pub fn inspect<R>(&self, inspect: impl FnOnce(&OffsetAllocator) -> R) -> R {
        let mut state = self.core.lock();
        while self.reclaim(&mut state.allocator) {}
        inspect(&state.allocator)
    }

    #[inline]
    fn home(&self) -> &'static Home {
        &self.homes[thread_number() % HOME_COUNT]
    }

    // Always: a handle that a call returns is copied through memory, word by
    // word, which costs as much as finding a kept block.
    #[inline(always)]
    fn allocate_by(
        &self,
        size: u64,
        align: u64,
        allocate: impl FnMut(&mut OffsetAllocator) -> Result<Allocation, AllocError>,
    ) -> Result<Handle, AllocError> {
        let uses_magazine = self.core.sizes_repeat();
        // While sizes do not repeat, no magazine is looked at, and any will do.
        let home = if uses_magazine {
            self.home()
        } else {
            &self.homes[0]
        };
        if uses_magazine && let Some(allocation) = home.magazine.take(size, align) {
            return Ok(Handle::new(allocation, home.id));
        }
        self.refuse_early(size)?;
        let allocation = self.allocate_in_core(allocate)?;
        if uses_magazine && home.magazine.miss(size) {
            home.adopt(size);
        }
        Ok(Handle::new(allocation, home.id))
    }

    /// Refuses a request that nothing could serve at one moment of the call.
    #[inline]
    fn refuse_early(&self, size: u64) -> Result<(), AllocError> {
        let core = self.core;
        if size <= core.largest_bound.load(Ordering::Relaxed) || size > core.capacity() {
            return Ok(());
        }
        match self.bound_of_all() {
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
    ///
    /// The magazines are looked at before and after the bound is read.
    #[inline]
    fn bound_of_all(&self) -> Option<u64> {
        let before = self.when_none_is_kept()?;
        let bound = self.core.largest_bound.load(Ordering::Acquire);
        (self.when_none_is_kept()? == before).then_some(bound)
    }

    /// Returns the flags and the number of blocks that the raised magazines
    /// ever got, if none has any; two equal answers mean that no magazine had
    /// one in between.
    #[inline]
    fn when_none_is_kept(&self) -> Option<(Snapshot, u64)> {
        let flags = self.core.flags.snapshot();
        let mut puts = 0_u64;
        for magazine in flags.raised() {
            puts = puts.wrapping_add(self.homes[magazine].magazine.puts_if_empty()?);
        }
        Some((flags, puts))
    }

    /// Runs `allocate` under the lock until it succeeds or fails with all
    /// magazines empty.
    // Always: as `allocate_by`.
    #[inline(always)]
    fn allocate_in_core<R, E: Exhaustion>(
        &self,
        mut allocate: impl FnMut(&mut OffsetAllocator) -> Result<R, E>,
    ) -> Result<R, E> {
        self.core.locked(|allocator| {
            loop {
                let allocated = allocate(allocator);
                let is_exhausted = allocated.as_ref().is_err_and(E::is_exhaustion);
                if !is_exhausted || !self.reclaim(allocator) {
                    return allocated;
                }
            }
        })
    }

    /// Empties the magazines that may hold blocks into the locked allocator;
    /// returns whether there were any such.
    ///
    /// `false` means that at that moment no block was kept back: the lock
    /// keeps the allocator as it was when it failed, and the flags were clear.
    #[cold]
    fn reclaim(&self, allocator: &mut OffsetAllocator) -> bool {
        let core = self.core;
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

impl fmt::Debug for SharedAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAllocator")
            .field("report", &self.report())
            .finish()
    }
}
