//! The offset allocator with its default fit for a store whose objects may lie in a few pieces.

use mc_offset::{Extents, OffsetAllocator, Options};

use super::{Placement, Pool, Subject};

pub(super) struct Pieces {
    allocator: OffsetAllocator,
    pieces_max: u32,
}

impl Pieces {
    pub(super) fn new(pool: &Pool, pieces_max: u32) -> Self {
        let options = Options::new(pool.capacity_bytes);
        Self {
            allocator: OffsetAllocator::with_options(options).expect("pools are not empty"),
            pieces_max,
        }
    }
}

impl Subject for Pieces {
    type Token = Extents;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<Extents> {
        self.allocator
            .allocate_extents(size_bytes, self.pieces_max, 1)
            .ok()
    }

    #[inline]
    fn free(&mut self, token: Extents) {
        self.allocator
            .free_extents(token)
            .expect("the token is live");
    }

    #[inline]
    fn placement(&self, token: &Extents) -> Placement {
        Placement {
            offset_bytes: token.pieces()[0].offset(),
            size_bytes: token.size(),
        }
    }
}
