//! Operations that name a place: allocating at an offset, resizing where an
//! allocation is.

use crate::{
    allocation::Allocation,
    allocator::{OffsetAllocator, not_live},
    error::{PlaceError, ResizeError},
    nodes::{ANCHOR, Content},
};

impl OffsetAllocator {
    /// Allocates `size` bytes at `offset`, as a restart or a failover needs
    /// that must find its objects where they were.
    ///
    /// Takes O(log holes), counted over a run of such calls. A refusal reads
    /// the allocations from the hole before the occupant up to the occupant.
    /// To place many objects into an empty range see
    /// [`restore_from`](Self::restore_from).
    ///
    /// # Errors
    ///
    /// [`Occupied`](PlaceError::Occupied) with the first allocation in the
    /// way, or another [`PlaceError`] that names what cannot be had.
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
        let granule = self.options.granule;
        if !offset.is_multiple_of(granule) {
            return Err(PlaceError::OffGranule {
                offset,
                granule_bytes: granule,
            });
        }
        let capacity = self.options.capacity;
        if offset.checked_add(size).is_none_or(|end| end > capacity) {
            return Err(PlaceError::OutOfRange {
                offset,
                size,
                capacity,
            });
        }
        let charge = self.admit(size)?;
        self.settle();
        let Some(end) = offset.checked_add(charge).filter(|&end| end <= capacity) else {
            return Err(PlaceError::OutOfRange {
                offset,
                size,
                capacity,
            });
        };
        let before = self.holes.by_address()?.at_or_before(offset);
        let before = before.map(|hole| (hole, *self.holes.hole(hole)));
        match before {
            Some((hole, whole)) if end <= whole.end() => {
                Ok(self.carve(hole, offset, size, charge)?)
            }
            Some((_, whole)) => {
                let by =
                    self.allocation_over(offset, self.chain.node(whole.node).next, whole.end());
                Err(PlaceError::Occupied { by })
            }
            None => {
                let by = self.allocation_over(offset, self.chain.node(ANCHOR).next, 0);
                Err(PlaceError::Occupied { by })
            }
        }
    }

    /// Changes the size of an allocation without moving it, in constant time:
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
        let index = allocation.node();
        let Some(node) = self.chain.allocation(index, allocation.serial()) else {
            return Err(not_live(allocation).into());
        };
        let next = node.next;
        self.settle();
        if size == 0 {
            return Err(ResizeError::ZeroSize);
        }
        let offset = allocation.offset();
        let old_charge = self.charge(allocation.size());
        let hole = self.chain.is_hole(next).then(|| self.chain.hole_of(next));
        let room_end = match hole {
            Some(hole) => self.holes.hole(hole).end(),
            None => offset + old_charge,
        };
        let available = room_end - offset;
        let charge = self
            .charged_size(size)
            .filter(|&charge| charge <= available);
        let Some(charge) = charge else {
            return Err(ResizeError::NoRoom {
                asked: size,
                available,
            });
        };
        let rest = room_end - (offset + charge);
        match hole {
            Some(hole) if rest == 0 => {
                self.holes.remove(hole);
                self.chain.remove_hole(next);
            }
            Some(hole) => self.holes.reshape(hole, offset + charge, rest),
            None if rest == 0 => {}
            None => {
                self.chain.reserve(1)?;
                self.holes.reserve_one()?;
                let node = self.chain.insert_before(next);
                let hole = self.holes.insert(offset + charge, rest, node);
                self.chain.set_hole(node, hole);
            }
        }
        self.live_bytes = self.live_bytes - allocation.size() + size;
        self.charged_bytes = self.charged_bytes - old_charge + charge;
        let serial = self.serials.issue();
        self.chain.set_allocation(index, size, serial);
        Ok(Allocation::new(offset, size, serial, index))
    }

    /// Returns the first allocation that ends behind `offset`, looked for from
    /// `node` on, which begins at `start`.
    fn allocation_over(&self, offset: u64, node: u32, start: u64) -> Allocation {
        let (mut node, mut start) = (node, start);
        loop {
            let content = self.chain.node(node).content();
            let end = start + self.content_bytes(content);
            match content {
                Content::Allocation { requested, serial } if end > offset => {
                    return Allocation::new(start, requested, serial, node);
                }
                Content::Allocation { .. } => {
                    node = self.chain.node(node).next;
                    start = end;
                }
                Content::Hole(_) | Content::Parked { .. } | Content::Anchor => {
                    unreachable!("what no hole covers is allocated at offset {offset}")
                }
            }
        }
    }
}
