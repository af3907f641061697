//! Moving the end of a shared range.

use super::SharedAllocator;
use crate::{allocator::OffsetAllocator, error::CapacityError};

impl SharedAllocator {
    /// Returns the offset behind the last allocation, all freed blocks merged:
    /// see [`OffsetAllocator::highest_end`].
    pub fn highest_end(&self) -> u64 {
        self.merged(OffsetAllocator::highest_end)
    }

    /// Moves the end of the range up to `capacity` bytes, for all clones.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::grow`], and
    /// [`PastAddressSpace`](CapacityError::PastAddressSpace) if the range would
    /// pass 2<sup>64</sup> from its [base](Self::base).
    pub fn grow(&self, capacity: u64) -> Result<(), CapacityError> {
        self.change_capacity(|core| {
            let base = self.base();
            if base.checked_add(capacity.saturating_sub(1)).is_none() {
                return Err(CapacityError::PastAddressSpace {
                    asked: capacity,
                    base,
                });
            }
            core.grow(capacity)
        })
    }

    /// Moves the end of the range down to `capacity` bytes, for all clones.
    /// Takes back what threads keep if that is in the way.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::shrink`].
    pub fn shrink(&self, capacity: u64) -> Result<(), CapacityError> {
        self.change_capacity(|core| core.shrink(capacity))
    }

    fn change_capacity(
        &self,
        mut change: impl FnMut(&mut OffsetAllocator) -> Result<(), CapacityError>,
    ) -> Result<(), CapacityError> {
        self.allocate_in_core(|allocator| {
            change(allocator)?;
            self.core.set_capacity(allocator.capacity());
            Ok(())
        })
    }
}
