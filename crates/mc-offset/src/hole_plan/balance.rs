//! Plans that keep what is free together, found by trying every way to clear a window.
//!
//! ```text
//!   │ a │  hole  │ b │ c │ hole │ d │      a window over b and c: b goes into the first hole, and c, if it
//!              └─ window ─┘                may leave, leaves, or goes where d is that may leave, too
//! ```
//!
//! Each block of a window leaves or moves to a *room*: a hole, or what neighbors that may leave make
//! of holes beside them. All combinations are tried, the largest block first, as far as a limit on
//! steps goes; a branch ends where it costs more than the best plan so far by more than holes could
//! make good. Blocks neither slide nor hop.

use alloc::{vec, vec::Vec};
use core::{cmp::Reverse, ops::Range};

mod layout;

use self::layout::{Block, Layout, Price, Room};
use super::{BlockCost, HoleOptions, HolePlan, MOVES_MAX, Move, Optimality, runs::Hole};
use crate::{allocation::Allocation, space::Space};

/// Steps of the search for one place of the hole, and for all of them.
const STEPS_OF_PLACE: u32 = 256;
const STEPS_MAX: usize = 4096;
/// Blocks that all steps together look at, about: a step may read the whole layout.
const WORK_MAX: usize = 1 << 18;
/// Hundredths of the mean hole that a better mean may make good of a price.
const SLACK_PERCENT: Price = 400;

/// Plans the hole as [`Preference::Together`](super::Preference::Together) says, if every node may be
/// visited.
pub(super) fn plan_together(
    space: &Space,
    hole: &Hole,
    options: &HoleOptions,
    moved_percent: u32,
    block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
) -> Option<HolePlan> {
    if space.node_count() > options.nodes_visited_max {
        return None;
    }
    let layout = Layout::read(space, block_cost);
    let steps = (WORK_MAX / layout.blocks.len().max(1)).min(STEPS_MAX);
    let mut search = Search {
        space,
        layout: &layout,
        moved_bytes_max: options.moved_bytes_max,
        moved_percent,
        slack: SLACK_PERCENT * i128::from(layout.mean_hole(|_| false, &[])),
        steps_left: u32::try_from(steps).unwrap_or(u32::MAX),
        best: None,
    };
    for window in layout.windows(hole, options.moved_bytes_max, moved_percent) {
        if search.is_beaten(window.least) || search.steps_left == 0 {
            break;
        }
        for target in layout.targets(hole, &window.blocks) {
            search.clear(&window.blocks, target);
        }
    }
    search.best.map(|(_, plan)| plan)
}

/// The search for the best plan.
#[derive(Debug)]
struct Search<'a> {
    space: &'a Space,
    layout: &'a Layout,
    moved_bytes_max: u64,
    moved_percent: u32,
    /// What holes may make good of a price that is too high.
    slack: Price,
    steps_left: u32,
    best: Option<(Price, HolePlan)>,
}

/// A plan for one place of the hole, as far as it is made.
#[derive(Debug)]
struct Attempt<'a> {
    target: Range<u64>,
    /// The blocks to be cleared away, the largest first.
    cleared: Vec<usize>,
    /// Rooms that are not in the way of the target.
    rooms: Vec<&'a Room>,
    /// For how many reasons each block leaves, or that it moves.
    gone: Vec<u8>,
    moves: Vec<(usize, Range<u64>)>,
    cost: u128,
    moved_bytes: u64,
    steps_left: u32,
}

impl<'a> Search<'a> {
    fn is_beaten(&self, price: Price) -> bool {
        let best = self.best.as_ref();
        best.is_some_and(|(best, _)| *best <= price - self.slack)
    }

    fn price(&self, attempt: &Attempt<'_>) -> Price {
        let cost = i128::try_from(attempt.cost).unwrap_or(i128::MAX / 200);
        100 * cost + i128::from(attempt.moved_bytes) * i128::from(self.moved_percent)
    }

    /// Tries all ways to clear a target in a window.
    fn clear(&mut self, window: &Range<usize>, target: Range<u64>) {
        let layout = self.layout;
        let is_hit = |block: &Block| block.offset < target.end && target.start < block.end();
        let mut cleared: Vec<usize> = window
            .clone()
            .filter(|&at| is_hit(&layout.blocks[at]))
            .collect();
        cleared.sort_by_key(|&at| Reverse(layout.blocks[at].charge));
        let smallest = cleared.last().map_or(0, |&at| layout.blocks[at].charge);
        let is_outside = |room: &&Room| {
            let is_before = room.leaving.end <= window.start;
            let is_behind = room.hole >= window.end;
            (is_before || is_behind) && room.range.end - room.range.start >= smallest
        };
        let mut attempt = Attempt {
            rooms: layout.rooms.iter().filter(is_outside).collect(),
            target,
            cleared,
            gone: vec![0; layout.blocks.len()],
            moves: Vec::new(),
            cost: 0,
            moved_bytes: 0,
            steps_left: STEPS_OF_PLACE.min(self.steps_left),
        };
        let steps = attempt.steps_left;
        self.clear_from(&mut attempt, 0);
        self.steps_left -= steps - attempt.steps_left;
    }

    /// Tries all ways to clear what is left, from one block on.
    fn clear_from(&mut self, attempt: &mut Attempt<'a>, at: usize) {
        if attempt.steps_left == 0 || self.is_beaten(self.price(attempt)) {
            return;
        }
        attempt.steps_left -= 1;
        let Some(&index) = attempt.cleared.get(at) else {
            self.keep(attempt);
            return;
        };
        let block = self.layout.blocks[index];
        let size = block.allocation.size();
        let has_budget = size <= self.moved_bytes_max - attempt.moved_bytes;
        if block.cost.is_movable() && has_budget && attempt.moves.len() < MOVES_MAX {
            for (to, leaving) in self.rooms_for(attempt, &block) {
                attempt.moves.push((index, to..to + block.charge));
                attempt.gone[index] += 1;
                attempt.moved_bytes += size;
                let cost = attempt.leave(self.layout, leaving.clone());
                self.clear_from(attempt, at + 1);
                attempt.stay(leaving, cost);
                attempt.moved_bytes -= size;
                attempt.gone[index] -= 1;
                attempt.moves.pop();
            }
        }
        if block.cost.eviction.is_some() {
            let cost = attempt.leave(self.layout, index..index + 1);
            self.clear_from(attempt, at + 1);
            attempt.stay(index..index + 1, cost);
        }
    }

    /// Returns the rooms that a block may go to, those that cost least first, and who leaves for
    /// each: of those that nobody leaves for the tightest.
    fn rooms_for(&self, attempt: &Attempt<'_>, block: &Block) -> Vec<(u64, Range<usize>)> {
        let step = self.space.options().step(block.cost.align);
        let mut found: Vec<(u128, u64, u64, Range<usize>)> = Vec::new();
        let mut last = None;
        for room in &attempt.rooms {
            // A larger one that begins with the same hole costs more.
            if last == Some(room.hole) {
                continue;
            }
            let rest = attempt.rest(room);
            let Some(to) = rest.start.checked_next_multiple_of(step) else {
                continue;
            };
            if to
                .checked_add(block.charge)
                .is_none_or(|end| end > rest.end)
            {
                continue;
            }
            last = Some(room.hole);
            let cost = attempt.cost_of(self.layout, room.leaving.clone());
            found.push((cost, rest.end - rest.start, to, room.leaving.clone()));
        }
        found.sort_unstable_by_key(|&(cost, bytes, to, _)| (cost, bytes, to));
        let dear_from = found.partition_point(|(cost, ..)| *cost == 0);
        let found = found.into_iter().enumerate();
        let found = found.filter(|(at, _)| *at == 0 || *at >= dear_from);
        found
            .map(|(_, (_, _, to, leaving))| (to, leaving))
            .collect()
    }

    /// Keeps a plan if it is the best so far.
    fn keep(&mut self, attempt: &Attempt<'_>) {
        let mut taken: Vec<Range<u64>> = attempt.moves.iter().map(|(_, to)| to.clone()).collect();
        taken.push(attempt.target.clone());
        taken.sort_unstable_by_key(|range| range.start);
        let mean = self.layout.mean_hole(|at| attempt.gone[at] > 0, &taken);
        let price = self.price(attempt) - 100 * i128::from(mean);
        if self.best.as_ref().is_some_and(|(best, _)| *best <= price) {
            return;
        }
        let blocks = &self.layout.blocks;
        let is_moved = |at: usize| attempt.moves.iter().any(|&(moved, _)| moved == at);
        let leaving = (0..blocks.len()).filter(|&at| attempt.gone[at] > 0 && !is_moved(at));
        let moves = attempt.moves.iter().map(|(moved, to)| Move {
            allocation: blocks[*moved].allocation,
            from: blocks[*moved].offset,
            to: to.start,
        });
        let plan = HolePlan {
            window: attempt.target.clone(),
            evictions: leaving.map(|at| blocks[at].allocation).collect(),
            moves: moves.collect(),
            moved_bytes: attempt.moved_bytes,
            cost: attempt.cost,
            optimality: Optimality::Unknown,
        };
        self.best = Some((price, plan));
    }
}

impl Attempt<'_> {
    /// Returns what of a room is neither the target's nor before a place that is taken.
    fn rest(&self, room: &Room) -> Range<u64> {
        let Range { start, end } = room.range;
        let is_above = start >= self.target.start;
        let start = if is_above {
            start.max(self.target.end)
        } else {
            start
        };
        let end = if is_above {
            end
        } else {
            end.min(self.target.start)
        };
        let taken = self.moves.iter().map(|(_, to)| to);
        let within = taken.filter(|to| to.start < end && start < to.end);
        within.map(|to| to.end).max().unwrap_or(start).min(end)..end
    }

    /// Returns what it costs that some blocks leave, unless they do so anyway.
    fn cost_of(&self, layout: &Layout, blocks: Range<usize>) -> u128 {
        let leaving = blocks.filter(|&at| self.gone[at] == 0);
        let costs = leaving.map(|at| layout.blocks[at].cost.eviction.unwrap_or(0));
        costs.map(u128::from).sum()
    }

    /// Lets blocks leave, for one more reason; returns what that costs.
    fn leave(&mut self, layout: &Layout, blocks: Range<usize>) -> u128 {
        let cost = self.cost_of(layout, blocks.clone());
        blocks.for_each(|at| self.gone[at] += 1);
        self.cost += cost;
        cost
    }

    /// Takes back that blocks leave, for one reason.
    fn stay(&mut self, blocks: Range<usize>, cost: u128) {
        blocks.for_each(|at| self.gone[at] -= 1);
        self.cost -= cost;
    }
}
