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
        let costs = weigh(&self.blocks_of(&allocations));
        let mut next = 0;
        let cost = |allocation: &Allocation| {
            // Most often the neighbor of the one before is asked about.
            if allocations.get(next) != Some(allocation) {
                let place =
                    allocations.partition_point(|known| known.offset() < allocation.offset());
                // What came since is somebody else's.
                if allocations.get(place) != Some(allocation) {
                    return BlockCost::IMMOVABLE;
                }
                next = place;
            }
            next += 1;
            costs.get(next - 1).copied().unwrap_or(BlockCost::IMMOVABLE)
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
            evictions: self.blocks_of(&plan.evictions),
            moves: moves.collect(),
            moved_bytes: plan.moved_bytes,
            cost: plan.cost,
        }
    }

    /// Returns allocations as blocks of the bytes that were asked for.
    fn blocks_of(&self, allocations: &[Allocation]) -> Vec<Block> {
        let owner = self.owners.lookup();
        let blocks = allocations.iter().map(|allocation| Block {
            address: self.base + allocation.offset(),
            size: allocation.size(),
            owner: owner(allocation.node()),
            is_hole: false,
        });
        blocks.collect()
    }
}
