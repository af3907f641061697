//! An object in a few pieces, for stores whose transport takes lists of
//! ranges.

use alloc::vec::Vec;

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{AllocError, FreeError},
    holes::Hole,
    options::Fit,
};

/// Holes of a bin that the search for a piece looks at before the next bin.
const PIECE_PROBES: usize = 16;

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
    /// One piece costs as much as [`allocate_aligned`](Self::allocate_aligned);
    /// several read the holes of the highest bins that have `max_extents`
    /// holes between them.
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
        let align = align.max(self.options.granule);
        let rooms = self.largest_rooms(max_extents as usize, align);
        let mut covered = 0;
        let count = rooms.iter().position(|room| {
            covered += room;
            covered >= size
        });
        let Some(last) = count else {
            return Err(refusal);
        };
        if let Some(limit) = self.options.max_allocations
            && self.allocation_count() as usize + last >= limit as usize
        {
            return Err(AllocError::LimitReached { limit });
        }
        self.fill_rooms(size, &rooms[..last], align)
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

    /// Allocates one piece more than there are `rooms`, the largest ones in
    /// descending order, which are not enough without it.
    fn fill_rooms(&mut self, size: u64, rooms: &[u64], align: u64) -> Result<Extents, AllocError> {
        let mut pieces = Vec::with_capacity(rooms.len() + 1);
        let mut remaining = size;
        // What the rooms that are still to come can hold decides how small
        // the next one may be.
        for later in (0..=rooms.len()).rev() {
            let promised: u64 = rooms[..later].iter().sum();
            let piece = self.take_room(remaining, remaining - promised, align);
            match piece {
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

    /// Allocates up to `most` bytes in a small hole with room for `least`.
    fn take_room(&mut self, most: u64, least: u64, align: u64) -> Result<Allocation, AllocError> {
        let Some(hole) = self.find_room(least, align) else {
            return Err(self.no_hole(least));
        };
        let whole = *self.holes.hole(hole);
        let size = self.room(&whole, align).min(most);
        let at = whole.offset.next_multiple_of(align);
        let charge = self.charge(size);
        self.carve(hole, at, size, charge)
    }

    /// Returns the bytes that a piece in the hole can have if another piece
    /// follows it.
    fn room(&self, hole: &Hole, align: u64) -> u64 {
        let aligned = hole.offset.checked_next_multiple_of(align);
        let bytes = aligned
            .and_then(|at| hole.end().checked_sub(at))
            .unwrap_or(0);
        let bytes = match self.options.fit {
            Fit::BinCeil => {
                let scale = self.holes.scale();
                scale.bin_size(scale.bin_floor(bytes)).unwrap_or(0)
            }
            Fit::BinExact | Fit::Good { .. } | Fit::Adaptive => bytes,
        };
        bytes & !(align - 1)
    }

    /// Returns the largest rooms in descending order, at most `count`.
    fn largest_rooms(&self, count: usize, align: u64) -> Vec<u64> {
        let mut rooms: Vec<u64> = Vec::new();
        for bin in self.holes.bins().iter_rev() {
            let is_full = rooms.len() == count;
            if is_full && rooms[count - 1] >= self.holes.scale().bin_last_size(bin) {
                break;
            }
            rooms.extend(
                self.holes
                    .in_bin(bin)
                    .map(|hole| self.room(self.holes.hole(hole), align)),
            );
            rooms.sort_unstable_by(|a, b| b.cmp(a));
            rooms.truncate(count);
        }
        rooms
    }

    /// Returns a hole with room for `least` bytes and not much more.
    fn find_room(&self, least: u64, align: u64) -> Option<u32> {
        let own = self.holes.scale().bin_floor(least);
        let tightest = |bin, probes| {
            let rooms = self.holes.in_bin(bin).take(probes);
            let rooms = rooms.map(|hole| (self.room(self.holes.hole(hole), align), hole));
            rooms.filter(|&(room, _)| room >= least).min()
        };
        let bins = || self.holes.bins().iter_from(own);
        let near = bins().find_map(|bin| tightest(bin, PIECE_PROBES));
        let found = near.or_else(|| bins().find_map(|bin| tightest(bin, usize::MAX)));
        found.map(|(_, hole)| hole)
    }
}
