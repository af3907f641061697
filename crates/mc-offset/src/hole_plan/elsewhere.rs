//! Rooms for what moves that are not beside the window.

use alloc::vec::Vec;
use core::ops::Range;

use super::ground::Ground;

/// Bins, and holes in each, that are looked at for a room.
const ROOM_BINS: usize = 3;
const ROOM_PROBES: usize = 8;
/// Largest holes that are looked at if none of those will do.
const LARGEST_PROBED: usize = 4;

/// The rooms that there are, less what moves have taken.
#[derive(Debug)]
pub(super) struct Elsewhere<'a> {
    ground: &'a Ground<'a>,
    /// Where the moves so far go, one place for each, wherever it is.
    taken: Vec<Range<u64>>,
}

impl<'a> Elsewhere<'a> {
    pub(super) fn new(ground: &'a Ground<'a>) -> Self {
        Self {
            ground,
            taken: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, place: Range<u64>) {
        self.taken.push(place);
    }

    pub(super) fn taken(&self) -> &[Range<u64>] {
        &self.taken
    }

    /// Returns an offset for so many bytes at a multiple of `step`, in a hole
    /// that is not in a range, or where a spare allocation is.
    pub(super) fn room(&self, outside: &Range<u64>, charge: u64, step: u64) -> Option<u64> {
        let holes = self.ground.space.holes();
        let rest_outside = |hole: Range<u64>| {
            let is_inside = outside.start <= hole.start && hole.end <= outside.end;
            if is_inside { 0..0 } else { self.rest(hole) }
        };
        let spares = self.ground.spares.rooms_outside(outside);
        let spares = spares.map(|room| self.rest(room));
        let own = holes.scale().bin_floor(charge);
        let bins = holes.bins().iter_from(own).take(ROOM_BINS);
        let near = bins.flat_map(|bin| holes.in_bin(bin).take(ROOM_PROBES));
        let near = near.map(|hole| holes.hole(hole).offset..holes.hole(hole).end());
        let found = tightest(near.map(rest_outside).chain(spares), charge, step);
        if found.is_some() {
            return found;
        }
        let largest = self.ground.largest.iter().take(LARGEST_PROBED);
        let largest = largest.map(|hole| hole.offset..hole.end());
        tightest(largest.map(rest_outside), charge, step)
    }

    /// Returns what of a room is behind all that the moves so far have taken
    /// of it.
    pub(super) fn rest(&self, room: Range<u64>) -> Range<u64> {
        let within = self
            .taken
            .iter()
            .filter(|taken| taken.start < room.end && room.start < taken.end);
        let start = within.map(|taken| taken.end.min(room.end)).max();
        start.unwrap_or(room.start)..room.end
    }
}

/// Returns the first multiple of `step` in the smallest range that has `charge`
/// bytes behind one.
pub(super) fn tightest(
    ranges: impl Iterator<Item = Range<u64>>,
    charge: u64,
    step: u64,
) -> Option<u64> {
    let fitting = ranges.filter_map(|range| {
        let at = range.start.checked_next_multiple_of(step)?;
        let is_large_enough = at.checked_add(charge)? <= range.end;
        is_large_enough.then_some((range.end - range.start, at))
    });
    fitting.min().map(|(_, at)| at)
}
