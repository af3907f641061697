//! One thread's side of an allocator.

use super::{
    handle::Handle,
    home_id::HomeId,
    locked::{Core, settle_free},
    magazine::Magazine,
};

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

    /// Keeps the block of a handle back for the next request of its size, if it
    /// can.
    // Never, and by reference, as in `Core::free`: dropping a handle saves no
    // registers then, and what it frees is not copied on the way.
    #[inline(never)]
    pub(super) fn keep(&self, handle: &Handle) -> bool {
        self.magazine
            .put(handle.allocation(), &self.core.flags, self.flag)
    }
}
