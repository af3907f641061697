//! Moving the end of a shared range.

use alloc::vec::Vec;

use super::{Handle, SharedAllocator};
use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{CapacityError, FreeError},
};

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

    /// Frees some allocations and moves the end of the range down to `capacity`
    /// bytes in one step, so that nobody is placed where they were: those that
    /// hold the end free, say. Takes time linear in the allocations behind the
    /// new end, under the lock.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::shrink`], with an allocation that is in the way and
    /// not among those to be freed; the range is as it was, and so are they.
    ///
    /// # Panics
    ///
    /// If one of them is another allocator's.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::SharedAllocator;
    ///
    /// let allocator = SharedAllocator::new(1000)?;
    /// let object = allocator.allocate_at(0, 400)?;
    /// let mut held = vec![allocator.allocate_at(500, 500)?];
    /// allocator.shrink_with(500, &mut held)?;
    /// assert!(held.is_empty());
    /// assert_eq!((allocator.capacity(), object.size()), (500, 400));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shrink_with(&self, capacity: u64, freed: &mut Vec<Handle>) -> Result<(), CapacityError> {
        let is_own = |handle: &Handle| handle.frame() == Some(self.core.id);
        assert!(freed.iter().all(is_own), "another allocator's handle");
        freed.sort_unstable_by_key(Handle::offset);
        self.change_capacity(|core| {
            core.check_smaller(capacity)?;
            let is_freed = |allocation: &Allocation| {
                let offset = allocation.offset();
                freed.binary_search_by_key(&offset, Handle::offset).is_ok()
            };
            if let Some(by) = core.last_behind(capacity, is_freed) {
                let asked = capacity;
                return Err(CapacityError::Occupied { asked, by });
            }
            while let Some(handle) = freed.last_mut() {
                match core.free(handle.allocation()) {
                    Ok(()) => handle.defuse(),
                    Err(FreeError::OutOfMemory) => return Err(CapacityError::OutOfMemory),
                    Err(FreeError::NotLive { .. }) => unreachable!("a handle's allocation is live"),
                }
                freed.pop();
            }
            core.shrink(capacity)
        })
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
