//! An object in a few pieces, for stores whose transport takes lists of
//! ranges.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{AllocError, FreeError},
    search::small_room,
    space::Spot,
};

/// The pieces of one object, in the order of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[must_use = "dropping the extents loses the only way to free them"]
pub struct Extents {
    pieces: Vec<Allocation>,
}

impl Extents {
    /// Returns the pieces in the order of the object's bytes.
    pub fn pieces(&self) -> &[Allocation] {
        &self.pieces
    }

    /// Returns the bytes of all pieces together: the size asked for.
    pub fn size(&self) -> u64 {
        self.pieces.iter().map(Allocation::size).sum()
    }
}

impl OffsetAllocator {
    /// Allocates `size` bytes in the fewest pieces that the holes allow, and
    /// in no more than `max_extents`.
    ///
    /// Every piece begins at a multiple of `align`, a power of two, and every
    /// one but the last has a multiple of `align` bytes. Where several holes
    /// are needed, the smaller ones that lead to the same number of pieces are
    /// filled, and the last piece is placed by the tightest fit, so that large
    /// holes are the last to be broken up. Each piece counts as an allocation.
    ///
    /// Takes O(log holes) for each piece, or, if it is refused, for each piece
    /// allowed. An alignment costs what it does in
    /// [`allocate_aligned`](Self::allocate_aligned).
    ///
    /// # Errors
    ///
    /// As [`allocate_aligned`](Self::allocate_aligned), and
    /// [`ZeroExtents`](AllocError::ZeroExtents). All pieces are allocated or
    /// none.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::OffsetAllocator;
    ///
    /// let mut allocator = OffsetAllocator::new(100)?;
    /// let first = allocator.allocate(30)?;
    /// let _wall = allocator.allocate(10)?;
    /// allocator.free(first)?;
    /// // Two holes are left: 30 bytes at 0, 60 bytes at 40.
    /// let object = allocator.allocate_extents(80, 2, 1)?;
    /// assert_eq!(object.pieces().len(), 2);
    /// allocator.free_extents(object)?;
    /// assert_eq!(allocator.free_bytes(), 90);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allocate_extents(
        &mut self,
        size: u64,
        max_extents: u32,
        align: u64,
    ) -> Result<Extents, AllocError> {
        if max_extents == 0 {
            return Err(AllocError::ZeroExtents);
        }
        let refusal = match self.allocate_aligned(size, align) {
            Ok(whole) => {
                return Ok(Extents {
                    pieces: Vec::from([whole]),
                });
            }
            Err(refusal @ AllocError::NoHole { free, .. }) if free >= size => refusal,
            Err(error) => return Err(error),
        };
        let step = self.options().step(align);
        let Some(rooms) = self.fewest_rooms(size, max_extents, step)? else {
            return Err(refusal);
        };
        if let Some(limit) = self.options().max_allocations
            && self.allocation_count() as usize + rooms.len() > limit as usize
        {
            return Err(AllocError::LimitReached { limit });
        }
        self.fill_rooms(size, &rooms, step)
    }

    /// Frees all pieces of an object.
    ///
    /// # Errors
    ///
    /// As [`free`](Self::free), for the first piece that cannot be freed; the
    /// pieces before it are free then.
    pub fn free_extents(&mut self, extents: Extents) -> Result<(), FreeError> {
        extents
            .pieces
            .into_iter()
            .try_for_each(|piece| self.free(piece))
    }

    /// Returns the largest rooms, the most bytes first, as far as it takes for
    /// `size` bytes; `None` if more than `most` of them are needed. If one has to
    /// be used up beyond the last multiple of `step`, which only the last piece
    /// can do, it comes first.
    fn fewest_rooms(
        &mut self,
        size: u64,
        most: u32,
        step: u64,
    ) -> Result<Option<Vec<Room>>, AllocError> {
        let options = *self.options();
        let mut rooms: Vec<Room> = Vec::new();
        let mut missing = size;
        // What a room has beyond the last multiple, at most, and which one.
        let (mut over, mut last) = (0, 0);
        let mut is_heap_full = false;
        let holes = self.space_mut().holes_mut();
        holes.largest_rooms(step, step == options.granule, |bytes, hole| {
            let whole = options.fit.largest_request(bytes, options.granule);
            if whole == 0 || rooms.len() == most as usize {
                return ControlFlow::Break(());
            }
            let bytes = options.largest_extent(bytes, step);
            if whole - bytes > over {
                (over, last) = (whole - bytes, rooms.len());
            }
            is_heap_full = rooms.try_reserve(1).is_err();
            if is_heap_full {
                return ControlFlow::Break(());
            }
            rooms.push(Room { bytes, hole });
            missing = missing.saturating_sub(bytes);
            if missing <= over || bytes == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if is_heap_full {
            return Err(AllocError::OutOfMemory);
        }
        if missing > over {
            return Ok(None);
        }
        if missing > 0 {
            rooms[last].bytes += over;
            rooms.swap(0, last);
        }
        Ok(Some(rooms))
    }

    /// Allocates as many pieces as there are `rooms`, in their order from the
    /// last to the first, none of which can be left out.
    fn fill_rooms(&mut self, size: u64, rooms: &[Room], step: u64) -> Result<Extents, AllocError> {
        let mut pieces = Vec::new();
        let reserved = pieces.try_reserve_exact(rooms.len());
        reserved.map_err(|_| AllocError::OutOfMemory)?;
        let mut remaining = size;
        let mut promised: u64 = rooms.iter().map(|room| room.bytes).sum();
        // What the rooms that are still to come can hold decides how small
        // the next one may be.
        for room in rooms.iter().rev() {
            promised -= room.bytes;
            match self.take_room(remaining, remaining - promised, *room, step) {
                Ok(piece) => {
                    remaining -= piece.size();
                    pieces.push(piece);
                }
                Err(error) => {
                    for piece in pieces {
                        // A piece that stays for want of memory is charged,
                        // not lost: the next free beside it takes no memory.
                        let _ = self.free(piece);
                    }
                    return Err(error);
                }
            }
        }
        debug_assert_eq!(remaining, 0);
        Ok(Extents { pieces })
    }

    /// Allocates up to `most` bytes in a hole with room for `least`: in one
    /// that is smaller than `room` if there is one at hand, so that it is none
    /// of those that are still to come, otherwise in `room`.
    fn take_room(
        &mut self,
        most: u64,
        least: u64,
        room: Room,
        step: u64,
    ) -> Result<Allocation, AllocError> {
        let options = *self.options();
        // Pieces that were taken back when one was refused may be parked.
        self.space_mut().file_parked();
        let holes = self.space().holes();
        let fits = |bytes| {
            let bytes = options.largest_extent(bytes, step);
            least <= bytes && bytes < room.bytes
        };
        let hole = small_room(holes, least, step, fits).unwrap_or(room.hole);
        let bytes = holes.hole(hole).room(step);
        let at = holes.hole(hole).end() - bytes;
        let usable = if hole == room.hole {
            room.bytes
        } else {
            options.largest_extent(bytes, step)
        };
        let size = usable.min(most);
        let charge = options.charge(size);
        self.carve(Spot { hole, at }, size, charge)
    }
}

/// A hole, and the bytes that a piece in it can have if another one follows.
#[derive(Clone, Copy, Debug)]
struct Room {
    bytes: u64,
    hole: u32,
}
