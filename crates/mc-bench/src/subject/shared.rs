//! The offset allocator with its default fit behind the thread-safe handle that frees when dropped.

use mc_offset::{Handle, Options, SharedAllocator};

use super::{Placement, Pool, Subject};

pub(super) struct Shared(SharedAllocator);

impl Shared {
    pub(super) fn new(pool: &Pool) -> Self {
        let options = Options::new(pool.capacity_bytes);
        Self(SharedAllocator::with_options(options).expect("pools are not empty"))
    }
}

impl Subject for Shared {
    type Token = Handle;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<Handle> {
        self.0.allocate(size_bytes).ok()
    }

    #[inline]
    fn free(&mut self, token: Handle) {
        drop(token);
    }

    #[inline]
    fn placement(&self, token: &Handle) -> Placement {
        Placement {
            offset_bytes: token.offset(),
            size_bytes: token.size(),
        }
    }
}
