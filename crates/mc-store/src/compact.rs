//! Moving objects together in idle time, so that a later large put finds its hole.

use mc_segment::{BlockPlan, HoleOptions, SegmentId, SegmentView};

use crate::{
    ObjectStore,
    policy::ObjectId,
    relocate::{Relocated, Step},
    shared::Shared,
};

/// Blocks that one plan looks at, at most.
const NODES_VISITED_MAX: u32 = 4096;

/// Holes that are made in one segment by one call, at most.
const ROUNDS_MAX: usize = 64;

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Moves that were made.
    pub moves: u64,
    /// Bytes that were copied, those of moves that a lease ended included.
    pub bytes: u64,
}

impl ObjectStore {
    /// Moves objects within their segments so that holes become one, and copies
    /// no more than `budget_bytes` for it. Nobody leaves.
    ///
    /// The largest hole of each segment open to placement becomes as large as
    /// the budget allows, in steps: first as large as all that is free, then as
    /// half of it, and so on. Other threads use the store meanwhile; locks are
    /// held as for a put. What never moves for a put does not move here, see
    /// [`Compaction`](crate::Compaction), whose budget is another one.
    pub fn compact(&self, budget_bytes: u64) -> Compacted {
        self.compact_while(budget_bytes, || true)
    }

    /// As [`compact`](Self::compact), as long as `goes_on` before each move.
    pub(crate) fn compact_while(
        &self,
        budget_bytes: u64,
        mut goes_on: impl FnMut() -> bool,
    ) -> Compacted {
        let shared = &*self.shared;
        let mut left = budget_bytes;
        let mut moves = 0;
        // Asking for sums merges blocks that threads keep back.
        let segments = shared.pool.stats().segments;
        for view in segments {
            for _ in 0..ROUNDS_MAX {
                let Some(plan) = shared.plan_larger_hole(view.id, left) else {
                    break;
                };
                let (made, is_whole) = shared.carry_out(view.id, &plan, &mut left, &mut goes_on);
                moves += made;
                if !is_whole {
                    break;
                }
            }
        }
        Compacted {
            moves,
            bytes: budget_bytes - left,
        }
    }
}

impl Shared {
    /// Plans a hole that is larger than any that there is in a segment.
    fn plan_larger_hole(&self, id: SegmentId, budget: u64) -> Option<BlockPlan> {
        let views = self.pool.segments();
        let SegmentView {
            state,
            free_bytes,
            largest_hole,
            ..
        } = views.into_iter().find(|view| view.id == id)?;
        if !state.is_placeable() || budget == 0 {
            return None;
        }
        let now = self.now();
        let halves = std::iter::successors(Some(free_bytes), |&size| Some(size / 2));
        let mut larger = halves.take_while(|&size| size > largest_hole);
        larger.find_map(|size| {
            let options = HoleOptions {
                moved_bytes_max: budget,
                nodes_visited_max: NODES_VISITED_MAX,
                ..HoleOptions::new(size)
            };
            let plan = self
                .pool
                .plan_hole(id, &options, &[], |blocks| self.movable(id, blocks, now));
            plan.filter(|plan| !plan.moves.is_empty())
        })
    }

    /// Makes the moves of a plan, as long as `goes_on` before each; returns how
    /// many were made, and whether all.
    pub(crate) fn carry_out(
        &self,
        segment: SegmentId,
        plan: &BlockPlan,
        budget: &mut u64,
        mut goes_on: impl FnMut() -> bool,
    ) -> (u64, bool) {
        let mut made = 0;
        for step in &plan.moves {
            let Some(owner) = step.owner.filter(|_| goes_on()) else {
                return (made, false);
            };
            let step = Step {
                id: ObjectId::of_owner(owner),
                segment,
                from: step.from,
                to: step.to,
            };
            if self.relocate(step, budget) != Relocated::Done {
                return (made, false);
            }
            made += 1;
        }
        (made, true)
    }
}
