//! The slot allocator, whose slots have the one size that a pool is told about.

use mc_offset::{SlotAllocator, SlotIndex};

use super::{Placement, Pool, Subject};

pub(super) struct Slots(SlotAllocator);

impl Slots {
    pub(super) fn new(pool: &Pool) -> Self {
        let (range, slot_bytes) = (..pool.capacity_bytes, pool.smallest_bytes);
        Self(SlotAllocator::filling(range, slot_bytes).expect("a pool holds one object or more"))
    }
}

impl Subject for Slots {
    type Token = SlotIndex;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<SlotIndex> {
        debug_assert_eq!(size_bytes, self.0.slot_bytes());
        self.0.allocate().ok()
    }

    #[inline]
    fn free(&mut self, token: SlotIndex) {
        self.0.free(token).expect("the token is live");
    }

    #[inline]
    fn placement(&self, token: &SlotIndex) -> Placement {
        Placement {
            offset_bytes: self.0.offset_of(*token),
            size_bytes: self.0.slot_bytes(),
        }
    }
}
