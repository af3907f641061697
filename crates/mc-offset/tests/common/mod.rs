//! The oracle that the tests hold an allocator against: a map of ranges.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::collections::BTreeMap;

use mc_offset::{
    AllocError, Allocation, Fit, FreeRange, OffsetAllocator, Options, PlaceError, ResizeError,
};

/// Every fit, the published ones first.
pub(crate) const FITS: [Fit; 6] = [
    Fit::BinExact,
    Fit::BinCeil,
    Fit::Good { probes: 1 },
    Fit::GOOD,
    Fit::Good { probes: 64 },
    Fit::Adaptive,
];

/// Returns whether the fit promises that a request that fits some hole
/// succeeds.
pub(crate) fn never_refuses_what_fits(fit: Fit) -> bool {
    !matches!(fit, Fit::BinExact | Fit::BinCeil)
}

/// Returns the published bin size that is at least `size`, by arithmetic.
fn published_bin_ceil(size: u64) -> u64 {
    if size <= 16 {
        return size;
    }
    let step = 1 << ((size - 1).ilog2() - 3);
    size.checked_next_multiple_of(step).unwrap_or(u64::MAX)
}

/// Returns the published bin size that is at most `size`, by arithmetic.
fn published_bin_floor(size: u64) -> u64 {
    if size <= 16 {
        return size;
    }
    let step = 1 << (size.ilog2() - 3);
    size / step * step
}

/// An allocator and what it should contain.
pub(crate) struct Shadowed {
    pub(crate) allocator: OffsetAllocator,
    /// Charged bytes and token by offset.
    pub(crate) live: BTreeMap<u64, (u64, Allocation)>,
}

impl Shadowed {
    pub(crate) fn new(options: Options) -> Self {
        let allocator = OffsetAllocator::with_options(options).unwrap();
        Self {
            allocator,
            live: BTreeMap::new(),
        }
    }

    /// Returns the gaps between the live ranges.
    pub(crate) fn gaps(&self) -> Vec<FreeRange> {
        let mut gaps = Vec::new();
        let mut end = 0;
        for (&offset, &(charged, _)) in &self.live {
            if offset > end {
                gaps.push(FreeRange {
                    offset: end,
                    size: offset - end,
                });
            }
            end = offset + charged;
        }
        if end < self.allocator.capacity() {
            gaps.push(FreeRange {
                offset: end,
                size: self.allocator.capacity() - end,
            });
        }
        gaps
    }

    /// Returns what the options say a request of `size` takes.
    pub(crate) fn charge(&self, size: u64) -> u64 {
        let options = self.allocator.options();
        let granular = size.next_multiple_of(options.granule);
        match options.fit {
            Fit::BinCeil => published_bin_ceil(granular),
            _ => granular,
        }
    }

    /// Allocates and checks the outcome against the gaps of before.
    pub(crate) fn allocate(&mut self, size: u64, align: u64) -> Result<Allocation, AllocError> {
        let outcome = self.allocator.allocate_aligned(size, align);
        match outcome {
            Ok(token) => self.admit(token, size, align),
            Err(error) => self.check_refusal(error, size, align),
        }
        outcome
    }

    pub(crate) fn free(&mut self, offset: u64) {
        let (_, token) = self.live.remove(&offset).unwrap();
        self.allocator.free(token).unwrap();
    }

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
        let align = align.max(self.allocator.options().granule);
        let mut rooms: Vec<u64> = self
            .gaps()
            .iter()
            .map(|gap| self.room(gap, align))
            .collect();
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        let needed = (1..=rooms.len()).find(|&count| rooms[..count].iter().sum::<u64>() >= size);
        let fits_whole = self.gaps().iter().any(|gap| {
            let at = u128::from(gap.offset).next_multiple_of(align.into());
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
                    assert!(is_last || piece.size().is_multiple_of(align));
                    self.admit(piece, piece.size(), align);
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

    /// Returns what a piece can take of the gap if another one follows.
    fn room(&self, gap: &FreeRange, align: u64) -> u64 {
        let at = gap.offset.checked_next_multiple_of(align);
        let bytes = at
            .and_then(|at| (gap.offset + gap.size).checked_sub(at))
            .unwrap_or(0);
        let bytes = match self.allocator.options().fit {
            Fit::BinCeil => published_bin_floor(bytes),
            _ => bytes,
        };
        bytes / align * align
    }

    /// Compares everything that can be asked with the map.
    pub(crate) fn check(&self) {
        self.allocator.check_invariants();
        let gaps = self.gaps();
        let tokens: Vec<Allocation> = self.live.values().map(|&(_, token)| token).collect();
        assert_eq!(self.allocator.holes().collect::<Vec<_>>(), gaps);
        assert_eq!(self.allocator.allocations().collect::<Vec<_>>(), tokens);
        let report = self.allocator.report();
        assert_eq!(
            report.free_bytes,
            gaps.iter().map(|gap| gap.size).sum::<u64>()
        );
        assert_eq!(report.largest_hole, largest(&gaps));
        assert_eq!(report.hole_count as usize, gaps.len());
        assert_eq!(report.allocation_count as usize, tokens.len());
        assert_eq!(
            report.live_bytes,
            tokens.iter().map(Allocation::size).sum::<u64>()
        );
        assert_eq!(report.charged_bytes + report.free_bytes, report.capacity);
        let histogram = self.allocator.histogram();
        assert_eq!(
            histogram.iter().map(|bin| bin.free_bytes).sum::<u64>(),
            report.free_bytes
        );
        assert_eq!(
            histogram.iter().map(|bin| bin.hole_count).sum::<u32>(),
            report.hole_count
        );
    }

    fn admit(&mut self, token: Allocation, size: u64, align: u64) {
        let charged = self.charge(size);
        assert_eq!(token.size(), size);
        assert!(token.offset().is_multiple_of(align));
        assert!(
            token
                .offset()
                .is_multiple_of(self.allocator.options().granule)
        );
        let end = token.offset() + charged;
        let is_free =
            |gap: &FreeRange| gap.offset <= token.offset() && end <= gap.offset + gap.size;
        assert!(
            self.gaps().iter().any(is_free),
            "{token:?} overlaps a live range"
        );
        self.live.insert(token.offset(), (charged, token));
    }

    fn check_refusal(&self, error: AllocError, size: u64, align: u64) {
        let gaps = self.gaps();
        let capacity = self.allocator.capacity();
        let expected = if size == 0 {
            AllocError::ZeroSize
        } else if size > capacity {
            AllocError::TooLarge {
                asked: size,
                capacity,
            }
        } else {
            let free = gaps.iter().map(|gap| gap.size).sum();
            AllocError::NoHole {
                asked: size,
                free,
                largest_hole: largest(&gaps),
            }
        };
        assert_eq!(error, expected);
        let charge = u128::from(self.charge(size));
        let fits = |gap: &FreeRange| {
            let at = u128::from(gap.offset).next_multiple_of(align.into());
            at + charge <= u128::from(gap.offset + gap.size)
        };
        let is_possible = (1..=capacity).contains(&size) && gaps.iter().any(fits);
        if never_refuses_what_fits(self.allocator.options().fit) {
            assert!(
                !is_possible,
                "{size} bytes at {align} refused though a gap fits: {gaps:?}"
            );
        }
    }
}

fn largest(gaps: &[FreeRange]) -> u64 {
    gaps.iter().map(|gap| gap.size).max().unwrap_or(0)
}
