//! Runs of neighbors that have room for the hole, and what they cost at least.

use alloc::{collections::VecDeque, vec::Vec};

use super::{
    BlockCost, Price, RUNS_TRIED,
    ground::{Ground, Places},
};
use crate::{
    allocation::Allocation,
    space::{Content, Span},
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
        // Most ranges are too short wherever the hole begins in them: no division.
        if end.saturating_sub(start) < self.charge {
            return false;
        }
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
    /// What is larger, and may not leave, ends a run.
    charge_max: u64,
    /// The best runs, the one that costs least first.
    runs: Vec<Run>,
    /// The window that slides over one part.
    window: Window,
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
            charge_max: u64::MAX,
            runs: Vec::new(),
            window: Window::default(),
        }
    }

    /// Searches the whole range if it has no more nodes than may be visited,
    /// otherwise around some places.
    pub(super) fn search(
        &mut self,
        ground: &Ground<'_>,
        places: Places,
        nodes_visited_max: u32,
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) {
        if ground.space.node_count() <= nodes_visited_max {
            self.scan(ground.space.spans(), block_cost);
            return;
        }
        self.charge_max = ground.room_bytes_max;
        let hole = self.hole;
        ground.look_around(places, &hole, nodes_visited_max, |spans| {
            self.scan(spans.iter().copied(), block_cost);
        });
    }

    /// Returns the best runs, the one that costs least first.
    pub(super) fn into_runs(self) -> Vec<Run> {
        self.runs
    }

    /// Slides a window over spans that follow one another.
    fn scan(
        &mut self,
        spans: impl Iterator<Item = Span>,
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) {
        self.window.clear();
        for span in spans {
            let cost = match &span.content {
                Content::Live(allocation) => block_cost(allocation),
                Content::Free => BlockCost::movable(),
            };
            let is_large = span.free_bytes() == 0 && span.bytes > self.charge_max;
            if cost == BlockCost::IMMOVABLE || is_large && cost.eviction.is_none() {
                self.window.clear();
                continue;
            }
            self.window.push(span, cost);
            while let Some((first, _)) = self.window.spans.front()
                && self.hole.fits(first.end(), span.end())
            {
                self.window.pop();
            }
            self.judge(span.end());
        }
    }

    /// Keeps the run of the window if it is among the best.
    fn judge(&mut self, end: u64) {
        let window = &self.window;
        let Some((first, _)) = window.spans.front() else {
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
        let first = *first;
        self.runs.insert(at, Run { first, end, least });
    }
}

impl Window {
    /// Begins again, with the memory that it has.
    fn clear(&mut self) {
        self.spans.clear();
        (self.eviction_cost, self.moved_bytes) = (0, 0);
        (self.either_bytes, self.either_cost) = (0, 0);
    }

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
