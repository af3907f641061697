//! One thread's side of an allocator.

use super::{
    frame::Frame,
    locked::{Core, settle_free},
    magazine::Magazine,
};
use crate::allocation::Allocation;

/// A magazine on cache lines of its own.
#[repr(align(128))]
pub(super) struct Home {
    pub(super) magazine: Magazine,
    /// The magazine's flag.
    pub(super) flag: usize,
    pub(super) core: &'static Core,
}

impl Home {
    pub(super) fn new(flag: usize, core: &'static Core) -> Self {
        Self {
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

    /// Keeps a block back for the next request of its size, or frees it.
    #[inline]
    pub(super) fn free(&self, block: Allocation) {
        if self.core.sizes_repeat() && self.keep(block) {
            return;
        }
        let mut state = self.core.lock();
        if !state.allocator.park(block) {
            settle_free(state.allocator.release(block));
        }
        self.core.publish(&mut state.allocator);
        if state.closing.is_some() {
            Frame::retire(&mut state);
        }
    }

    #[inline(never)]
    fn keep(&self, block: Allocation) -> bool {
        self.magazine.put(block, &self.core.flags, self.flag)
    }
}
