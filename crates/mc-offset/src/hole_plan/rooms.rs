//! Where the allocations of a run go, and in which order.

use alloc::vec::Vec;
use core::{cmp::Reverse, ops::Range};

use super::{
    BlockCost, HoleOptions, HolePlan, MOVES_MAX, Move, Optimality, Price, better,
    elsewhere::{Elsewhere, tightest},
    ground::Ground,
    runs::{Hole, Run},
    spares::evictions,
};
use crate::{
    allocation::Allocation,
    space::{Content, Space},
};

/// Places of the hole in its run that are tried.
const PLACES_TRIED: usize = 6;
/// Allocations of a run up to which each place between two of them counts.
const BLOCKS_SLID: usize = 16;

/// An allocation in the run.
#[derive(Clone, Copy, Debug)]
struct Block {
    allocation: Allocation,
    charge: u64,
    cost: BlockCost,
}

impl Block {
    fn start(&self) -> u64 {
        self.allocation.offset()
    }

    fn range(&self) -> Range<u64> {
        self.start()..self.start() + self.charge
    }
}

/// Plans to make the hole in a run; `None` if what has to move finds no room.
pub(super) fn plan_run(
    ground: &Ground<'_>,
    run: &Run,
    hole: &Hole,
    options: &HoleOptions,
    block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
) -> Option<HolePlan> {
    let stretch = Stretch::read(ground.space, run, block_cost);
    if !stretch.has_sides_for_bulky(hole, ground.room_bytes_max) {
        return None;
    }
    let mut best: Option<HolePlan> = None;
    for (least, start) in stretch.places(hole, options.moved_bytes_max) {
        if best.as_ref().is_some_and(|best| best.price() <= least) {
            break;
        }
        let target = start..start + hole.charge;
        let attempt = Attempt::new(ground, &stretch, target, options.moved_bytes_max);
        let plan = attempt.and_then(Attempt::finish);
        best = better(best, plan);
    }
    best
}

/// A run with the holes beside it.
#[derive(Debug)]
struct Stretch {
    range: Range<u64>,
    /// In address order.
    blocks: Vec<Block>,
}

impl Stretch {
    fn read(
        space: &Space,
        run: &Run,
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) -> Self {
        let start = run.first.offset - space.free_before(&run.first);
        let mut end = run.end;
        let mut blocks = Vec::new();
        let mut next = Some(run.first);
        while let Some(span) = next {
            match span.content {
                Content::Free => end = end.max(span.end()),
                Content::Live(allocation) if span.offset < run.end => blocks.push(Block {
                    allocation,
                    charge: span.bytes,
                    cost: block_cost(&allocation),
                }),
                Content::Live(_) => break,
            }
            next = space.span_after(&span);
        }
        Self {
            range: start..end,
            blocks,
        }
    }

    /// Returns whether the hole leaves room beside it for those that fit nowhere
    /// else and may not leave.
    fn has_sides_for_bulky(&self, hole: &Hole, room_bytes_max: u64) -> bool {
        let is_bulky =
            |block: &&Block| block.charge > room_bytes_max && block.cost.eviction.is_none();
        let bulky: u64 = self
            .blocks
            .iter()
            .filter(is_bulky)
            .map(|block| block.charge)
            .sum();
        bulky.saturating_add(hole.charge) <= self.range.end - self.range.start
    }

    /// Returns where the hole may begin, and the least that it costs there, the
    /// cheapest first.
    fn places(&self, hole: &Hole, moved_bytes_max: u64) -> Vec<(Price, u64)> {
        let Range { start, end } = self.range;
        let Some(last) = end.checked_sub(hole.charge) else {
            return Vec::new();
        };
        let mut starts = Vec::from([start, last]);
        if self.blocks.len() <= BLOCKS_SLID {
            let (mut below, mut above) = (start, last);
            for block in &self.blocks {
                starts.extend([block.range().end, below.saturating_add(block.charge)]);
                below += block.charge;
            }
            for block in self.blocks.iter().rev() {
                above = above.saturating_sub(block.charge);
                starts.extend([block.start().saturating_sub(hole.charge), above]);
            }
        }
        let aligned = starts.iter().flat_map(|&at| {
            let below = at - at % hole.step;
            [Some(below), at.checked_next_multiple_of(hole.step)]
        });
        let mut starts: Vec<u64> = aligned.flatten().collect();
        starts.retain(|at| (start..=last).contains(at));
        starts.sort_unstable();
        starts.dedup();
        let priced = starts.into_iter().filter_map(|at| {
            let target = at..at + hole.charge;
            let cleared = self.overlapping(&target);
            let price = least_price(cleared, moved_bytes_max)?;
            Some((price, at))
        });
        let mut places: Vec<(Price, u64)> = priced.collect();
        places.sort_unstable();
        places.truncate(PLACES_TRIED);
        places
    }

    /// Returns the blocks that a target overlaps.
    fn overlapping(&self, target: &Range<u64>) -> &[Block] {
        let first = self
            .blocks
            .partition_point(|block| block.range().end <= target.start);
        let end = self
            .blocks
            .partition_point(|block| block.start() < target.end);
        &self.blocks[first..end]
    }
}

/// Returns what clearing blocks costs if as little is evicted as the budget
/// allows; `None` if it does not allow it at all.
fn least_price(blocks: &[Block], moved_bytes_max: u64) -> Option<Price> {
    let (evicted, moved) = divide(blocks, moved_bytes_max)?;
    let cost = |block: &Block| u128::from(block.cost.eviction.unwrap_or(0));
    let moved_bytes = moved.iter().map(|block| block.allocation.size()).sum();
    Some((evicted.iter().map(cost).sum(), moved_bytes))
}

/// Divides blocks into those that are evicted and those that are moved, so that
/// no more is moved than the budget allows; `None` if it does not allow it.
fn divide(blocks: &[Block], moved_bytes_max: u64) -> Option<(Vec<Block>, Vec<Block>)> {
    let (moved, mut evicted): (Vec<Block>, Vec<Block>) = blocks
        .iter()
        .copied()
        .partition(|block| block.cost.is_movable());
    let bytes = |block: &Block| block.allocation.size();
    let mut moved_bytes: u64 = moved.iter().map(bytes).sum();
    if moved_bytes <= moved_bytes_max && moved.len() <= MOVES_MAX {
        return Some((evicted, moved));
    }
    let (mut either, mut moved): (Vec<Block>, Vec<Block>) = moved
        .into_iter()
        .partition(|block| block.cost.eviction.is_some());
    // Those whose bytes are the cheapest leave first.
    let eviction = |block: &Block| block.cost.eviction.unwrap_or(0);
    either.sort_by(|a, b| {
        let left = u128::from(eviction(a)) * u128::from(bytes(b));
        left.cmp(&(u128::from(eviction(b)) * u128::from(bytes(a))))
    });
    let is_within =
        |moved_bytes: u64, count: usize| moved_bytes <= moved_bytes_max && count <= MOVES_MAX;
    let mut count = moved.len() + either.len();
    let mut leaving = 0;
    while !is_within(moved_bytes, count) {
        moved_bytes -= bytes(either.get(leaving)?);
        count -= 1;
        leaving += 1;
    }
    // The last ones may have made room for some that are dearer by the byte.
    let staying = either.split_off(leaving);
    either.sort_by_key(|block| Reverse(eviction(block)));
    for block in either {
        if is_within(moved_bytes + bytes(&block), count + 1) {
            moved_bytes += bytes(&block);
            count += 1;
            moved.push(block);
        } else {
            evicted.push(block);
        }
    }
    moved.extend(staying);
    Some((evicted, moved))
}

/// A plan for one place of the hole, as far as it is made.
#[derive(Debug)]
struct Attempt<'a> {
    ground: &'a Ground<'a>,
    target: Range<u64>,
    /// The stretch around it.
    around: &'a Stretch,
    moved_bytes_max: u64,
    /// Those in the target; what is as good as a hole is not among them.
    evicted: Vec<Block>,
    /// Blocks that have no room yet, the largest first.
    pending: Vec<Block>,
    moves: Vec<Move>,
    moved_bytes: u64,
    /// What is free around the target when all moves so far are done.
    free: Vec<Range<u64>>,
    elsewhere: Elsewhere<'a>,
}

impl<'a> Attempt<'a> {
    fn new(
        ground: &'a Ground<'a>,
        stretch: &'a Stretch,
        target: Range<u64>,
        moved_bytes_max: u64,
    ) -> Option<Self> {
        let (mut evicted, mut pending) = divide(stretch.overlapping(&target), moved_bytes_max)?;
        evicted.retain(|block| !block.cost.is_nothing());
        pending.sort_by_key(|block| (Reverse(block.charge), block.start()));
        let is_free = |block: &Block| {
            block.cost.is_nothing() || evicted.iter().any(|other| other.start() == block.start())
        };
        let mut free = Vec::new();
        let mut end = stretch.range.start;
        for block in stretch.blocks.iter().filter(|block| !is_free(block)) {
            if end < block.start() {
                free.push(end..block.start());
            }
            end = block.range().end;
        }
        if end < stretch.range.end {
            free.push(end..stretch.range.end);
        }
        Some(Self {
            ground,
            target,
            around: stretch,
            moved_bytes_max,
            evicted,
            pending,
            moves: Vec::new(),
            moved_bytes: 0,
            free,
            elsewhere: Elsewhere::new(ground),
        })
    }

    /// Finds a room for every block that has to move.
    fn finish(mut self) -> Option<HolePlan> {
        while !self.pending.is_empty() {
            let is_advanced = self.move_what_fits() || self.slide_one();
            if !is_advanced && !self.evict_one() {
                return None;
            }
        }
        if self.moved_bytes > self.moved_bytes_max {
            return None;
        }
        let (evictions, cost) = self.evictions();
        Some(HolePlan {
            cost,
            evictions,
            window: self.target,
            moves: self.moves,
            moved_bytes: self.moved_bytes,
            optimality: Optimality::Unknown,
        })
    }

    /// Returns who leaves, those included that are where something goes.
    fn evictions(&self) -> (Vec<Allocation>, u128) {
        let mut used = self.elsewhere.taken().to_vec();
        used.push(self.target.clone());
        let is_used = |block: &&Block| {
            let Range { start, end } = block.range();
            used.iter().any(|used| used.start < end && start < used.end)
        };
        let blocks = self.around.blocks.iter();
        let nothing = blocks
            .filter(|block| block.cost.is_nothing())
            .filter(is_used);
        let leaving = self.evicted.iter().chain(nothing);
        let leaving = leaving.map(|block| (block.allocation, block.cost.eviction.unwrap_or(0)));
        evictions(leaving.chain(self.ground.spares.in_any(&used)))
    }

    /// Moves the blocks for which there is a room; returns whether any was.
    fn move_what_fits(&mut self) -> bool {
        let pending = core::mem::take(&mut self.pending);
        let count = pending.len();
        for block in pending {
            let step = self.ground.space.options().step(block.cost.align);
            let beside = tightest(self.sides(&self.free), block.charge, step);
            if let Some(to) = beside {
                self.push_move(&block, block.start(), to);
            } else if let Some(to) = self.elsewhere.room(&self.around.range, block.charge, step) {
                self.push_move(&block, block.start(), to);
            } else {
                self.pending.push(block);
            }
        }
        self.pending.len() < count
    }

    /// Slides one block to a side by way of a temporary place, since where it
    /// goes overlaps where it is; returns whether there was one.
    fn slide_one(&mut self) -> bool {
        for at in 0..self.pending.len() {
            let block = self.pending[at];
            let step = self.ground.space.options().step(block.cost.align);
            let mut cleared = self.free.clone();
            give(&mut cleared, block.range());
            let Some(to) = tightest(self.sides(&cleared), block.charge, step) else {
                continue;
            };
            let mut spare = self.free.clone();
            take(&mut spare, &(to..to + block.charge));
            let Some(by) = tightest(spare.into_iter(), block.charge, step) else {
                continue;
            };
            let bytes = self.moved_bytes + 2 * block.allocation.size();
            if bytes > self.moved_bytes_max || self.moves.len() + 2 > MOVES_MAX {
                continue;
            }
            self.pending.remove(at);
            self.push_move(&block, block.start(), by);
            self.push_move(&block, by, to);
            return true;
        }
        false
    }

    /// Evicts the block without a room that costs least; returns whether there
    /// was one that may be.
    fn evict_one(&mut self) -> bool {
        let evictable = self.pending.iter().enumerate();
        let evictable = evictable.filter_map(|(at, block)| Some((block.cost.eviction?, at)));
        let Some((_, at)) = evictable.min() else {
            return false;
        };
        let block = self.pending.remove(at);
        give(&mut self.free, block.range());
        self.evicted.push(block);
        true
    }

    fn push_move(&mut self, block: &Block, from: u64, to: u64) {
        take(&mut self.free, &(to..to + block.charge));
        give(&mut self.free, from..from + block.charge);
        self.elsewhere.take(to..to + block.charge);
        self.moved_bytes += block.allocation.size();
        self.moves.push(Move {
            allocation: block.allocation,
            from,
            to,
        });
    }

    /// Returns the parts of free ranges that are outside of the target.
    fn sides(&self, free: &[Range<u64>]) -> impl Iterator<Item = Range<u64>> {
        let Range { start, end } = self.target;
        let sides = free.iter().flat_map(move |range| {
            [
                range.start..range.end.min(start),
                range.start.max(end)..range.end,
            ]
        });
        let sides: Vec<_> = sides.filter(|side| !side.is_empty()).collect();
        sides.into_iter()
    }
}

/// Takes a range out of the free ones, if it is among them.
fn take(free: &mut Vec<Range<u64>>, range: &Range<u64>) {
    let at = free.partition_point(|known| known.end <= range.start);
    let Some(whole) = free
        .get(at)
        .filter(|known| known.start <= range.start)
        .cloned()
    else {
        return;
    };
    let rests = [whole.start..range.start, range.end..whole.end];
    free.splice(at..=at, rests.into_iter().filter(|rest| !rest.is_empty()));
}

/// Adds a range to the free ones, merged with those that it touches.
fn give(free: &mut Vec<Range<u64>>, range: Range<u64>) {
    let first = free.partition_point(|known| known.end < range.start);
    let end = free.partition_point(|known| known.start <= range.end);
    let touched = &free[first..end];
    let start = touched
        .first()
        .map_or(range.start, |known| known.start.min(range.start));
    let stop = touched
        .last()
        .map_or(range.end, |known| known.end.max(range.end));
    free.splice(first..end, core::iter::once(start..stop));
}
