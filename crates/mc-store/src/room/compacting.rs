//! Making a hole by moving what is between holes, where the next in order leave
//! only as far as bytes are short.
//!
//! Which of the next leave is decided by what fits and by what the policy says
//! they are worth: where sizes are much alike, what the first leaves over would
//! stay in pieces that no move brings together.

use std::collections::{HashMap, HashSet};

use mc_segment::{Block, BlockMove, BlockPlan, HoleOptions, PlacedBuffer, Preference, SegmentId};
use smallvec::smallvec;

use super::{NEXT, Room};
use crate::{
    object::{Object, Objects},
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
    pub(super) fn compact(&mut self, first: Objects) -> bool {
        let sites = self.sites(&first);
        if let Some((segment, plan)) = self.find_plan(&[], &[], &sites) {
            // Whoever holds on to an object keeps its place from being free.
            drop(first);
            return self.carry_out(segment, &plan, Objects::new());
        }
        drop(first);
        let mut next = self.candidates(NEXT);
        if next.len() == NEXT && !self.may_suffice(&next, &sites) {
            next = self.candidates(LEAVING_MAX);
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
                drop(next);
                return self.carry_out(segment, &plan, victims);
            }
            if spares.len() == next.len() || self.budget == 0 {
                return false;
            }
        }
        false
    }

    /// Takes those off a list whose children in their prompts are on it, too, and
    /// returns what is lost with each of the others, counted in bytes of the first.
    ///
    /// What fits best may leave out of order, but not the beginning of a prompt
    /// before its end, which is worth nothing then.
    fn keep_ends(&self, next: &mut Objects) -> Vec<u64> {
        let ranks = self.shared.order.lock();
        let parents: HashSet<ObjectId> = next
            .iter()
            .filter_map(|object| ranks.parent(object.id))
            .collect();
        next.retain(|object| !parents.contains(&object.id));
        let worth: Vec<f64> = next.iter().map(|object| ranks.worth(object)).collect();
        drop(ranks);
        let by_byte = |(object, worth): (&Object, &f64)| worth / object.bytes().max(1) as f64;
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
    fn pass_over(&self, next: &mut Objects) {
        let size = self.demand.size;
        let is_huge = |object: &Object| object.bytes() / HUGE_FACTOR >= size;
        if next.iter().all(is_huge) {
            return;
        }
        let huge_first = next.first().filter(|first| is_huge(first));
        let leaving = huge_first.filter(|first| {
            let mut passed = self.shared.passed_over.lock();
            let placed = passed.again(first.id, size);
            placed > first.bytes().saturating_mul(PASSED_FACTOR)
        });
        let leaving = leaving.map(|object| object.id);
        next.retain(|object| leaving == Some(object.id) || !is_huge(object));
    }

    /// Returns which of some objects leaves the smallest hole that will do, if
    /// next to nothing of it is left over.
    fn snuggest(&self, objects: &[Object]) -> Option<Found> {
        let size = self.demand.size;
        let snug = size.saturating_add(size / SNUG_SHARE);
        let mut best: Option<(u64, &Object, SegmentId)> = None;
        for object in objects {
            for buffer in object
                .replicas()
                .filter(|buffer| self.demand.may_use(buffer))
            {
                let needed = self.demand.needed_in(buffer.segment()).unwrap_or(u64::MAX);
                for hole in buffer.holes_if_dropped() {
                    let room = self.demand.room(hole.address, hole.address + hole.size);
                    let is_better = best.is_none_or(|(least, ..)| hole.size < least);
                    if room >= needed && hole.size <= snug && is_better {
                        best = Some((hole.size, object, buffer.segment_id()));
                    }
                }
            }
        }
        let (_, object, segment) = best?;
        let victims = smallvec![object.clone()];
        Some(Found { segment, victims })
    }

    /// Returns how many of the next objects are as good as each other to leave:
    /// the one goes whose place leaves least over.
    ///
    /// If the first went wherever it fits, what is left over would be spread
    /// over as many holes as there are objects, and where sizes are much alike
    /// no move brings those together: a block needs a hole of its size to go to.
    fn count_of_equals(&self, next: &[Object]) -> usize {
        let mut left = self.shared.pool.placeable_bytes() / EQUALS_SHARE;
        let mut is_equal = |object: &&Object| {
            let is_within = object.bytes() <= left;
            left = left.saturating_sub(object.bytes());
            is_within
        };
        next.iter()
            .take(NEXT)
            .take_while(|object| is_equal(object))
            .count()
    }

    /// Returns whether bytes that are free or leave are enough in one of the
    /// segments.
    fn may_suffice(&self, spares: &[Object], sites: &[Site]) -> bool {
        sites.iter().any(|site| {
            let here = leaving_in(site.segment, spares);
            site.free_bytes.saturating_add(bytes(&here)) >= site.needed
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
    pub(super) fn can_move(&self, next: &[Object]) -> bool {
        let mut buffers = next.iter().flat_map(Object::replicas);
        next.is_empty() || buffers.any(|buffer| self.shared.copier_of(buffer).is_some())
    }

    /// Returns the segments that a plan may be about.
    fn sites(&self, next: &[Object]) -> Vec<Site> {
        let pool = &self.shared.pool;
        let mut views = pool.segments();
        views.retain(|view| self.demand.may_use_segment(view));
        views.sort_by_key(|view| std::cmp::Reverse(view.free_bytes));
        let emptiest = views.iter().take(SEGMENTS_TRIED / 2).map(|view| view.id);
        let buffers = next.iter().flat_map(Object::replicas);
        let of_next = buffers.filter(|buffer| self.demand.may_use(buffer));
        let mut ids: Vec<SegmentId> = Vec::new();
        for id in emptiest.chain(of_next.map(PlacedBuffer::segment_id)) {
            if ids.len() < SEGMENTS_TRIED && !ids.contains(&id) {
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
        spares: &[Object],
        losses: &[u64],
        sites: &[Site],
    ) -> Option<(SegmentId, BlockPlan)> {
        let mut best: Option<(SegmentId, BlockPlan)> = None;
        for site in sites {
            let here = leaving_in(site.segment, spares);
            if site.free_bytes.saturating_add(bytes(&here)) < site.needed {
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
            let plan = self
                .shared
                .pool
                .plan_hole(site.segment, &options, &here, weigh);
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
    fn carry_out(&mut self, segment: SegmentId, plan: &BlockPlan, victims: Objects) -> bool {
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

/// Returns whether a buffer is in a segment, and not in one of an older epoch,
/// where something else may have its addresses now.
fn is_here(buffer: &PlacedBuffer, segment: SegmentId) -> bool {
    buffer.segment_id() == segment && buffer.is_placeable()
}

/// Returns the replicas in a segment of objects that may leave.
fn leaving_in(segment: SegmentId, spares: &[Object]) -> Vec<&PlacedBuffer> {
    let buffers = spares.iter().flat_map(Object::replicas);
    buffers.filter(|buffer| is_here(buffer, segment)).collect()
}

/// Returns what is lost with each block that may leave in a segment, by its
/// address.
fn losses_in(segment: SegmentId, spares: &[Object], losses: &[u64]) -> HashMap<u64, u64> {
    let leaving = spares.iter().zip(losses);
    let blocks = leaving.flat_map(|(object, &loss)| {
        let here = object.replicas().filter(move |one| is_here(one, segment));
        let extents = here.flat_map(PlacedBuffer::extents);
        extents.map(move |extent| (extent.address, loss))
    });
    blocks.collect()
}

fn is_at(buffer: &PlacedBuffer, block: &Block) -> bool {
    let mut extents = buffer.extents();
    extents.any(|extent| extent.address == block.address)
}

fn bytes(buffers: &[&PlacedBuffer]) -> u64 {
    buffers.iter().map(|buffer| buffer.size()).sum()
}

/// Returns the objects that a plan lets go.
fn named(spares: &[Object], segment: SegmentId, plan: &BlockPlan) -> Objects {
    let is_named = |object: &&Object| {
        let mut here = object.replicas().filter(|one| is_here(one, segment));
        here.any(|buffer| plan.evictions.iter().any(|block| is_at(buffer, block)))
    };
    spares.iter().filter(is_named).cloned().collect()
}
