//! Runs of neighbors that have room for the hole, and what they cost at least.

use alloc::{collections::VecDeque, vec::Vec};
use core::ops::ControlFlow;

use super::{BlockCost, HOLES_TRIED, Price, RUNS_TRIED, spares::Spares};
use crate::{
    allocation::Allocation,
    space::{Content, Space, Span},
};

/// The hole to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub(super) charge: u64,
    /// Bytes to whose multiples it is aligned.
    pub(super) step: u64,
}

impl Hole {
    /// Returns whether there is a place for it from `start` to `end`.
    pub(super) fn fits(&self, start: u64, end: u64) -> bool {
        let aligned = start.checked_next_multiple_of(self.step);
        let room = aligned.and_then(|at| end.checked_sub(at));
        room.is_some_and(|room| room >= self.charge)
    }
}

/// Neighbors that have room for the hole once they are gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) first: Span,
    pub(super) end: u64,
    /// No plan for the run costs less, nor as much with fewer bytes moved.
    pub(super) least: Price,
}

/// A search over one or more parts of the range.
#[derive(Debug)]
pub(super) struct RunSearch {
    hole: Hole,
    moved_bytes_max: u64,
    /// The best runs, the one that costs least first.
    runs: Vec<Run>,
}

/// The sums over a window that is slid along the range.
#[derive(Debug, Default)]
struct Window {
    spans: VecDeque<(Span, BlockCost)>,
    /// Costs of those that can only be evicted.
    eviction_cost: u128,
    /// Bytes of those that can only be moved.
    moved_bytes: u64,
    /// Bytes of those that can be moved or evicted, and their costs.
    either_bytes: u64,
    either_cost: u128,
}

impl RunSearch {
    pub(super) fn new(hole: Hole, moved_bytes_max: u64) -> Self {
        Self {
            hole,
            moved_bytes_max,
            runs: Vec::new(),
        }
    }

    /// Searches the whole range if it has no more nodes than may be visited,
    /// otherwise around spares and the largest holes; returns which.
    pub(super) fn search(
        &mut self,
        space: &Space,
        spares: &Spares,
        nodes_visited_max: u32,
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) -> bool {
        if space.node_count() <= nodes_visited_max {
            self.scan(space.spans(), block_cost);
            return true;
        }
        let mut left = nodes_visited_max as usize;
        // Half of the nodes are around spares, if there are any.
        let count = spares.spans().len().min(HOLES_TRIED);
        for span in spares.spans().take(count) {
            let share = nodes_visited_max as usize / (2 * count);
            left -= self.scan_around(space, span, share, block_cost);
        }
        let mut holes = HOLES_TRIED;
        space.holes().largest_holes(|hole| {
            let share = left / holes;
            left -= self.scan_around(space, space.span_of_hole(hole), share, block_cost);
            holes -= 1;
            if holes == 0 || left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        false
    }

    /// Returns the best runs, the one that costs least first.
    pub(super) fn into_runs(self) -> Vec<Run> {
        self.runs
    }

    /// Searches among the neighbors of a span; returns how many were visited.
    fn scan_around(
        &mut self,
        space: &Space,
        middle: Span,
        visited_max: usize,
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) -> usize {
        if visited_max == 0 {
            return 0;
        }
        let reach = self.hole.charge.saturating_add(self.hole.step);
        let mut spans = VecDeque::from([middle]);
        let (mut before, mut after) = (Some(middle), Some(middle));
        while spans.len() + 2 <= visited_max && (before.is_some() || after.is_some()) {
            before = before.and_then(|span| space.span_before(&span));
            before = before.filter(|span| middle.offset - span.end() < reach);
            if let Some(span) = before {
                spans.push_front(span);
            }
            after = after.and_then(|span| space.span_after(&span));
            after = after.filter(|span| span.offset - middle.end() < reach);
            spans.extend(after);
        }
        let visited = spans.len();
        self.scan(spans.into_iter(), block_cost);
        visited
    }

    /// Slides a window over spans that follow one another.
    fn scan(
        &mut self,
        spans: impl Iterator<Item = Span>,
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) {
        let mut window = Window::default();
        for span in spans {
            let cost = match &span.content {
                Content::Live(allocation) => block_cost(allocation),
                Content::Free => BlockCost::movable(),
            };
            if cost == BlockCost::IMMOVABLE {
                window = Window::default();
                continue;
            }
            window.push(span, cost);
            while let Some((first, _)) = window.spans.front()
                && self.hole.fits(first.end(), span.end())
            {
                window.pop();
            }
            self.judge(&window, span.end());
        }
    }

    /// Keeps the run of a window if it is among the best.
    fn judge(&mut self, window: &Window, end: u64) {
        let Some(&(first, _)) = window.spans.front() else {
            return;
        };
        if !self.hole.fits(first.offset, end) {
            return;
        }
        let is_beaten = |least: Price| {
            self.runs.len() == RUNS_TRIED
                && self.runs.last().is_some_and(|last| last.least <= least)
        };
        if window.moved_bytes > self.moved_bytes_max || is_beaten((window.eviction_cost, 0)) {
            return;
        }
        let least = window.least(self.moved_bytes_max);
        if is_beaten(least) {
            return;
        }
        // The surroundings of two holes may overlap.
        let is_known = |run: &Run| (run.first.offset, run.end) == (first.offset, end);
        if self.runs.iter().any(is_known) {
            return;
        }
        let at = self.runs.partition_point(|run| run.least <= least);
        self.runs.truncate(RUNS_TRIED - 1);
        self.runs.insert(at, Run { first, end, least });
    }
}

impl Window {
    fn push(&mut self, span: Span, cost: BlockCost) {
        self.spans.push_back((span, cost));
        let bytes = moved_bytes(&span);
        match (cost.is_movable(), cost.eviction) {
            (true, None) => self.moved_bytes += bytes,
            (true, Some(eviction)) => {
                self.either_bytes += bytes;
                self.either_cost += u128::from(eviction);
            }
            (false, eviction) => self.eviction_cost += u128::from(eviction.unwrap_or(0)),
        }
    }

    fn pop(&mut self) {
        let Some((span, cost)) = self.spans.pop_front() else {
            return;
        };
        let bytes = moved_bytes(&span);
        match (cost.is_movable(), cost.eviction) {
            (true, None) => self.moved_bytes -= bytes,
            (true, Some(eviction)) => {
                self.either_bytes -= bytes;
                self.either_cost -= u128::from(eviction);
            }
            (false, eviction) => self.eviction_cost -= u128::from(eviction.unwrap_or(0)),
        }
    }

    /// Returns what clearing the window costs at least.
    fn least(&self, moved_bytes_max: u64) -> Price {
        let room = moved_bytes_max - self.moved_bytes;
        if self.either_bytes <= room {
            return (self.eviction_cost, self.moved_bytes + self.either_bytes);
        }
        if room == 0 {
            return (self.eviction_cost + self.either_cost, self.moved_bytes);
        }
        // As if the last one could be evicted in part.
        let mut excess = u128::from(self.either_bytes - room);
        let mut cost = self.eviction_cost;
        for (bytes, eviction) in cheapest_by_byte(self.spans.iter().copied()) {
            let (bytes, eviction) = (u128::from(bytes), u128::from(eviction));
            if bytes >= excess {
                cost += (eviction * excess).div_ceil(bytes);
                break;
            }
            excess -= bytes;
            cost += eviction;
        }
        (cost, self.moved_bytes)
    }
}

/// Returns bytes and costs of those that can be moved or evicted, those that
/// cost least by the byte first.
fn cheapest_by_byte(spans: impl Iterator<Item = (Span, BlockCost)>) -> Vec<(u64, u64)> {
    let either = spans.filter(|(_, cost)| cost.is_movable());
    let either = either.filter_map(|(span, cost)| Some((moved_bytes(&span), cost.eviction?)));
    let mut either: Vec<(u64, u64)> = either.collect();
    either.sort_unstable_by(|&(a_bytes, a), &(b_bytes, b)| {
        let (left, right) = (
            u128::from(a) * u128::from(b_bytes),
            u128::from(b) * u128::from(a_bytes),
        );
        left.cmp(&right)
    });
    either
}

/// Returns the bytes that moving a span copies.
pub(super) fn moved_bytes(span: &Span) -> u64 {
    match &span.content {
        Content::Live(allocation) => allocation.size(),
        Content::Free => 0,
    }
}
