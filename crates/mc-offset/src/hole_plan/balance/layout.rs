//! [`Layout`]: all that lies in a range, and the places where a hole could be.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{
    allocation::Allocation,
    hole_plan::{BlockCost, runs::Hole},
    space::{Content, Space},
};

/// Neighbors that leave together for one room, at most.
const JOINED_MAX: usize = 3;
/// Blocks in a window, at most.
const BLOCKS_MAX: usize = 64;

/// What plans are compared by, in hundredths of bytes: the less, the better.
pub(super) type Price = i128;

/// An allocation, and what may be done with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) allocation: Allocation,
    pub(super) offset: u64,
    pub(super) charge: u64,
    pub(super) cost: BlockCost,
}

impl Block {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.charge
    }
}

/// A place outside of the window that is free, or is once some blocks have left.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) range: Range<u64>,
    /// The blocks that leave for it, by index.
    pub(super) leaving: Range<usize>,
    /// The hole that it begins with, by index.
    pub(super) hole: usize,
}

/// All allocations and holes.
#[derive(Debug)]
pub(super) struct Layout {
    /// In address order.
    pub(super) blocks: Vec<Block>,
    /// What is free before each block, and behind the last one; some of them are empty.
    holes: Vec<Range<u64>>,
    /// By the hole that they begin with, the smaller one first.
    pub(super) rooms: Vec<Room>,
}

/// Neighbors that have room for the hole.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) blocks: Range<usize>,
    /// No plan for the window costs less.
    pub(super) least: Price,
}

impl Layout {
    pub(super) fn read(
        space: &Space,
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) -> Self {
        let (mut blocks, mut holes) = (Vec::new(), Vec::new());
        let mut end = 0;
        for span in space.spans() {
            if let Content::Live(allocation) = span.content {
                holes.push(end..span.offset);
                blocks.push(Block {
                    allocation,
                    offset: span.offset,
                    charge: span.bytes,
                    cost: block_cost(&allocation),
                });
                end = span.end();
            }
        }
        holes.push(end..space.options().capacity);
        let mut layout = Self {
            blocks,
            holes,
            rooms: Vec::new(),
        };
        layout.rooms = layout.read_rooms();
        layout
    }

    fn read_rooms(&self) -> Vec<Room> {
        let mut rooms = Vec::new();
        for (hole, range) in self.holes.iter().enumerate() {
            let mut push = |end: usize| {
                rooms.push(Room {
                    range: range.start..self.holes[end].end,
                    leaving: hole..end,
                    hole,
                });
            };
            if !range.is_empty() {
                push(hole);
            }
            let joined = self.blocks[hole..].iter().take(JOINED_MAX);
            let joined = joined.take_while(|block| block.cost.eviction.is_some());
            (1..=joined.count()).for_each(|count| push(hole + count));
        }
        rooms
    }

    /// Returns the windows that the budget may suffice for, those that may cost least first.
    pub(super) fn windows(
        &self,
        hole: &Hole,
        moved_bytes_max: u64,
        moved_percent: u32,
    ) -> Vec<Window> {
        let mut windows = Vec::new();
        let mut end = 0;
        for first in 0..self.blocks.len() {
            end = end.max(first);
            let fits = |end: usize| hole.fits(self.holes[first].start, self.holes[end].end);
            while end < self.blocks.len() && !fits(end) {
                end += 1;
            }
            if !fits(end) {
                break;
            }
            let blocks = first..end;
            let bytes = |block: &Block| block.allocation.size();
            let inside = &self.blocks[blocks.clone()];
            let is_fixed =
                |block: &Block| !block.cost.is_movable() && block.cost.eviction.is_none();
            let dead_end = inside.len() > BLOCKS_MAX || inside.iter().any(is_fixed);
            let evictable = inside.iter().filter(|block| block.cost.eviction.is_some());
            let evictable: u64 = evictable.map(bytes).sum();
            let excess = inside
                .iter()
                .map(bytes)
                .sum::<u64>()
                .saturating_sub(moved_bytes_max);
            if dead_end || excess > evictable {
                continue;
            }
            let moved = inside.iter().filter(|block| block.cost.eviction.is_none());
            let moved: u64 = moved.map(bytes).sum();
            let least = i128::from(moved) * i128::from(moved_percent);
            windows.push((excess, Window { blocks, least }));
        }
        windows.sort_by_key(|(excess, window)| (*excess, window.least));
        windows.into_iter().map(|(_, window)| window).collect()
    }

    /// Returns the lowest and the highest place of the hole in a window.
    pub(super) fn targets(
        &self,
        hole: &Hole,
        window: &Range<usize>,
    ) -> impl Iterator<Item = Range<u64>> + use<> {
        let (start, end) = (self.holes[window.start].start, self.holes[window.end].end);
        let low = start.next_multiple_of(hole.step);
        let high = end - hole.charge;
        let high = high - high % hole.step;
        let count = if low == high { 1 } else { 2 };
        let charge = hole.charge;
        [low, high]
            .into_iter()
            .take(count)
            .map(move |at| at..at + charge)
    }

    /// Returns the size of the hole that a free byte is in, on average over the free bytes, if the
    /// blocks for which `is_gone` does not hold stay and some ranges, sorted, are taken.
    pub(super) fn mean_hole(&self, is_gone: impl Fn(usize) -> bool, taken: &[Range<u64>]) -> u64 {
        let (mut squares, mut sum, mut free_from) = (0_u128, 0_u128, 0);
        let mut add = |start: u64, end: u64| {
            let bytes = u128::from(start.saturating_sub(free_from));
            squares += bytes * bytes;
            sum += bytes;
            free_from = free_from.max(end);
        };
        let mut taken = taken.iter().peekable();
        for (at, block) in self.blocks.iter().enumerate() {
            while let Some(range) = taken.next_if(|range| range.start < block.offset) {
                add(range.start, range.end);
            }
            if !is_gone(at) {
                add(block.offset, block.end());
            }
        }
        taken.for_each(|range| add(range.start, range.end));
        let end = self.holes.last().map_or(0, |last| last.end);
        add(end, end);
        // At most the capacity.
        u64::try_from(squares.checked_div(sum).unwrap_or(0)).unwrap_or(u64::MAX)
    }
}
