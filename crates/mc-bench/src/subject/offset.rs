//! The offset allocator under one fit.

use mc_offset::{Allocation, Fit, OffsetAllocator, Options};

use super::{Placement, Pool, Subject};

pub(super) struct Offset(OffsetAllocator);

impl Offset {
    pub(super) fn new(pool: &Pool, fit: Fit) -> Self {
        let options = Options {
            fit,
            ..Options::new(pool.capacity_bytes)
        };
        Self(OffsetAllocator::with_options(options).expect("pools are not empty"))
    }
}

impl Subject for Offset {
    type Token = Allocation;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<Allocation> {
        self.0.allocate(size_bytes).ok()
    }

    #[inline]
    fn free(&mut self, token: Allocation) {
        self.0.free(token).expect("the token is live");
    }

    #[inline]
    fn placement(&self, token: &Allocation) -> Placement {
        Placement {
            offset_bytes: token.offset(),
            size_bytes: token.size(),
        }
    }

    fn layout(&self) -> Option<Vec<Placement>> {
        let tokens = self.0.allocations();
        Some(tokens.map(|token| self.placement(&token)).collect())
    }
}
