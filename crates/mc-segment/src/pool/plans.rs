//! Plans for holes in a segment.

use mc_offset::{Allocation, BlockCost, HoleOptions};

use super::SegmentPool;
use crate::{block::Block, id::SegmentId, plan::BlockPlan, token::BufferToken};

impl SegmentPool {
    /// Plans how to make a hole in a segment by moving and evicting, with the
    /// least that evictions cost and, at the same cost, the fewest bytes moved.
    /// Changes nothing.
    ///
    /// `weigh` is called with blocks of one registration and tells for each what
    /// may be done with it: see [`OffsetAllocator::plan_hole`]. No lock is held
    /// meanwhile. `spares` name buffers that should leave first: what is moved may
    /// go to where they are, if they may be evicted. Those that have been dropped are
    /// passed over. Takes the lock of each
    /// registration twice, for a time that the nodes which may be visited bound.
    ///
    /// Returns `None` if the segment is not mounted, or there is no plan within
    /// the budget.
    ///
    /// [`OffsetAllocator::plan_hole`]: mc_offset::OffsetAllocator::plan_hole
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_segment::{
    ///     BlockCost, HoleOptions, Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions,
    /// };
    ///
    /// let pool = SegmentPool::new(SegmentPoolOptions::default());
    /// let id = SegmentId(1);
    /// pool.mount(Segment::remote(SegmentInfo::new(id, "node-1", 4096, 400)))?;
    /// let mut buffers: Vec<_> =
    ///     (0..4).map(|_| pool.place_in(id, 100, 1)).collect::<Result<_, _>>()?;
    /// drop(buffers.remove(1));
    /// drop(buffers.remove(2));
    ///
    /// // One of the two that are left moves to the other side of the other one.
    /// let options = HoleOptions { moved_bytes_max: 100, ..HoleOptions::new(200) };
    /// let plan = pool.plan_hole(id, &options, &[], |blocks| {
    ///     blocks.iter().map(|_| BlockCost::movable()).collect()
    /// });
    /// let plan = plan.expect("half of it is free");
    /// assert_eq!((plan.moves.len(), plan.moved_bytes), (1, 100));
    /// assert_eq!(plan.window.end - plan.window.start, 200);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn plan_hole(
        &self,
        id: SegmentId,
        options: &HoleOptions,
        spares: &[BufferToken],
        mut weigh: impl FnMut(&[Block]) -> Vec<BlockCost>,
    ) -> Option<BlockPlan> {
        let mounted = self.mounted(id)?;
        let HoleOptions { size, align, .. } = *options;
        let mut best: Option<BlockPlan> = None;
        for chunk in mounted.chunks() {
            if !align.is_power_of_two() || !chunk.could_take(size, align) {
                continue;
            }
            // No move lowers the number of allocations.
            if mounted.hole_below_limit(chunk).is_some() {
                continue;
            }
            let here = spares.iter().filter(|spare| spare.segment_id() == id);
            let pieces = here.flat_map(|spare| spare.pieces_in(chunk));
            let spares: Vec<Allocation> = pieces.copied().collect();
            let plan = chunk.plan_hole(options, &spares, &mut weigh);
            best = match (best, plan) {
                (Some(best), Some(plan)) if best.price() <= plan.price() => Some(best),
                (best, plan) => plan.or(best),
            };
        }
        best
    }
}

impl BlockPlan {
    /// What plans are compared by: the cost, then the bytes moved.
    fn price(&self) -> (u128, u64) {
        (self.cost, self.moved_bytes)
    }
}
