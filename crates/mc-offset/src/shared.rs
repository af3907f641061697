//! The allocator for several threads: one lock, refusals without it, and
//! handles that free themselves.

use core::fmt;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{AllocError, OptionsError},
    options::Options,
    report::Report,
};

/// An [`OffsetAllocator`] that threads share and whose allocations free
/// themselves.
///
/// Clones name the same allocator. Handles keep its tables alive, so that one
/// may outlive the last clone.
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
    inner: Arc<Inner>,
}

struct Inner {
    core: Mutex<OffsetAllocator>,
    /// No hole is larger than this. Written under the lock of `core` after
    /// every change; read without it to refuse. A thread that learns of a free
    /// by any means that orders memory reads this value or a later one, which
    /// is all that a refusal needs: hence `Relaxed`.
    largest_bound: AtomicU64,
    /// Free bytes, for the text of a refusal only: hence `Relaxed`.
    free_bytes: AtomicU64,
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
        let core = OffsetAllocator::with_options(options)?;
        let inner = Inner {
            core: Mutex::new(core),
            largest_bound: AtomicU64::new(options.capacity),
            free_bytes: AtomicU64::new(options.capacity),
            capacity: options.capacity,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Finds a place for `size` bytes.
    ///
    /// A request that no hole can take is refused without the lock.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::allocate`]; in a [`NoHole`](AllocError::NoHole)
    /// that was found without the lock, `largest_hole` is an upper bound.
    #[inline]
    pub fn allocate(&self, size: u64) -> Result<Handle, AllocError> {
        self.inner.refuse_early(size)?;
        let allocation = self.inner.locked(|core| core.allocate(size))?;
        Ok(Handle {
            allocation,
            inner: Arc::clone(&self.inner),
        })
    }

    /// Finds a place for `size` bytes at a multiple of `align`, a power of
    /// two.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::allocate_aligned`].
    pub fn allocate_aligned(&self, size: u64, align: u64) -> Result<Handle, AllocError> {
        self.inner.refuse_early(size)?;
        let allocation = self
            .inner
            .locked(|core| core.allocate_aligned(size, align))?;
        Ok(Handle {
            allocation,
            inner: Arc::clone(&self.inner),
        })
    }

    /// Returns the bytes of the address range.
    pub fn capacity(&self) -> u64 {
        self.inner.capacity
    }

    /// Returns a number of bytes that no hole exceeds, without the lock.
    pub fn largest_hole_bound(&self) -> u64 {
        self.inner.largest_bound.load(Ordering::Relaxed)
    }

    /// Returns the sums of one moment.
    pub fn report(&self) -> Report {
        self.inner.lock().report()
    }

    /// Calls `inspect` with the allocator locked: for queries that
    /// [`report`](Self::report) does not answer. Other threads wait meanwhile.
    pub fn inspect<R>(&self, inspect: impl FnOnce(&OffsetAllocator) -> R) -> R {
        inspect(&self.inner.lock())
    }
}

impl fmt::Debug for SharedAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAllocator")
            .field("report", &self.report())
            .finish()
    }
}

impl Inner {
    #[inline]
    fn refuse_early(&self, size: u64) -> Result<(), AllocError> {
        let largest_hole = self.largest_bound.load(Ordering::Relaxed);
        if size <= largest_hole || size > self.capacity {
            return Ok(());
        }
        let free = self.free_bytes.load(Ordering::Relaxed);
        Err(AllocError::NoHole {
            asked: size,
            free,
            largest_hole,
        })
    }

    /// Runs an operation under the lock and publishes what it changed.
    #[inline]
    fn locked<R>(&self, operate: impl FnOnce(&mut OffsetAllocator) -> R) -> R {
        let mut core = self.lock();
        let result = operate(&mut core);
        core.holes.learn_lone_largest();
        self.largest_bound
            .store(core.holes.largest_bound(), Ordering::Relaxed);
        self.free_bytes.store(core.free_bytes(), Ordering::Relaxed);
        result
    }

    /// Takes the lock. The core panics only where it finds itself corrupted,
    /// in which case its checks go on refusing; so poison is not an error.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, OffsetAllocator> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An allocation of a [`SharedAllocator`] that is freed on drop, from any
/// thread.
#[must_use = "dropping the handle frees the allocation"]
pub struct Handle {
    allocation: Allocation,
    inner: Arc<Inner>,
}

impl Handle {
    /// Returns the offset of the first byte.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.allocation.offset()
    }

    /// Returns the bytes asked for.
    #[inline]
    pub fn size(&self) -> u64 {
        self.allocation.size()
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        let freed = self.inner.locked(|core| core.free(self.allocation));
        // The only other cause is a heap without room for one record; the
        // bytes then stay charged, which loses space but never gives it twice.
        debug_assert!(!matches!(freed, Err(crate::FreeError::NotLive { .. })));
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.allocation.fmt(f)
    }
}
