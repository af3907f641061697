//! Making a hole by moving what is between holes, where the next in order leave
//! only as far as bytes are short.
//!
//! Which of the next leave is decided by what fits and by what the policy says
//! they are worth: where sizes are much alike, what the first leaves over would
//! stay in pieces that no move brings together.

use std::collections::HashSet;

use mc_segment::{Block, BlockMove, BlockPlan, HoleOptions, PlacedBuffer, Preference, SegmentId};
use smallvec::smallvec;

use super::{
    NEXT, Room,
    spare::{Spare, bytes_in, leaving_in, losses_in, named},
};
use crate::{
    object::{WeakObject, WeakObjects},
    plan::{Found, whole},
    policy::ObjectId,
    relocate::{Relocated, Step},
    stats::Cause,
};

/// Blocks that a plan looks at: these, and some times those that its window has
/// on average, up to a limit.
const NODES_VISITED: u64 = 256;
const NODES_OF_WINDOW_FACTOR: u64 = 8;
const NODES_VISITED_MAX: u64 = 1 << 14;

/// Objects that may leave beside moves, at most.
const LEAVING_MAX: usize = 512;

/// One of this many parts of a request may be left over of a hole that is taken
/// without a look at others.
const SNUG_SHARE: u64 = 64;

/// Hundredths of a byte that leaves which a byte that moves counts for, at most:
/// where a put may move more than it places, less in proportion.
const MOVED_PERCENT: u64 = 10;

/// The next objects with one of this many parts of all bytes leave in any order.
const EQUALS_SHARE: u64 = 8;

/// How many times the bytes of a request an object has at least that is huge for
/// it, and how many times its bytes are placed before such an object leaves.
const HUGE_FACTOR: u64 = 16;
const PASSED_FACTOR: u64 = 8;

/// Segments that plans are sought in: those with the most free bytes, and those
/// of the next in order.
const SEGMENTS_TRIED: usize = 4;

/// A segment in which a hole may be made.
#[derive(Clone, Copy, Debug)]
struct Site {
    segment: SegmentId,
    /// Bytes of a hole that the request is sure to be given.
    needed: u64,
    free_bytes: u64,
}

impl Room<'_> {
    /// Makes the hole by moves within the budget, of what is free already if
    /// possible; otherwise the next in order leave, no more than that takes.
    ///
    /// Returns whether it is there, or is when those who were claimed have left.
    pub(super) fn compact(&mut self, first: &[WeakObject]) -> bool {
        let sites = self.sites(&self.spares(first));
        if let Some((segment, plan)) = self.find_plan(&[], &[], &sites) {
            return self.carry_out(segment, &plan, WeakObjects::new());
        }
        let mut next = self.spares(&self.candidates(NEXT));
        if next.len() == NEXT && !self.may_suffice(&next, &sites) {
            next = self.spares(&self.candidates(LEAVING_MAX));
        }
        self.pass_over(&mut next);
        let losses = self.keep_ends(&mut next);
        let sites = self.sites(&next);
        let is_enough = |&count: &usize| self.may_suffice(&next[..count], &sites);
        let Some(least) = (1..=next.len()).find(is_enough) else {
            return false;
        };
        let equals = self.count_of_equals(&next);
        if let Some(found) = self.snuggest(&next[..equals]) {
            return self.claim(found);
        }
        let begin = least.max(equals);
        // Twice as many each time, so that the search ends soon.
        for count in std::iter::successors(Some(begin), |&count| Some(2 * count)) {
            let count = count.min(next.len());
            let spares = &next[..count];
            if let Some((segment, plan)) = self.find_plan(spares, &losses[..count], &sites) {
                let victims = named(spares, segment, &plan);
                return self.carry_out(segment, &plan, victims);
            }
            if spares.len() == next.len() || self.budget == 0 {
                return false;
            }
        }
        false
    }

    /// Returns those of some objects that have not left, with their places.
    fn spares(&self, next: &[WeakObject]) -> Vec<Spare> {
        let objects = self.stored(next);
        objects.map(|object| Spare::new(&object)).collect()
    }

    /// Takes those off a list whose children in their prompts are on it, too, and
    /// returns what is lost with each of the others, counted in bytes of the first.
    ///
    /// What fits best may leave out of order, but not the beginning of a prompt
    /// before its end, which is worth nothing then.
    fn keep_ends(&self, next: &mut Vec<Spare>) -> Vec<u64> {
        let ranks = self.shared.order.lock();
        let parents: HashSet<ObjectId> = next
            .iter()
            .filter_map(|spare| ranks.parent(spare.id()))
            .collect();
        next.retain(|spare| !parents.contains(&spare.id()));
        let worth = next
            .iter()
            .map(|spare| ranks.worth_by_byte(spare.id()) * spare.bytes as f64);
        let worth: Vec<f64> = worth.collect();
        drop(ranks);
        let by_byte = |(spare, worth): (&Spare, &f64)| worth / spare.bytes.max(1) as f64;
        let mut all_by_byte = next.iter().zip(&worth).map(by_byte);
        let first = all_by_byte.find(|&by_byte| by_byte > 0.0 && by_byte.is_finite());
        let first = first.unwrap_or(1.0);
        worth.iter().map(|worth| whole(worth / first)).collect()
    }

    /// Takes those off a list that are out of all proportion to the demand, the
    /// first one until so much has been placed in its stead that its turn has
    /// come.
    ///
    /// About the bytes of a request leave for it. If a huge object went for a
    /// small one, most of its bytes would serve nobody for a while.
    fn pass_over(&self, next: &mut Vec<Spare>) {
        let size = self.demand.size;
        let is_huge = |spare: &Spare| spare.bytes / HUGE_FACTOR >= size;
        if next.iter().all(is_huge) {
            return;
        }
        let huge_first = next.first().filter(|first| is_huge(first));
        let leaving = huge_first.filter(|first| {
            let mut passed = self.shared.passed_over.lock();
            let placed = passed.again(first.id(), size);
            placed > first.bytes.saturating_mul(PASSED_FACTOR)
        });
        let leaving = leaving.map(Spare::id);
        next.retain(|spare| leaving == Some(spare.id()) || !is_huge(spare));
    }

    /// Returns which of some objects leaves the smallest hole that will do, if
    /// next to nothing of it is left over.
    fn snuggest(&self, spares: &[Spare]) -> Option<Found> {
        let size = self.demand.size;
        let snug = size.saturating_add(size / SNUG_SHARE);
        let mut best: Option<(u64, WeakObject, SegmentId)> = None;
        for &Spare { seen, .. } in spares {
            let Some(object) = self.shared.index.upgrade(seen) else {
                continue;
            };
            for buffer in object
                .replicas()
                .filter(|buffer| self.demand.may_use(buffer))
            {
                let needed = self.demand.needed_in(buffer.segment()).unwrap_or(u64::MAX);
                for hole in buffer.holes_if_dropped() {
                    let room = self.demand.room(hole.address, hole.address + hole.size);
                    let is_better = best.is_none_or(|(least, ..)| hole.size < least);
                    if room >= needed && hole.size <= snug && is_better {
                        best = Some((hole.size, seen, buffer.segment_id()));
                    }
                }
            }
        }
        let (_, seen, segment) = best?;
        let victims = smallvec![seen];
        Some(Found { segment, victims })
    }

    /// Returns how many of the next objects are as good as each other to leave:
    /// the one goes whose place leaves least over.
    ///
    /// If the first went wherever it fits, what is left over would be spread
    /// over as many holes as there are objects, and where sizes are much alike
    /// no move brings those together: a block needs a hole of its size to go to.
    fn count_of_equals(&self, next: &[Spare]) -> usize {
        let mut left = self.shared.pool.placeable_bytes() / EQUALS_SHARE;
        let mut is_equal = |spare: &&Spare| {
            let is_within = spare.bytes <= left;
            left = left.saturating_sub(spare.bytes);
            is_within
        };
        next.iter()
            .take(NEXT)
            .take_while(|spare| is_equal(spare))
            .count()
    }

    /// Returns whether bytes that are free or leave are enough in one of the
    /// segments.
    fn may_suffice(&self, spares: &[Spare], sites: &[Site]) -> bool {
        sites.iter().any(|site| {
            let leaving = bytes_in(site.segment, spares);
            site.free_bytes.saturating_add(leaving) >= site.needed
        })
    }

    /// Returns how many blocks a plan may look at.
    fn nodes_visited_max(&self, needed: u64) -> u32 {
        let (objects, in_flight) = self.shared.index.counts();
        let blocks = u128::from(objects + in_flight) * u128::from(needed);
        let in_window = blocks / u128::from(self.shared.pool.placeable_bytes().max(1));
        let in_window = u64::try_from(in_window).unwrap_or(u64::MAX);
        let nodes = NODES_VISITED.saturating_add(in_window.saturating_mul(NODES_OF_WINDOW_FACTOR));
        u32::try_from(nodes.min(NODES_VISITED_MAX)).unwrap_or(u32::MAX)
    }

    /// Returns whether something can be moved where the next in order are, as far
    /// as they tell.
    ///
    /// Where nobody may leave, those that stay may be moved nevertheless.
    pub(super) fn can_move(&self, next: &[WeakObject]) -> bool {
        let has_copier = |buffer: &PlacedBuffer| self.shared.copier_of(buffer).is_some();
        let mut objects = self.stored(next);
        next.is_empty() || objects.any(|object| object.replicas().any(has_copier))
    }

    /// Returns the segments that a plan may be about.
    fn sites(&self, next: &[Spare]) -> Vec<Site> {
        let pool = &self.shared.pool;
        let mut views = pool.segments();
        views.retain(|view| self.demand.may_use_segment(view));
        views.sort_by_key(|view| std::cmp::Reverse(view.free_bytes));
        let emptiest = views.iter().take(SEGMENTS_TRIED / 2).map(|view| view.id);
        let of_next = next.iter().flat_map(Spare::segments);
        let mut ids: Vec<SegmentId> = Vec::new();
        for id in emptiest.chain(of_next) {
            let is_usable = || views.iter().any(|view| view.id == id);
            if ids.len() < SEGMENTS_TRIED && !ids.contains(&id) && is_usable() {
                ids.push(id);
            }
        }
        let site = |segment: SegmentId| {
            let view = views.iter().find(|view| view.id == segment)?;
            let needed = self.demand.needed_in(&pool.info(segment)?)?;
            Some(Site {
                segment,
                needed,
                free_bytes: view.free_bytes,
            })
        };
        ids.into_iter().filter_map(site).collect()
    }

    /// Returns a plan that moves no more than the budget, where some objects
    /// may leave, at some losses, and its segment.
    fn find_plan(
        &self,
        spares: &[Spare],
        losses: &[u64],
        sites: &[Site],
    ) -> Option<(SegmentId, BlockPlan)> {
        let mut best: Option<(SegmentId, BlockPlan)> = None;
        for site in sites {
            let leaving = bytes_in(site.segment, spares);
            if site.free_bytes.saturating_add(leaving) < site.needed {
                continue;
            }
            let options = HoleOptions {
                align: self.demand.align,
                moved_bytes_max: self.budget,
                nodes_visited_max: self.nodes_visited_max(site.needed),
                preference: self.preference(),
                ..HoleOptions::new(site.needed)
            };
            let weigh = |blocks: &[Block]| {
                let mut costs = self.shared.movable(site.segment, blocks, self.now);
                let losses = losses_in(site.segment, spares, losses);
                for (block, cost) in blocks.iter().zip(&mut costs) {
                    if let Some(&loss) = losses.get(&block.address) {
                        *cost = cost.or_evictable(loss);
                    }
                }
                costs
            };
            let here = leaving_in(site.segment, spares);
            let pool = &self.shared.pool;
            let plan = pool.plan_hole(site.segment, &options, &here, weigh);
            let Some(plan) = plan else {
                continue;
            };
            let price = |plan: &BlockPlan| (plan.cost, plan.moved_bytes);
            if best
                .as_ref()
                .is_none_or(|(_, best)| price(&plan) < price(best))
            {
                best = Some((site.segment, plan));
            }
        }
        best
    }

    /// Returns how moves are weighed against what leaves: the cheaper, the more
    /// of them are left.
    fn preference(&self) -> Preference {
        let size = u128::from(self.demand.size);
        let percent = u128::from(MOVED_PERCENT) * size / u128::from(self.budget.max(1));
        let percent = percent.min(u128::from(MOVED_PERCENT));
        Preference::Together {
            moved_percent: u32::try_from(percent).unwrap_or(u32::MAX),
        }
    }

    /// Claims who leaves, and moves what is in the way.
    fn carry_out(&mut self, segment: SegmentId, plan: &BlockPlan, victims: WeakObjects) -> bool {
        if !self.claim(Found { segment, victims }) {
            return false;
        }
        let is_done = plan.moves.iter().all(|step| self.take_step(segment, step));
        self.has_planned_hole = is_done;
        if !is_done {
            let others = std::mem::take(&mut self.claimed);
            self.spare(others);
        }
        is_done
    }

    /// Moves one block; returns whether it is where the plan says.
    fn take_step(&mut self, segment: SegmentId, step: &BlockMove) -> bool {
        let Some(owner) = step.owner else {
            return false;
        };
        let step = Step {
            id: ObjectId::of_owner(owner),
            segment,
            from: step.from,
            to: step.to,
        };
        let mut relocated = self.shared.relocate(step, &mut self.budget);
        // It goes where one is that leaves.
        if relocated == Relocated::Occupied && self.let_go_early() {
            relocated = self.shared.relocate(step, &mut self.budget);
        }
        let is_done = relocated == Relocated::Done;
        self.has_moved |= is_done;
        is_done
    }

    /// Lets those go that were claimed, all of them for the one hole that is
    /// missing; returns whether any went.
    fn let_go_early(&mut self) -> bool {
        if self.claimed.is_empty() || !self.close(&self.claimed) {
            return false;
        }
        let victims = std::mem::take(&mut self.claimed);
        self.shared.let_go(victims, Cause::OnDemand, self.now);
        self.has_moved = true;
        true
    }
}
