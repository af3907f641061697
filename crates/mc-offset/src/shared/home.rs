//! One thread's side of an allocator.

use alloc::sync::Arc;

use super::{
    locked::{Core, settle_free},
    magazine::Magazine,
};
use crate::{allocation::Allocation, error::AllocError, sync::Ordering};

/// A magazine on cache lines of its own, together with the reference count
/// that the thread's handles share.
#[repr(align(128))]
pub(super) struct Home {
    pub(super) magazine: Magazine,
    /// The magazine's flag.
    pub(super) flag: usize,
    pub(super) core: Arc<Core>,
}

impl Home {
    pub(super) fn new(flag: usize, core: Arc<Core>) -> Self {
        Self {
            magazine: Magazine::new(),
            flag,
            core,
        }
    }

    /// Refuses a request that is larger than any hole while no block is kept
    /// back.
    ///
    /// The flags are read before and after the bound. If they are clear and
    /// did not change, no magazine held a block all the while, and the bound
    /// was true at one moment of it: then nothing could have served the
    /// request.
    #[inline]
    pub(super) fn refuse_early(&self, core: &Core, size: u64) -> Result<(), AllocError> {
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
    pub(super) fn adopt(&self, size: u64) {
        self.core.locked(|allocator| {
            self.magazine
                .adopt(size, |block| settle_free(allocator.free(block)));
        });
    }

    /// Keeps a block back for the next request of its size, or frees it.
    #[inline]
    pub(super) fn free(&self, block: Allocation) {
        if !(self.core.sizes_repeat() && self.keep(block)) {
            self.core
                .locked(|allocator| settle_free(allocator.free(block)));
        }
    }

    #[inline(never)]
    fn keep(&self, block: Allocation) -> bool {
        self.magazine.put(block, &self.core.flags, self.flag)
    }
}
