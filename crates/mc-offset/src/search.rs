//! The choice of a hole for a request.

use core::hint::select_unpredictable;

use crate::{allocator::OffsetAllocator, holes::Hole, options::Fit, slab::SlabFull, trend::Regime};

/// Holes of a bin that adaptive fit looks at, as many as [`Fit::GOOD`].
const ADAPTIVE_PROBES: u32 = 4;

impl OffsetAllocator {
    /// Returns a hole of at least `charge` bytes by the rule of the fit, and
    /// where in it the request goes.
    // Always: a function of its own would save the registers that its caller
    // has just saved.
    #[inline(always)]
    pub(crate) fn find(&mut self, charge: u64) -> Option<(u32, u64)> {
        if charge > self.holes.largest_bound() {
            return None;
        }
        let hole = match self.options.fit {
            Fit::BinExact | Fit::BinCeil => self.find_from_bin_above(charge)?,
            Fit::Good { probes } => self.find_good(charge, probes)?,
            Fit::Adaptive => return self.find_adaptive(charge),
        };
        Some((hole, self.holes.hole(hole).offset))
    }

    /// Good fit, guided by the trend of the sizes.
    #[inline(always)]
    fn find_adaptive(&mut self, charge: u64) -> Option<(u32, u64)> {
        let regime = self.trend.regime();
        let (hole, goes_high) = match regime {
            Regime::Spread { small_max } if charge <= small_max => (self.find_last(charge)?, true),
            _ => (self.find_good(charge, ADAPTIVE_PROBES)?, false),
        };
        let &Hole {
            offset, size, node, ..
        } = self.holes.hole(hole);
        self.trend.record(charge, size == charge);
        let leaves_low = regime == Regime::Varied && self.chain.is_lower_neighbor_larger(node);
        let at = select_unpredictable(goes_high | leaves_low, offset + size - charge, offset);
        Some((hole, at))
    }

    /// Returns the hole with the highest address that fits; a heap without
    /// room for the index by address makes it any hole that fits.
    fn find_last(&mut self, charge: u64) -> Option<u32> {
        match self.holes.by_address() {
            Ok(by_address) => by_address.last_fit(charge),
            Err(SlabFull) => self.find_good(charge, ADAPTIVE_PROBES),
        }
    }

    /// Returns a hole in which `charge` bytes fit at a multiple of `align`,
    /// and the offset of that multiple.
    pub(crate) fn find_aligned(&mut self, charge: u64, align: u64) -> Option<(u32, u64)> {
        if charge > self.holes.largest_bound() {
            return None;
        }
        // Holes begin at multiples of the granule, so this much reaches a
        // multiple of the alignment wherever a hole begins.
        let padded = charge.saturating_add(align - self.options.granule);
        let probes = match self.options.fit {
            Fit::BinExact | Fit::BinCeil => {
                let hole = self.find_from_bin_above(padded)?;
                return self.place(hole, charge, align);
            }
            Fit::Good { probes } => probes,
            Fit::Adaptive => ADAPTIVE_PROBES,
        };
        let own = self.holes.scale().bin_floor(charge);
        let near = self.place_in_bins(own, 2, probes as usize, charge, align);
        if near.is_some() {
            return near;
        }
        match self.find_good(padded, probes) {
            Some(hole) => self.place(hole, charge, align),
            None => self.place_in_bins(own, usize::MAX, usize::MAX, charge, align),
        }
    }

    /// Places a request in the first hole that takes it, of the first `holes`
    /// of the first `bins` from `own` on.
    fn place_in_bins(
        &self,
        own: u32,
        bins: usize,
        holes: usize,
        charge: u64,
        align: u64,
    ) -> Option<(u32, u64)> {
        let bins = self.holes.bins().iter_from(own).take(bins);
        let mut holes = bins.flat_map(|bin| self.holes.in_bin(bin).take(holes));
        holes.find_map(|hole| self.place(hole, charge, align))
    }

    fn place(&self, hole: u32, charge: u64, align: u64) -> Option<(u32, u64)> {
        Some((hole, self.holes.hole(hole).place(charge, align)?))
    }

    /// Returns the most recent hole of the lowest bin whose every hole fits.
    fn find_from_bin_above(&self, charge: u64) -> Option<u32> {
        let bins = self.holes.bins();
        let bin = bins.first_at_or_above(self.holes.scale().bin_ceil(charge))?;
        Some(self.holes.first_in_bin(bin))
    }

    #[inline]
    fn find_good(&mut self, charge: u64, probes: u32) -> Option<u32> {
        let bins = self.holes.bins();
        let own = self.holes.scale().bin_floor(charge);
        let bin = bins.first_at_or_above(own)?;
        let found = self.probe(bin, charge, probes);
        if found.is_some() {
            return found;
        }
        match bins.first_at_or_above(own + 1) {
            Some(bin) => self.probe(bin, charge, probes),
            None => self.find_past_the_probes(own, charge),
        }
    }

    /// Returns the smallest hole of at least `charge` bytes among the first
    /// `probes` of `bin`.
    #[inline]
    fn probe(&self, bin: u32, charge: u64, probes: u32) -> Option<u32> {
        let mut best = None;
        let mut best_size = u64::MAX;
        let mut index = self.holes.first_in_bin(bin);
        for _ in 0..probes {
            if index == bin {
                break;
            }
            let hole = self.holes.hole(index);
            if hole.size == charge {
                return Some(index);
            }
            if hole.size > charge && hole.size <= best_size {
                (best, best_size) = (Some(index), hole.size);
            }
            index = self.holes.next_in_bin(index);
        }
        best
    }

    /// Returns the smallest hole that fits of a bin above which all are empty;
    /// if none does, learns the size of the largest.
    #[cold]
    fn find_past_the_probes(&mut self, own: u32, charge: u64) -> Option<u32> {
        let holes = self
            .holes
            .in_bin(own)
            .map(|index| (self.holes.hole(index).size, index));
        let fitting = holes.filter(|&(size, _)| size >= charge).min();
        if fitting.is_none() {
            let largest = self.holes.largest();
            self.holes.learn_largest(largest);
        }
        fitting.map(|(_, index)| index)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::options::Options;

    /// Returns an allocator of 10,000 bytes that has seen the sizes many times, none of them exact.
    fn accustomed_to(sizes: [u64; 4]) -> OffsetAllocator {
        let mut allocator = OffsetAllocator::new(10_000).unwrap();
        for _ in 0..1000 {
            for size in sizes {
                allocator.trend.record(size, false);
            }
        }
        allocator
    }

    #[test]
    fn requests_are_recorded_with_whether_they_fill_a_hole() {
        let mut allocator = OffsetAllocator::new(6000).unwrap();
        let mut blocks: Vec<_> = (0..600).map(|_| allocator.allocate(10).unwrap()).collect();
        assert_eq!(allocator.trend.regime(), Regime::Varied);
        for _ in 0..600 {
            // Of two that are freed, one is kept for the next request and one is a hole.
            for at in [10, 20] {
                allocator.free(blocks.swap_remove(at)).unwrap();
            }
            blocks.extend([10, 10].map(|size| allocator.allocate(size).unwrap()));
        }
        assert_eq!(allocator.trend.regime(), Regime::Repeating);
    }

    #[test]
    fn an_alignment_takes_no_more_than_the_bytes_to_the_next_multiple() {
        // Bins are 64, 128 and 144 bytes: one of 128 has room for 65 bytes from
        // any byte, and for 68 from any multiple of 4, at a multiple of 64.
        for (granule, size, is_placed) in
            [(1, 65, true), (1, 66, false), (4, 68, true), (4, 69, false)]
        {
            let options = Options {
                granule,
                fit: Fit::BinExact,
                ..Options::new(128)
            };
            let mut allocator = OffsetAllocator::with_options(options).unwrap();
            let placed = allocator.allocate_aligned(size, 64);
            assert_eq!(placed.is_ok(), is_placed, "{size} bytes");
        }
    }

    #[test]
    fn small_objects_are_at_the_other_end_while_sizes_are_widely_spread() {
        let mut allocator = accustomed_to([10, 10, 10, 1000]);
        let regime = allocator.trend.regime();
        assert_eq!(regime, Regime::Spread { small_max: 128 });
        for (size, offset) in [(100, 9900), (129, 0), (128, 9772), (1000, 129)] {
            let token = allocator.allocate(size).unwrap();
            assert_eq!(token.offset(), offset, "{size} bytes");
        }
    }

    #[test]
    fn the_rest_of_a_hole_is_beside_the_larger_neighbor_while_sizes_vary() {
        for (before, after, offset) in [(3000, 10, 3100), (10, 3000, 10), (3000, 3000, 3000)] {
            let mut allocator = accustomed_to([1000, 5000, 1000, 5000]);
            assert_eq!(allocator.trend.regime(), Regime::Varied);
            let _ = allocator.allocate_at(0, before).unwrap();
            let _ = allocator.allocate_at(before + 500, after).unwrap();
            // The hole of 500 bytes between them is the smallest that fits.
            let token = allocator.allocate(400).unwrap();
            assert_eq!(token.offset(), offset, "between {before} and {after}");
        }
    }
}
