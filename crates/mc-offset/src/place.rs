//! Operations that name a place: allocating at an offset, resizing where an
//! allocation is.

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{FreeError, PlaceError, ResizeError},
    space::Spot,
};

impl OffsetAllocator {
    /// Allocates `size` bytes at `offset`, as a restart or a failover needs
    /// that must find its objects where they were.
    ///
    /// Takes O(log holes). A refusal finds the occupant by walking to it from
    /// the hole before, or from where an earlier refusal came by: over all
    /// allocations in between the first time, over 64 at most after that.
    /// To place many objects into an empty range see
    /// [`restore_from`](Self::restore_from).
    ///
    /// # Errors
    ///
    /// [`Occupied`](PlaceError::Occupied) with the first allocation in the
    /// way, or another [`PlaceError`] that names what is in the way.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::{OffsetAllocator, PlaceError};
    ///
    /// let mut allocator = OffsetAllocator::new(1000)?;
    /// let a = allocator.allocate_at(300, 100)?;
    /// let in_the_way = allocator.allocate_at(250, 100);
    /// assert_eq!(in_the_way, Err(PlaceError::Occupied { by: a }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allocate_at(&mut self, offset: u64, size: u64) -> Result<Allocation, PlaceError> {
        let granule = self.options().granule;
        if !offset.is_multiple_of(granule) {
            return Err(PlaceError::OffGranule {
                offset,
                granule_bytes: granule,
            });
        }
        let capacity = self.capacity();
        if offset.checked_add(size).is_none_or(|end| end > capacity) {
            return Err(PlaceError::OutOfRange {
                offset,
                size,
                capacity,
            });
        }
        let charge = self.admit(size)?;
        let Some(end) = offset.checked_add(charge).filter(|&end| end <= capacity) else {
            return Err(PlaceError::OutOfRange {
                offset,
                size,
                capacity,
            });
        };
        let space = self.space_mut();
        space.file_parked();
        let before = space.holes_mut().at_or_before(offset)?;
        match before {
            Some(hole) if end <= space.holes().hole(hole).end() => {
                Ok(self.carve(Spot { hole, at: offset }, size, charge)?)
            }
            _ => {
                let first =
                    before.map_or(offset, |hole| offset.max(space.holes().hole(hole).end()));
                let by = space.allocation_over(first, before);
                Err(PlaceError::Occupied { by })
            }
        }
    }

    /// Changes the size of an allocation without moving it, in O(log holes):
    /// shrinking always works, growing where the hole behind it has the room.
    ///
    /// Returns the token that stands for the allocation from then on; the old
    /// one is stale.
    ///
    /// # Errors
    ///
    /// A [`ResizeError`]; the allocation and its token are as they were.
    pub fn resize_in_place(
        &mut self,
        allocation: Allocation,
        size: u64,
    ) -> Result<Allocation, ResizeError> {
        if !self.is_live(allocation) {
            return Err(FreeError::not_live(allocation).into());
        }
        if size == 0 {
            return Err(ResizeError::ZeroSize);
        }
        let charge = self.charged_size(size);
        let space = self.space_mut();
        space.file_parked();
        let available = space.room_of(allocation);
        if charge.is_none_or(|charge| charge > available) {
            return Err(ResizeError::NoRoom {
                asked: size,
                available,
            });
        }
        Ok(space.resize(allocation, size)?)
    }
}
