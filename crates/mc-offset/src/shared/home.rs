//! One thread's side of an allocator.

use super::{
    home_id::HomeId,
    locked::{Core, settle_free},
    magazine::Magazine,
};
use crate::allocation::Allocation;

/// A magazine on cache lines of its own.
#[repr(align(128))]
pub(super) struct Home {
    pub(super) id: HomeId,
    pub(super) magazine: Magazine,
    /// The magazine's flag.
    pub(super) flag: usize,
    pub(super) core: &'static Core,
}

impl Home {
    pub(super) fn new(id: HomeId, flag: usize, core: &'static Core) -> Self {
        Self {
            id,
            magazine: Magazine::new(),
            flag,
            core,
        }
    }

    /// Makes the magazine keep blocks of a size; what it kept in their place
    /// is freed while the lock and the magazine are both held, so that it is
    /// findable at any time.
    #[cold]
    pub(super) fn adopt(&self, size: u64) {
        let mut state = self.core.lock();
        let allocator = &mut state.allocator;
        self.magazine.adopt(size, |blocks| {
            for block in blocks {
                settle_free(allocator.free(block));
            }
            // The bound covers the blocks before the magazine says they are gone.
            self.core.publish(allocator);
        });
    }

    /// Keeps a block back for the next request of its size, if it can.
    #[inline(never)]
    pub(super) fn keep(&self, block: Allocation) -> bool {
        self.magazine.put(block, &self.core.flags, self.flag)
    }
}
