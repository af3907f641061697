//! What to move and what to evict in a segment so that a hole appears, as plain
//! data.

use std::{num::NonZeroU32, ops::Range};

use mc_offset::{Allocation, BlockCost, HoleOptions, HolePlan};

use crate::{block::Block, chunk::Chunk};

/// What makes a hole in a segment: first all evictions, then the moves one after
/// another.
///
/// It is of one moment. Each move is a
/// [`place_at`](crate::SegmentPool::place_at), which fails if somebody was faster, a
/// copy, and the drop of the buffer that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockPlan {
    /// The addresses that are free when the plan is carried out: at the
    /// alignment, and as many as the request is charged.
    pub window: Range<u64>,
    /// The blocks to free before anything moves, in address order.
    pub evictions: Vec<Block>,
    /// The steps, in order.
    pub moves: Vec<BlockMove>,
    /// Bytes that they copy in all.
    pub moved_bytes: u64,
    /// Sum of the costs of the evictions.
    pub cost: u128,
}

/// One step of a [`BlockPlan`]: the bytes of a block are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockMove {
    /// The number that the buffer is [tagged](crate::PlacedBuffer::set_owner) with.
    pub owner: Option<NonZeroU32>,
    /// Address that the bytes come from.
    pub from: u64,
    /// Address that they go to.
    pub to: u64,
    /// How many they are.
    pub size: u64,
}

impl Chunk {
    /// Plans a hole. `weigh` is called between two looks at the chunk, without
    /// its lock.
    pub(crate) fn plan_hole(
        &self,
        options: &HoleOptions,
        spares: &[Allocation],
        weigh: impl FnOnce(&[Block]) -> Vec<BlockCost>,
    ) -> Option<BlockPlan> {
        let allocations = self.allocator.weighed_for_plan(options, spares);
        let blocks = allocations
            .iter()
            .map(|&allocation| self.block_of(allocation));
        let costs = weigh(&blocks.collect::<Vec<_>>());
        let cost = |allocation: &Allocation| {
            let at = allocations.binary_search_by_key(&allocation.offset(), Allocation::offset);
            let known = at.ok().filter(|&at| allocations[at] == *allocation);
            let cost = known.and_then(|at| costs.get(at));
            // What came since is somebody else's.
            cost.copied().unwrap_or(BlockCost::IMMOVABLE)
        };
        let plan = self
            .allocator
            .plan_hole_with_spares(options, spares, cost)?;
        Some(self.in_addresses(&plan))
    }

    fn in_addresses(&self, plan: &HolePlan) -> BlockPlan {
        let moves = plan.moves.iter().map(|step| BlockMove {
            owner: self.owners.get(step.allocation.node()),
            from: self.base + step.from,
            to: self.base + step.to,
            size: step.size(),
        });
        BlockPlan {
            window: self.base + plan.window.start..self.base + plan.window.end,
            evictions: plan
                .evictions
                .iter()
                .map(|&allocation| self.block_of(allocation))
                .collect(),
            moves: moves.collect(),
            moved_bytes: plan.moved_bytes,
            cost: plan.cost,
        }
    }

    /// Returns an allocation as a block of the bytes that were asked for.
    fn block_of(&self, allocation: Allocation) -> Block {
        Block {
            address: self.base + allocation.offset(),
            size: allocation.size(),
            owner: self.owners.get(allocation.node()),
            is_hole: false,
        }
    }
}
