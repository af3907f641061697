//! A large hole that one neighbor makes large enough by moving elsewhere.
//!
//! Where there are many nodes, that is how most holes can be made, and all there is to read are a
//! few spans: so it is tried before any search.

use core::ops::Range;

use alloc::{vec, vec::Vec};

use super::{BlockCost, HoleOptions, HolePlan, Move, Optimality, runs::Hole};
use crate::{
    allocation::Allocation,
    space::{Content, Space, Span},
};

/// Largest holes whose neighbors are looked at.
const HOLES_TRIED: usize = 4;
/// Holes that are looked at for the block to go to.
const HOLES_PROBED: usize = 4;

/// Plans the hole by one move out of the way, of the smallest neighbor of a large hole that there is
/// a room for; where there is a hole already, that is for others to find.
pub(super) fn plan_one_move(
    space: &Space,
    hole: &Hole,
    options: &HoleOptions,
    block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
) -> Option<HolePlan> {
    let mut neighbors: Vec<(u64, Range<u64>, Allocation)> = Vec::new();
    for index in space.holes().iter_down().take(HOLES_TRIED) {
        let middle = space.span_of_hole(index);
        if hole.fits(middle.offset, middle.end()) {
            break;
        }
        for neighbor in [space.span_before(&middle), space.span_after(&middle)] {
            let Some(neighbor) = neighbor else { continue };
            let Content::Live(allocation) = neighbor.content else {
                continue;
            };
            let range = freed(space, &middle, &neighbor);
            let fits = hole.fits(range.start, range.end);
            if fits && allocation.size() <= options.moved_bytes_max {
                neighbors.push((neighbor.bytes, range, allocation));
            }
        }
    }
    neighbors.sort_unstable_by_key(|(bytes, range, _)| (*bytes, range.start));
    let found = neighbors
        .into_iter()
        .find_map(|(bytes, range, allocation)| {
            let cost = block_cost(&allocation);
            let step = space.options().step(cost.align.max(1));
            let to = || elsewhere(space, &range, bytes, step);
            let to = cost.is_movable().then(to).flatten()?;
            Some((range, allocation, to))
        });
    let (range, allocation, to) = found?;
    let start = range.start.next_multiple_of(hole.step);
    Some(HolePlan {
        window: start..start + hole.charge,
        evictions: Vec::new(),
        moves: vec![Move {
            allocation,
            from: allocation.offset(),
            to,
        }],
        moved_bytes: allocation.size(),
        cost: 0,
        optimality: Optimality::Unknown,
    })
}

/// Returns what is free once a neighbor of a hole has moved: both, and the hole behind it.
fn freed(space: &Space, hole: &Span, neighbor: &Span) -> Range<u64> {
    if neighbor.offset < hole.offset {
        neighbor.offset - space.free_before(neighbor)..hole.end()
    } else {
        hole.offset..neighbor.end() + space.free_after(neighbor)
    }
}

/// Returns where so many bytes fit outside of a range, in a hole of a bin in which all holes do.
fn elsewhere(space: &Space, outside: &Range<u64>, charge: u64, step: u64) -> Option<u64> {
    let holes = space.holes();
    let bins = holes.bins().iter_from(holes.scale().bin_ceil(charge));
    let mut probed = bins.flat_map(|bin| holes.in_bin(bin)).take(HOLES_PROBED);
    probed.find_map(|index| {
        let hole = holes.hole(index);
        let is_inside = outside.start <= hole.offset && hole.end() <= outside.end;
        if is_inside {
            None
        } else {
            hole.place(charge, step)
        }
    })
}
