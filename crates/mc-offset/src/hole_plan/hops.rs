//! Holes that grow by letting their neighbors hop over them.
//!
//! ```text
//!   │ hole │ a │ hole │ b │   hole        │        b hops to the far end, then a beside it, and
//!   │            hole            │ a │ b │        all three holes are one
//! ```
//!
//! A block that is no larger than the hole beside it moves to the hole's far
//! end, where nothing of it is where it was; then the hole behind it is part of
//! the hole. So the bytes of a long stretch come together though there is no
//! room for its blocks anywhere else. A block for which there is a room goes
//! there, as the hole gains its bytes, too.

use alloc::vec::Vec;
use core::ops::Range;

use super::{
    BlockCost, HOLES_TRIED, HoleOptions, HolePlan, MOVES_MAX, Move, Optimality, better,
    elsewhere::Elsewhere, ground::Ground, runs::Hole, spares::evictions,
};
use crate::{
    allocation::Allocation,
    space::{Content, Span},
};

/// Holes that are grown, and as many allocations that count as holes, where not
/// all nodes may be visited.
const HOLES_GROWN: usize = 4;

/// Where the blocks that hop are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Below,
    Above,
}

/// Plans to make the hole by letting one that there is, or the room of a spare
/// allocation, grow to one side, within the budget of the options.
pub(super) fn plan_hops(
    ground: &Ground<'_>,
    hole: &Hole,
    options: &HoleOptions,
    block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
) -> Option<HolePlan> {
    let Ground {
        space,
        spares,
        largest,
        ..
    } = ground;
    // Where all nodes may be visited, each hole may grow as far as the budget goes.
    let is_complete = space.node_count() <= options.nodes_visited_max;
    let count = if is_complete {
        HOLES_TRIED
    } else {
        HOLES_GROWN
    };
    let mut starts: Vec<Span> = spares.spans().take(count).collect();
    starts.extend(largest.iter().take(count));
    let visits_max = match is_complete {
        true => space.node_count() as usize,
        false => options.nodes_visited_max as usize / (2 * starts.len().max(1)),
    };
    let mut best = None;
    for start in starts {
        for side in [Side::Below, Side::Above] {
            let mut growth = Growth::new(ground, start, side);
            if growth.grow(hole, options.moved_bytes_max, visits_max, block_cost) {
                best = better(best, Some(growth.finish(hole)));
            }
        }
    }
    best
}

/// A hole that grows.
struct Growth<'a> {
    ground: &'a Ground<'a>,
    side: Side,
    free: Range<u64>,
    /// All that has been part of it, those that hopped included.
    reach: Range<u64>,
    /// The last span that was looked at on the side.
    edge: Span,
    elsewhere: Elsewhere<'a>,
    moves: Vec<Move>,
    moved_bytes: u64,
    /// Allocations that leave if something goes where they are, with what that
    /// costs.
    leaving: Vec<(Allocation, u64, Range<u64>)>,
}

impl<'a> Growth<'a> {
    /// Begins with a hole, or with an allocation that is as good as one.
    fn new(ground: &'a Ground<'a>, start: Span, side: Side) -> Self {
        let space = ground.space;
        let free = match side {
            Side::Below => start.offset..start.end() + space.free_after(&start),
            Side::Above => start.offset - space.free_before(&start)..start.end(),
        };
        Self {
            ground,
            side,
            reach: free.clone(),
            free,
            edge: start,
            elsewhere: Elsewhere::new(ground),
            moves: Vec::new(),
            moved_bytes: 0,
            leaving: Vec::new(),
        }
    }

    /// Grows until the hole has room; returns whether it has.
    fn grow(
        &mut self,
        hole: &Hole,
        moved_bytes_max: u64,
        visits_max: usize,
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) -> bool {
        for _ in 0..visits_max {
            if hole.fits(self.free.start, self.free.end) {
                return true;
            }
            let Some(next) = self.next() else {
                return false;
            };
            let is_gained = match next.content {
                Content::Free => self.gain_hole(&next),
                Content::Live(allocation) => {
                    let cost = block_cost(&allocation);
                    match cost.eviction {
                        Some(eviction) if !cost.is_movable() => {
                            let place = next.offset..next.end();
                            self.leaving.push((allocation, eviction, place));
                            self.gain_hole(&next)
                        }
                        _ => {
                            let left = moved_bytes_max - self.moved_bytes;
                            let is_possible = cost.is_movable() && allocation.size() <= left;
                            is_possible && self.move_away(&next, allocation, cost)
                        }
                    }
                }
            };
            if !is_gained {
                return false;
            }
            self.edge = next;
        }
        false
    }

    fn next(&self) -> Option<Span> {
        match self.side {
            Side::Below => self.ground.space.span_before(&self.edge),
            Side::Above => self.ground.space.span_after(&self.edge),
        }
    }

    fn gain(&mut self, span: &Span) {
        match self.side {
            Side::Below => self.free.start = span.offset,
            Side::Above => self.free.end = span.end(),
        }
        self.reach.start = self.reach.start.min(span.offset);
        self.reach.end = self.reach.end.max(span.end());
    }

    /// Adds what is free, unless something was moved into it.
    fn gain_hole(&mut self, span: &Span) -> bool {
        let whole = span.offset..span.end();
        let is_whole = self.elsewhere.rest(whole.clone()) == whole;
        if is_whole {
            self.gain(span);
        }
        is_whole
    }

    /// Moves the block at the edge elsewhere or over the hole.
    fn move_away(&mut self, span: &Span, allocation: Allocation, cost: BlockCost) -> bool {
        if self.moves.len() == MOVES_MAX {
            return false;
        }
        let step = self.ground.space.options().step(cost.align);
        let charge = span.bytes;
        // The hole behind the block is gained anyway.
        let (before, after) = match self.side {
            Side::Below => (self.ground.space.span_before(span), None),
            Side::Above => (None, self.ground.space.span_after(span)),
        };
        let start = before.map_or(span.offset, |span| span.offset);
        let end = after.map_or(span.end(), |span| span.end());
        let around = start.min(self.reach.start)..end.max(self.reach.end);
        let may_fit = charge <= self.ground.room_bytes_max;
        let room = || self.elsewhere.room(&around, charge, step);
        if let Some(to) = may_fit.then(room).flatten() {
            self.push_move(allocation, charge, to);
            self.gain(span);
            return true;
        }
        let Some(to) = self.far_end(charge, step) else {
            return false;
        };
        self.push_move(allocation, charge, to);
        match self.side {
            Side::Below => self.free.end = to,
            Side::Above => self.free.start = to + charge,
        }
        self.gain(span);
        true
    }

    /// Returns where a block lies at the far end of the hole.
    fn far_end(&self, charge: u64, step: u64) -> Option<u64> {
        let Range { start, end } = self.free;
        let to = match self.side {
            Side::Below => {
                let last = end.checked_sub(charge)?;
                last - last % step
            }
            Side::Above => start.checked_next_multiple_of(step)?,
        };
        (start <= to && to.checked_add(charge)? <= end).then_some(to)
    }

    fn push_move(&mut self, allocation: Allocation, charge: u64, to: u64) {
        self.elsewhere.take(to..to + charge);
        self.moved_bytes += allocation.size();
        self.moves.push(Move {
            allocation,
            from: allocation.offset(),
            to,
        });
    }

    fn finish(self, hole: &Hole) -> HolePlan {
        let start = self.free.start.next_multiple_of(hole.step);
        let window = start..start + hole.charge;
        let mut used = self.elsewhere.taken().to_vec();
        used.push(window.clone());
        let is_used = |place: &Range<u64>| {
            used.iter()
                .any(|used| used.start < place.end && place.start < used.end)
        };
        let leaving = self.leaving.iter().filter(|(.., place)| is_used(place));
        let leaving = leaving.map(|&(allocation, cost, _)| (allocation, cost));
        let (evictions, cost) = evictions(leaving.chain(self.ground.spares.in_any(&used)));
        HolePlan {
            window,
            evictions,
            moves: self.moves,
            moved_bytes: self.moved_bytes,
            cost,
            optimality: Optimality::Unknown,
        }
    }
}
