//! The choice of a hole for a request.

use core::hint::select_unpredictable;

use crate::{
    fit::Fit,
    slab::SlabFull,
    space::{Hole, Holes, NO_HOLE, Space, Spot},
    steps,
    trend::{Regime, Trend},
};

/// Holes of a bin that adaptive fit looks at, as many as [`Fit::GOOD`].
const ADAPTIVE_PROBES: u32 = 4;
/// As many for large objects while sizes are widely spread: the tighter the
/// hole, the less of use is the rest of it.
const SPREAD_PROBES: u32 = 2;

/// Holes of the highest bin that are looked at for the smallest that fits,
/// once the probes have found none.
const LAST_PROBES: usize = 32;

/// Bins, and holes in each, that are looked at for one that happens to begin
/// right for an alignment.
const ALIGNED_BINS: usize = 2;
/// As many for a room that is hardly larger than it has to be.
const ROOM_BINS: usize = 4;
const ROOM_PROBES: usize = 16;

/// Chooses holes by the rule of the fit, and learns from the requests.
#[derive(Debug)]
pub(crate) struct Chooser {
    fit: Fit,
    /// What adaptive fit follows.
    trend: Trend,
}

impl Chooser {
    pub(crate) const fn new(fit: Fit) -> Self {
        Self {
            fit,
            trend: Trend::new(),
        }
    }

    /// Returns a place for `charge` bytes; no block is parked.
    // Always: a function of its own would save the registers that its caller
    // has just saved.
    #[inline(always)]
    pub(crate) fn choose(&mut self, space: &mut Space, charge: u64) -> Option<Spot> {
        if charge > space.holes().largest_bound() {
            return None;
        }
        let hole = match self.fit {
            Fit::BinExact | Fit::BinCeil => most_recent_above(space.holes(), charge)?,
            Fit::Good { probes } => tightest(space.holes_mut(), charge, probes)?,
            Fit::Adaptive => return self.choose_adaptively(space, charge),
        };
        let at = space.holes().hole(hole).offset;
        Some(Spot { hole, at })
    }

    /// Returns whether the fit gives a request the newest hole that has exactly
    /// `charge` bytes; takes note of it if so.
    #[inline]
    pub(crate) fn takes_newest_of_its_size(&mut self, space: &Space, charge: u64) -> bool {
        match self.fit {
            Fit::Good { .. } | Fit::BinCeil => true,
            Fit::BinExact => {
                let scale = space.holes().scale();
                scale.bin_floor(charge) == scale.bin_ceil(charge)
            }
            Fit::Adaptive => match self.trend.regime() {
                Regime::Spread { small_max } | Regime::Twofold { small_max }
                    if charge <= small_max =>
                {
                    false
                }
                Regime::Spread { .. }
                | Regime::Twofold { .. }
                | Regime::Varied
                | Regime::Repeating => {
                    self.trend.record(charge, true);
                    true
                }
            },
        }
    }

    /// As [`takes_newest_of_its_size`](Self::takes_newest_of_its_size), or
    /// `false` where there is more to do than to count.
    #[inline]
    pub(crate) fn takes_repeat(&mut self, charge: u64) -> bool {
        match self.fit {
            Fit::Good { .. } | Fit::BinCeil => true,
            Fit::Adaptive => self.trend.record_repeat(charge),
            Fit::BinExact => false,
        }
    }

    /// Returns a place for `charge` bytes at a multiple of `step`, more than
    /// the granule; no block is parked.
    pub(crate) fn choose_aligned(
        &self,
        space: &mut Space,
        charge: u64,
        step: u64,
    ) -> Result<Option<Spot>, SlabFull> {
        if charge > space.holes().largest_bound() {
            return Ok(None);
        }
        // Holes begin at multiples of the granule, so this much reaches a
        // multiple of the step wherever a hole begins.
        let padded = charge.saturating_add(step - space.options().granule);
        let probes = match self.fit {
            Fit::BinExact | Fit::BinCeil => {
                let hole = most_recent_above(space.holes(), padded);
                return Ok(hole.and_then(|hole| spot_in(space.holes(), hole, charge, step)));
            }
            Fit::Good { probes } => probes,
            Fit::Adaptive => ADAPTIVE_PROBES,
        };
        let near = spot_nearby(space.holes(), probes as usize, charge, step);
        if near.is_some() {
            return Ok(near);
        }
        let found = match tightest(space.holes_mut(), padded, probes) {
            Some(hole) => Some(hole),
            None => first_with_room(space.holes_mut(), charge, step)?,
        };
        Ok(found.and_then(|hole| spot_in(space.holes(), hole, charge, step)))
    }

    /// Good fit, guided by the trend of the sizes.
    #[inline(always)]
    fn choose_adaptively(&mut self, space: &mut Space, charge: u64) -> Option<Spot> {
        let regime = self.trend.regime();
        let (hole, goes_high) = match regime {
            Regime::Spread { small_max } if charge <= small_max => {
                let hole = last_fit_in_order(space, charge)?;
                (hole, !space.is_open_end(hole))
            }
            Regime::Twofold { small_max } if charge <= small_max => {
                (last_fit(space, charge)?, true)
            }
            Regime::Spread { .. } | Regime::Twofold { .. } => {
                (tightest(space.holes_mut(), charge, SPREAD_PROBES)?, false)
            }
            Regime::Varied | Regime::Repeating => {
                let hole = tightest(space.holes_mut(), charge, ADAPTIVE_PROBES)?;
                let leaves_low = regime == Regime::Varied && space.is_lower_neighbor_larger(hole);
                (hole, leaves_low && !space.is_open_end(hole))
            }
        };
        let &Hole { offset, size, .. } = space.holes().hole(hole);
        self.trend.record(charge, size == charge);
        let at = select_unpredictable(goes_high, offset + size - charge, offset);
        Some(Spot { hole, at })
    }

    #[cfg(test)]
    pub(crate) fn trend_mut(&mut self) -> &mut Trend {
        &mut self.trend
    }
}

/// Returns the hole with the highest address that fits; a heap without room for
/// the index by address makes it any hole that fits.
fn last_fit(space: &mut Space, charge: u64) -> Option<u32> {
    match space.holes_mut().by_address() {
        Ok(by_address) => by_address.last_fit(charge),
        Err(SlabFull) => tightest(space.holes_mut(), charge, ADAPTIVE_PROBES),
    }
}

/// As [`last_fit`], but the open end of the range only if nothing else fits.
fn last_fit_in_order(space: &mut Space, charge: u64) -> Option<u32> {
    let last = last_fit(space, charge)?;
    if !space.is_open_end(last) {
        return Some(last);
    }
    match space.holes_mut().indexed() {
        Some(by_address) => by_address.last_fit_before(last, charge).or(Some(last)),
        None => Some(last),
    }
}

/// Returns the most recent hole of the lowest bin whose every hole fits.
fn most_recent_above(holes: &Holes, charge: u64) -> Option<u32> {
    let bin = holes
        .bins()
        .first_at_or_above(holes.scale().bin_ceil(charge))?;
    Some(holes.first_in_bin(bin))
}

/// Returns the tightest of the first `probes` holes of the request's own bin;
/// if none of them fits, of the next bin that has any.
// Always: as `choose`, and where it returns to there is little left to do.
#[inline(always)]
fn tightest(holes: &mut Holes, charge: u64, probes: u32) -> Option<u32> {
    let bins = holes.bins();
    let own = holes.scale().bin_floor(charge);
    let bin = bins.first_at_or_above(own)?;
    let found = probe(holes, bin, charge, probes);
    if found.is_some() {
        return found;
    }
    match bins.first_at_or_above(own + 1) {
        Some(bin) => probe(holes, bin, charge, probes),
        None => find_in_highest_bin(holes, own, charge),
    }
}

/// Returns the smallest hole of at least `charge` bytes among the first
/// `probes` of `bin`.
#[inline]
fn probe(holes: &Holes, bin: u32, charge: u64, probes: u32) -> Option<u32> {
    let mut best = None;
    let mut best_size = u64::MAX;
    let mut index = holes.first_in_bin(bin);
    for _ in 0..probes {
        if index == NO_HOLE {
            break;
        }
        steps::note(1);
        let hole = holes.hole(index);
        if hole.size == charge {
            return Some(index);
        }
        if hole.size > charge && hole.size <= best_size {
            (best, best_size) = (Some(index), hole.size);
        }
        index = holes.next_in_bin(index);
    }
    best
}

/// Returns a hole that fits of a bin above which all are empty: the smallest
/// of the first few, otherwise the one with the lowest address.
#[cold]
fn find_in_highest_bin(holes: &mut Holes, bin: u32, charge: u64) -> Option<u32> {
    if holes.tighten_bound() < charge {
        return None;
    }
    let fits = |&index: &u32| holes.hole(index).size >= charge;
    let first = holes.in_bin(bin).take(LAST_PROBES).filter(fits);
    let smallest = first.min_by_key(|&index| (holes.hole(index).size, index));
    if smallest.is_some() {
        return smallest;
    }
    match holes.indexed() {
        Some(by_address) => by_address.first_fit(charge),
        None => {
            let rest = holes
                .in_bin(bin)
                .filter(|&index| holes.hole(index).size >= charge);
            rest.min_by_key(|&index| holes.hole(index).offset)
        }
    }
}

/// Places a request in the first hole that takes it, of the first few of the
/// lowest bins.
fn spot_nearby(holes: &Holes, probes: usize, charge: u64, step: u64) -> Option<Spot> {
    let own = holes.scale().bin_floor(charge);
    let bins = holes.bins().iter_from(own).take(ALIGNED_BINS);
    let mut nearby = bins.flat_map(|bin| holes.in_bin(bin).take(probes));
    nearby.find_map(|hole| spot_in(holes, hole, charge, step))
}

#[inline]
fn spot_in(holes: &Holes, hole: u32, charge: u64, step: u64) -> Option<Spot> {
    let at = holes.hole(hole).place(charge, step)?;
    Some(Spot { hole, at })
}

/// Returns the hole with the lowest address that has `room` bytes behind a
/// multiple of `step`.
fn first_with_room(holes: &mut Holes, room: u64, step: u64) -> Result<Option<u32>, SlabFull> {
    if let Some(by_address) = holes.indexed() {
        return by_address.first_room(step, room);
    }
    let fitting = holes
        .iter()
        .filter(|&hole| holes.hole(hole).room(step) >= room);
    Ok(fitting.min_by_key(|&hole| holes.hole(hole).offset))
}

/// Returns the hole with the smallest room behind a multiple of `step` that
/// `fits`, of the first few holes of `least` bytes and more.
pub(crate) fn small_room(
    holes: &Holes,
    least: u64,
    step: u64,
    fits: impl Fn(u64) -> bool,
) -> Option<u32> {
    let own = holes.scale().bin_floor(least);
    let tightest = |bin| {
        let probed = holes.in_bin(bin).take(ROOM_PROBES);
        let rooms = probed.map(|hole| (holes.hole(hole).room(step), hole));
        rooms.filter(|&(room, _)| fits(room)).min()
    };
    let mut bins = holes.bins().iter_from(own).take(ROOM_BINS);
    bins.find_map(tightest).map(|(_, hole)| hole)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{allocator::OffsetAllocator, options::Options};

    /// Returns an allocator of 10,000 bytes that has seen the sizes many times, none of them exact.
    fn accustomed_to(sizes: [u64; 4]) -> OffsetAllocator {
        let mut allocator = OffsetAllocator::new(10_000).unwrap();
        for _ in 0..1000 {
            for size in sizes {
                allocator.chooser_mut().trend_mut().record(size, false);
            }
        }
        allocator
    }

    #[test]
    fn requests_are_recorded_with_whether_they_fill_a_hole() {
        let mut allocator = OffsetAllocator::new(6000).unwrap();
        let mut blocks: Vec<_> = (0..600).map(|_| allocator.allocate(10).unwrap()).collect();
        assert_eq!(allocator.chooser_mut().trend_mut().regime(), Regime::Varied);
        for _ in 0..600 {
            // Of two that are freed, one is kept for the next request and one is a hole.
            for at in [10, 20] {
                allocator.free(blocks.swap_remove(at)).unwrap();
            }
            blocks.extend([10, 10].map(|size| allocator.allocate(size).unwrap()));
        }
        assert_eq!(
            allocator.chooser_mut().trend_mut().regime(),
            Regime::Repeating
        );
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
        let _wall = allocator.allocate_at(9990, 5).unwrap();
        let regime = allocator.chooser_mut().trend_mut().regime();
        assert_eq!(regime, Regime::Spread { small_max: 257 });
        for (size, offset) in [(100, 9890), (258, 0), (257, 9633), (1000, 258)] {
            let token = allocator.allocate(size).unwrap();
            assert_eq!(token.offset(), offset, "{size} bytes");
        }
    }

    #[test]
    fn small_objects_are_in_order_at_the_end_of_what_is_used() {
        let mut allocator = accustomed_to([10, 10, 10, 1000]);
        for (size, offset) in [(100, 0), (258, 100), (257, 358), (1000, 615)] {
            let token = allocator.allocate(size).unwrap();
            assert_eq!(token.offset(), offset, "{size} bytes");
        }
    }

    #[test]
    fn small_objects_are_at_the_far_end_while_sizes_are_in_two_groups() {
        let mut allocator = accustomed_to([10, 10, 10, 2500]);
        let regime = allocator.chooser_mut().trend_mut().regime();
        assert_eq!(regime, Regime::Twofold { small_max: 316 });
        for (size, offset) in [(100, 9900), (2000, 0), (316, 9584)] {
            let token = allocator.allocate(size).unwrap();
            assert_eq!(token.offset(), offset, "{size} bytes");
        }
    }

    #[test]
    fn the_rest_of_a_hole_is_beside_the_larger_neighbor_while_sizes_vary() {
        for (before, after, offset) in [(3000, 10, 3100), (10, 3000, 10), (3000, 3000, 3000)] {
            let mut allocator = accustomed_to([1000, 5000, 1000, 5000]);
            assert_eq!(allocator.chooser_mut().trend_mut().regime(), Regime::Varied);
            let _ = allocator.allocate_at(0, before).unwrap();
            let _ = allocator.allocate_at(before + 500, after).unwrap();
            // The hole of 500 bytes between them is the smallest that fits.
            let token = allocator.allocate(400).unwrap();
            assert_eq!(token.offset(), offset, "between {before} and {after}");
        }
    }
}
