//! The operations that name a place or split an object, held against the map.

use mc_offset::{FreeRange, PlaceError, ResizeError};

use crate::common::{Shadowed, largest_request, never_refuses_what_fits};

impl Shadowed {
    /// Allocates at an offset and checks the outcome against the map.
    pub(crate) fn allocate_at(&mut self, offset: u64, size: u64) {
        let end = offset.checked_add(self.charge(size));
        let end = end.filter(|&end| end <= self.allocator.capacity());
        let in_the_way = self
            .live
            .iter()
            .find(|&(&at, &(charged, _))| at + charged > offset && end.is_some_and(|end| at < end));
        let in_the_way = in_the_way.map(|(_, &(_, token))| token);
        match self.allocator.allocate_at(offset, size) {
            Ok(token) => {
                assert_eq!(token.offset(), offset);
                self.admit(token, size, 1);
            }
            Err(PlaceError::Occupied { by }) => assert_eq!(Some(by), in_the_way),
            Err(PlaceError::OutOfRange { .. }) => assert_eq!(end, None),
            Err(PlaceError::OffGranule { .. }) => {
                assert!(!offset.is_multiple_of(self.allocator.options().granule));
            }
            Err(error) => panic!("{size} bytes at {offset}: {error}"),
        }
    }

    /// Resizes the allocation at `offset` and checks the outcome against the
    /// gap behind it.
    pub(crate) fn resize(&mut self, offset: u64, size: u64) {
        let (charged, old) = self.live[&offset];
        let next = self
            .live
            .range(offset + charged..)
            .next()
            .map(|(&at, _)| at);
        let available = next.unwrap_or(self.allocator.capacity()) - offset;
        match self.allocator.resize_in_place(old, size) {
            Ok(token) => {
                assert_eq!((token.offset(), token.size()), (offset, size));
                assert!(self.charge(size) <= available);
                assert!(!self.allocator.is_live(old), "the old token is stale");
                self.live.insert(offset, (self.charge(size), token));
            }
            Err(error) => {
                assert_eq!(
                    error,
                    ResizeError::NoRoom {
                        asked: size,
                        available
                    }
                );
                assert!(self.charge(size) > available);
            }
        }
    }

    /// Allocates in pieces and checks that their number is the least.
    pub(crate) fn allocate_extents(&mut self, size: u64, max_extents: u32, align: u64) {
        let capacity = self.allocator.capacity();
        let step = self.step(align);
        let mut rooms: Vec<_> = self.gaps().iter().map(|gap| self.room(gap, step)).collect();
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        // All but one of the largest rooms have a piece that another follows.
        let capacity_of = |count: usize| {
            let whole: u64 = rooms[..count].iter().map(|room| room - room % step).sum();
            let over = rooms[..count].iter().map(|room| room % step).max();
            whole + over.unwrap_or(0)
        };
        let needed = (1..=rooms.len()).find(|&count| capacity_of(count) >= size);
        let fits_whole = self.gaps().iter().any(|gap| {
            let at = u128::from(gap.offset).next_multiple_of(step.into());
            at + u128::from(self.charge(size)) <= u128::from(gap.offset + gap.size)
        });
        let finds_whole = fits_whole && never_refuses_what_fits(self.allocator.options().fit);
        let needed = if finds_whole { Some(1) } else { needed };
        match self.allocator.allocate_extents(size, max_extents, align) {
            Ok(extents) => {
                let pieces = extents.pieces();
                assert_eq!(extents.size(), size);
                if never_refuses_what_fits(self.allocator.options().fit) {
                    assert_eq!(Some(pieces.len()), needed, "pieces for {size} bytes");
                }
                for (at, &piece) in pieces.iter().enumerate() {
                    let is_last = at + 1 == pieces.len();
                    assert!(is_last || piece.size().is_multiple_of(step));
                    self.admit(piece, piece.size(), step);
                }
            }
            Err(error) => {
                let is_possible = needed.is_some_and(|count| count <= max_extents as usize);
                assert!(
                    size > capacity || !is_possible,
                    "{size} bytes in {max_extents}: {error}"
                );
            }
        }
    }

    /// Returns what a piece can take of the gap if no other one follows.
    fn room(&self, gap: &FreeRange, step: u64) -> u64 {
        let at = gap.offset.checked_next_multiple_of(step);
        let bytes = at
            .and_then(|at| (gap.offset + gap.size).checked_sub(at))
            .unwrap_or(0);
        largest_request(self.allocator.options(), bytes)
    }
}
