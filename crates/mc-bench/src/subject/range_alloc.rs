//! The crate `range-alloc`: best fit over a sorted vector of holes.

use std::ops::Range;

use ::range_alloc::RangeAllocator;

use super::{Placement, Pool, Subject};

pub(super) struct Ranges(RangeAllocator<u64>);

impl Ranges {
    pub(super) fn new(pool: &Pool) -> Self {
        Self(RangeAllocator::new(0..pool.capacity_bytes))
    }
}

impl Subject for Ranges {
    type Token = Range<u64>;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<Range<u64>> {
        self.0.allocate_range(size_bytes).ok()
    }

    #[inline]
    fn free(&mut self, token: Range<u64>) {
        self.0.free_range(token);
    }

    #[inline]
    fn placement(&self, token: &Range<u64>) -> Placement {
        Placement {
            offset_bytes: token.start,
            size_bytes: token.end - token.start,
        }
    }
}
