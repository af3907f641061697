//! Placing below the lock.

use core::num::NonZeroU32;

use crate::{allocation::Allocation, allocator::OffsetAllocator};

/// What tells where an allocation is, in as many words as a function returns in
/// registers.
struct Placed {
    offset: u64,
    /// Only the anchor's is 0.
    node: NonZeroU32,
}

impl OffsetAllocator {
    /// As `allocate`, for a caller with a lock, whose release waits for every
    /// store before it: nothing is returned through memory. A caller that has
    /// to know why there is no place asks once more.
    #[inline]
    pub(super) fn serve_with_lock(&mut self, size: u64) -> Option<Allocation> {
        let Placed { offset, node } = self.try_place(size)?;
        let serial = self.space().last_serial();
        Some(Allocation::new(offset, size, serial, node.get()))
    }

    #[inline(never)]
    fn try_place(&mut self, size: u64) -> Option<Placed> {
        let allocation = self.admit_and_carve(size).ok()?;
        let node = NonZeroU32::new(allocation.node());
        Some(Placed {
            offset: allocation.offset(),
            node: node.expect("the anchor covers no bytes"),
        })
    }
}
