//! The oracle that the tests hold an allocator against: a map of ranges.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::collections::BTreeMap;

use mc_offset::{AllocError, Allocation, Fit, FreeRange, OffsetAllocator, Options};

mod fits;

pub(crate) use fits::{FITS, largest_request};

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

    /// Returns the least multiple of both the granule and an alignment.
    pub(crate) fn step(&self, align: u64) -> u64 {
        let granule = self.allocator.options().granule;
        let (mut divisor, mut rest) = (granule, align);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        granule.saturating_mul(align / divisor)
    }

    /// Returns what should be told of the largest of the gaps.
    fn largest_hole(&self, gaps: &[FreeRange]) -> u64 {
        let largest = gaps.iter().map(|gap| gap.size).max().unwrap_or(0);
        largest_request(self.allocator.options(), largest)
    }

    /// Returns what the options say a request of `size` takes.
    pub(crate) fn charge(&self, size: u64) -> u64 {
        let options = self.allocator.options();
        let granular = size.next_multiple_of(options.granule);
        match options.fit {
            Fit::BinCeil => {
                let units = published_bin_ceil(granular / options.granule);
                units.saturating_mul(options.granule)
            }
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
        assert_eq!(report.largest_hole, self.largest_hole(&gaps));
        assert_eq!(report.hole_count as usize, gaps.len());
        assert_eq!(report.allocation_count as usize, tokens.len());
        assert_eq!(
            report.live_bytes,
            tokens.iter().map(Allocation::size).sum::<u64>()
        );
        assert_eq!(report.charged_bytes + report.free_bytes, report.capacity);
        let histogram = self.allocator.histogram();
        assert_eq!(
            histogram
                .bins()
                .iter()
                .map(|bin| bin.free_bytes)
                .sum::<u64>(),
            report.free_bytes
        );
        assert_eq!(
            histogram
                .bins()
                .iter()
                .map(|bin| bin.hole_count)
                .sum::<u32>(),
            report.hole_count
        );
    }

    /// Checks a new allocation against the gaps and takes it in.
    pub(crate) fn admit(&mut self, token: Allocation, size: u64, align: u64) {
        let charged = self.charge(size);
        assert_eq!(token.size(), size);
        assert!(token.offset().is_multiple_of(align));
        let granule = self.allocator.options().granule;
        assert!(token.offset().is_multiple_of(granule));
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
            let largest_hole = self.largest_hole(&gaps);
            AllocError::NoHole {
                asked: size,
                free,
                largest_hole,
            }
        };
        assert_eq!(error, expected);
        let charge = u128::from(self.charge(size));
        let fits = |gap: &FreeRange| {
            let at = u128::from(gap.offset).next_multiple_of(self.step(align).into());
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
