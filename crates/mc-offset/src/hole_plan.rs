//! What to move and what to evict to make a hole.
//!
//! `runs` finds stretches of neighbors that are large enough once their
//! allocations are gone, by what that costs at the least; `rooms` finds where
//! the allocations of one stretch go, and in which order. This file tries the
//! stretches, the cheapest first, until none that is left can be better than
//! the best plan so far. If what is in a stretch finds no room, `hops` lets a
//! hole grow over its neighbors. `balance` tries all combinations for one window
//! after another, so that what is free stays together. `one_move` looks for one
//! neighbor to move where there are many nodes. `ground` knows what
//! all of them look at, `spares` the allocations that count as holes, and
//! `elsewhere` the rooms that are not beside the hole.

use alloc::vec::Vec;
use core::{cmp::Ordering, ops::Range};

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    space::{Content, Span},
};

mod balance;
mod elsewhere;
mod ground;
mod hops;
mod one_move;
mod rooms;
mod runs;
mod spares;

use self::{
    balance::plan_together,
    ground::{Ground, Places},
    hops::plan_hops,
    one_move::plan_one_move,
    rooms::plan_run,
    runs::{Hole, RunSearch},
};

/// Stretches for which a plan is tried.
const RUNS_TRIED: usize = 8;
/// Largest holes that are looked around at, where not all nodes may be visited.
const HOLES_TRIED: usize = 16;
/// Moves of a plan at most: the search for rooms takes their square.
const MOVES_MAX: usize = 1024;

/// What hole to make, and how much it may take.
///
/// ```
/// use mc_offset::HoleOptions;
///
/// let options = HoleOptions { align: 4096, ..HoleOptions::new(1 << 20) };
/// assert_eq!(options.moved_bytes_max, 1 << 18);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoleOptions {
    /// Bytes that the hole is for.
    pub size: u64,
    /// The multiple at which they begin, a power of two.
    pub align: u64,
    /// Bytes that the moves of a plan may copy in all.
    pub moved_bytes_max: u64,
    /// Allocations and holes that may be looked at in the search for a place.
    pub nodes_visited_max: u32,
    /// What makes one plan better than another.
    pub preference: Preference,
}

/// What makes one plan better than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preference {
    /// Evictions that cost less; then, fewer bytes moved.
    #[default]
    Cheap,
    /// Evictions that cost less, in bytes, and what is free in few large holes: a
    /// plan may cost as many bytes more as the hole of a free byte is larger then,
    /// on average.
    ///
    /// If all nodes may be visited, every combination of moves into holes and
    /// evictions is tried, up to a limit on the time. If that finds no plan, or
    /// there are more nodes, it is as for [`Cheap`](Self::Cheap).
    Together {
        /// Hundredths of a byte that a moved byte costs.
        moved_percent: u32,
    },
}

impl HoleOptions {
    /// Returns the defaults for `size` bytes: byte alignment, moves of a quarter
    /// of the size, 256 nodes.
    pub const fn new(size: u64) -> Self {
        Self {
            size,
            align: 1,
            moved_bytes_max: size / 4,
            nodes_visited_max: 256,
            preference: Preference::Cheap,
        }
    }
}

/// What may be done with an allocation that is in the way, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCost {
    /// The multiple that it may be moved to; 0 if it must not be moved.
    align: u64,
    eviction: Option<u64>,
}

impl BlockCost {
    /// The allocation stays where it is.
    pub const IMMOVABLE: Self = Self {
        align: 0,
        eviction: None,
    };

    /// Returns the cost of an allocation that may be moved to any offset.
    pub const fn movable() -> Self {
        Self::movable_to(1)
    }

    /// Returns the cost of an allocation that may be moved to multiples of
    /// `align`, a power of two; there are none of any other, so that it stays.
    pub const fn movable_to(align: u64) -> Self {
        Self {
            align: if align.is_power_of_two() { align } else { 0 },
            eviction: None,
        }
    }

    /// Returns the cost of an allocation that may be evicted, at a cost in any
    /// unit.
    pub const fn evictable(cost: u64) -> Self {
        Self::IMMOVABLE.or_evictable(cost)
    }

    /// Returns the cost of an allocation that may also be evicted.
    pub const fn or_evictable(self, cost: u64) -> Self {
        Self {
            eviction: Some(cost),
            ..self
        }
    }

    /// Returns whether moving it can be worth it: what costs nothing to evict
    /// is evicted.
    const fn is_movable(self) -> bool {
        self.align.is_power_of_two() && !self.is_nothing()
    }

    /// Returns whether the allocation is as good as a hole.
    const fn is_nothing(self) -> bool {
        matches!(self.eviction, Some(0))
    }
}

/// One step of a [`HolePlan`]: the bytes of an allocation are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Move {
    /// The allocation as it was when the plan was made. In the second of its
    /// two steps, if it goes by way of a temporary place, the token that the
    /// first one allocated stands for it.
    pub allocation: Allocation,
    /// Offset that its bytes come from.
    pub from: u64,
    /// Offset that they go to. The bytes there are free when all steps before
    /// this one are done, and none of them are where the allocation comes from.
    pub to: u64,
}

impl Move {
    /// Returns the bytes to copy.
    pub const fn size(&self) -> u64 {
        self.allocation.size()
    }
}

/// How good a plan is, among all that there could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Optimality {
    /// No plan within the budget costs less, nor as much with fewer bytes
    /// moved.
    Optimal,
    /// No plan within the budget is better by more than this.
    Within {
        /// What evictions may cost less.
        cost: u128,
        /// Bytes that may be moved less at the same cost.
        moved_bytes: u64,
    },
    /// Not all nodes were looked at, or the plan follows
    /// [`Preference::Together`].
    Unknown,
}

/// What makes a hole: first all evictions, then the moves one after another.
///
/// Each move is [`allocate_at`](OffsetAllocator::allocate_at)`(to, size)`, a
/// copy, and the free of the allocation at `from`; in between, both places are
/// allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct HolePlan {
    /// The bytes for the request: at the alignment, and as many as it is
    /// charged. They are free when the plan is carried out.
    pub window: Range<u64>,
    /// The allocations to free before anything moves, in address order.
    pub evictions: Vec<Allocation>,
    /// The steps, in order.
    pub moves: Vec<Move>,
    /// Bytes that the moves copy in all.
    pub moved_bytes: u64,
    /// Sum of the costs of the evictions.
    pub cost: u128,
    /// How good the plan is.
    pub optimality: Optimality,
}

/// What plans are compared by: the cost, then the bytes moved.
type Price = (u128, u64);

impl OffsetAllocator {
    /// Plans how to make a hole, with the least that evictions cost and, at the
    /// same cost, the fewest bytes moved. Changes nothing.
    ///
    /// `block_cost` tells what may be done with an allocation; it is asked once
    /// or twice for each that is looked at. What is moved goes into holes
    /// elsewhere, or is slid to the side of the window, if need be by way of a
    /// temporary place; or blocks beside a hole, one after another, hop to its
    /// far end, so that it gains what is free behind them. Other allocations
    /// stay where they are.
    /// Where all nodes may be visited they all are, and the plan says how good
    /// it is; otherwise the surroundings of the largest holes are looked at, and
    /// first of all whether one neighbor of a large hole can move away.
    ///
    /// Returns `None` if it finds no plan within the budget, if no request of
    /// the size could ever be served, or if the alignment is not a power of
    /// two. Takes time linear in the nodes that may be visited; a plan has at
    /// most 1024 moves. A move needs an allocation more than are live while it
    /// lasts, which the limit in the options has to leave room for.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::{BlockCost, HoleOptions, OffsetAllocator};
    ///
    /// let mut allocator = OffsetAllocator::new(100)?;
    /// let blocks: Vec<_> = (0..10).map(|_| allocator.allocate(10)).collect::<Result<_, _>>()?;
    /// for gone in [1, 3, 4, 8] {
    ///     allocator.free(blocks[gone])?;
    /// }
    /// // Free are 10..20, 30..50 and 80..90: the block between the first two moves.
    /// let options = HoleOptions { moved_bytes_max: 10, ..HoleOptions::new(30) };
    /// let plan = allocator.plan_hole(&options, |_| BlockCost::movable()).expect("there is one");
    /// assert_eq!((plan.window.clone(), plan.moved_bytes), (10..40, 10));
    /// for step in &plan.moves {
    ///     let _moved = allocator.allocate_at(step.to, step.size())?;
    ///     allocator.free(step.allocation)?;
    /// }
    /// assert_eq!(allocator.allocate_at(10, 30)?.offset(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan_hole(
        &self,
        options: &HoleOptions,
        block_cost: impl FnMut(&Allocation) -> BlockCost,
    ) -> Option<HolePlan> {
        self.plan_hole_with_spares(options, &[], block_cost)
    }

    /// Returns the allocations that [`plan_hole_with_spares`](Self::plan_hole_with_spares)
    /// weighs, in address order, if all spares may be evicted: for those who cannot
    /// tell costs while they look at the allocator.
    ///
    /// Where not all nodes may be visited it may ask about a few more, when a hole
    /// grows over its neighbors. To call those immovable costs only such plans.
    ///
    /// Takes time linear in the nodes that may be visited, and O(s log s) for s
    /// spares.
    pub fn weighed_for_plan(
        &self,
        options: &HoleOptions,
        spares: &[Allocation],
    ) -> Vec<Allocation> {
        let space = self.space();
        // Room for two neighbors of each hole that is looked around at, and then for more.
        let mut weighed = Vec::with_capacity(4 * HOLES_TRIED);
        let mut weigh = |span: &Span| {
            if let Content::Live(allocation) = span.content {
                weighed.push(allocation);
            }
        };
        if space.node_count() <= options.nodes_visited_max {
            space.spans().for_each(|span| weigh(&span));
            return weighed;
        }
        let Some(hole) = self.hole_for(options) else {
            return weighed;
        };
        let ground = Ground::survey(space, spares, &mut |_| BlockCost::evictable(1));
        for places in [Places::Holes, Places::Spares] {
            ground.look_around(places, &hole, options.nodes_visited_max, |spans| {
                spans.iter().for_each(&mut weigh);
            });
        }
        weighed.sort_unstable_by_key(Allocation::offset);
        weighed.dedup();
        weighed
    }

    /// As [`plan_hole`](Self::plan_hole), where some allocations may make room
    /// wherever they are: those that should leave first, say.
    ///
    /// What is moved may go to where they are, and where not all nodes may be
    /// visited their surroundings are looked at, too. Those that the plan makes
    /// use of are among its evictions, at their costs; they never move. Tokens that are not live
    /// or may not be evicted count for nothing. Takes O(s log s) time more for s
    /// of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::{BlockCost, HoleOptions, OffsetAllocator};
    ///
    /// let mut allocator = OffsetAllocator::new(60)?;
    /// let blocks: Vec<_> = (0..6).map(|_| allocator.allocate(10)).collect::<Result<_, _>>()?;
    /// allocator.free(blocks[1])?;
    /// // The one beside the hole moves to where the spare one is.
    /// let options = HoleOptions { moved_bytes_max: 10, ..HoleOptions::new(20) };
    /// let spares = [blocks[4]];
    /// let plan = allocator.plan_hole_with_spares(&options, &spares, |block| {
    ///     if spares.contains(block) { BlockCost::evictable(1) } else { BlockCost::movable() }
    /// });
    /// let plan = plan.expect("there is one");
    /// assert_eq!(plan.evictions, spares);
    /// assert_eq!((plan.moves[0].to, plan.cost), (40, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan_hole_with_spares(
        &self,
        options: &HoleOptions,
        spares: &[Allocation],
        mut block_cost: impl FnMut(&Allocation) -> BlockCost,
    ) -> Option<HolePlan> {
        let hole = self.hole_for(options)?;
        let space = self.space();
        if let Preference::Together { moved_percent } = options.preference {
            let plan = plan_together(space, &hole, options, moved_percent, &mut block_cost);
            if plan.is_some() {
                return plan;
            }
        }
        if space.node_count() > options.nodes_visited_max {
            let plan = plan_one_move(space, &hole, options, &mut block_cost);
            if plan.is_some() {
                return plan;
            }
        }
        let ground = Ground::survey(space, spares, &mut block_cost);
        // What may take their places is planned before they could move.
        let mut block_cost = |allocation: &Allocation| match ground.spares.cost(allocation) {
            Some(cost) => BlockCost::evictable(cost),
            None => block_cost(allocation),
        };
        let is_complete = space.node_count() <= options.nodes_visited_max;
        let (mut best, mut least) =
            plan_runs(&ground, Places::Holes, &hole, options, &mut block_cost);
        // A hole that grows leaves fewer of them than another one does.
        if best.is_none() && !is_complete {
            (best, least) = plan_runs(&ground, Places::Spares, &hole, options, &mut block_cost);
        }
        if best.as_ref().is_none_or(|best| best.price() > least) {
            let plan = plan_hops(&ground, &hole, options, &mut block_cost);
            best = better(best, plan);
        }
        let mut plan = best?;
        plan.optimality = if is_complete {
            Optimality::of(plan.price(), least)
        } else {
            Optimality::Unknown
        };
        Some(plan)
    }
}

impl OffsetAllocator {
    /// Returns what has to be free, if a request can ever be served.
    fn hole_for(&self, options: &HoleOptions) -> Option<Hole> {
        let charge = self.charged_size(options.size)?;
        let is_possible = options.align.is_power_of_two();
        is_possible.then(|| Hole {
            charge,
            step: self.options().step(options.align),
        })
    }
}

/// Plans the hole in one of the stretches around some places, and returns what any
/// plan there costs at least.
fn plan_runs(
    ground: &Ground<'_>,
    places: Places,
    hole: &Hole,
    options: &HoleOptions,
    block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
) -> (Option<HolePlan>, Price) {
    let mut search = RunSearch::new(*hole, options.moved_bytes_max);
    search.search(ground, places, options.nodes_visited_max, block_cost);
    let runs = search.into_runs();
    let mut best: Option<HolePlan> = None;
    for run in &runs {
        if best.as_ref().is_some_and(|best| best.price() <= run.least) {
            break;
        }
        let plan = plan_run(ground, run, hole, options, block_cost);
        best = better(best, plan);
    }
    (best, runs.first().map_or((0, 0), |run| run.least))
}

/// Returns the better one of two plans, the first if they are as good.
fn better(first: Option<HolePlan>, second: Option<HolePlan>) -> Option<HolePlan> {
    match (first, second) {
        (Some(first), Some(second)) if first.price() <= second.price() => Some(first),
        (first, second) => second.or(first),
    }
}

impl HolePlan {
    fn price(&self) -> Price {
        (self.cost, self.moved_bytes)
    }
}

impl Optimality {
    /// Judges a plan by the least that any could cost.
    fn of(price: Price, least: Price) -> Self {
        match price.cmp(&least) {
            // Of plans that cost the same and move something, another choice
            // of what to evict may move less.
            Ordering::Equal if price.0 == 0 || price.1 == 0 => Self::Optimal,
            _ => Self::Within {
                cost: price.0 - least.0,
                moved_bytes: if price.0 == 0 {
                    price.1 - least.1
                } else {
                    price.1
                },
            },
        }
    }
}
