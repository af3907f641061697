//! Placing below the lock.

use core::num::NonZeroU32;

use crate::{allocation::Allocation, allocator::OffsetAllocator, error::AllocError};

/// What tells where an allocation is, in as many words as a function returns in
/// registers.
struct Placed {
    offset: u64,
    /// Only the anchor's is 0.
    node: NonZeroU32,
}

impl OffsetAllocator {
    /// As `place`, for a caller with a lock, whose release waits for every
    /// store before it: nothing is returned through memory.
    #[inline]
    pub(super) fn serve_with_lock(&mut self, size: u64) -> Result<Allocation, AllocError> {
        match self.try_place(size) {
            Some(Placed { offset, node }) => {
                let serial = self.space().last_serial();
                Ok(Allocation::new(offset, size, serial, node.get()))
            }
            None => self.say_why_not(size),
        }
    }

    /// Fails once more to find a place.
    #[cold]
    fn say_why_not(&mut self, size: u64) -> Result<Allocation, AllocError> {
        self.place(size)
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
