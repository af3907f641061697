//! Making room: finding a plan, and carrying it out or not at all.
//!
//! The order's lock is held for slices only. What is decided from one slice is
//! checked again when it is carried out: every victim is claimed first, and if
//! one cannot be, because somebody has begun to read it, none goes and the
//! search starts again.

mod compacting;

pub(crate) use self::compacting::PassedOver;

use std::sync::Arc;

use mc_segment::{
    Block, PlaceRequest, PlacedBuffer, PlacementError, ReplicaPolicy, Replicas, SegmentId,
};

use crate::{
    clock::Moment,
    error::{InTheWay, PutError},
    object::Object,
    options::Eviction,
    order::{Candidates, SLICE},
    plan::{Demand, Found, Freed, WindowSearch},
    policy::ObjectId,
    shared::Shared,
    stats::Cause,
};

/// Of how many of the next objects places are added up before neighbors are
/// weighed.
const NEXT: usize = 64;

/// Around how many of the next objects neighbors are weighed first, and then.
const NEAR: [usize; 2] = [16, NEXT];

/// Objects that leave beside a plan, at most, because their turn has come, and
/// times the bytes of the request that they may have.
const OVERDUE_MAX: usize = 8;
const OVERDUE_BYTES_FACTOR: u64 = 2;

/// Blocks that are copied under the lock of a segment at once.
const PAGE_BLOCKS: usize = 1024;

/// How often a put looks for room again after others took what it had made.
const ATTEMPTS_MAX: usize = 64;

impl Shared {
    /// Places the replicas of an object, letting others go if there is no room.
    pub(crate) fn place(
        &self,
        request: &PlaceRequest<'_>,
        now: Moment,
    ) -> Result<Vec<PlacedBuffer>, PutError> {
        let mut has_evicted = false;
        // Of several replicas the first could take the hole that was made for
        // another, in vain.
        let mut budget = match request.replicas.count {
            1 => self.options.compaction.budget(request.size),
            _ => 0,
        };
        for _ in 0..ATTEMPTS_MAX {
            match self.pool.place(request) {
                Ok(buffers) => {
                    if has_evicted {
                        let bytes = buffers.iter().map(PlacedBuffer::size).sum::<u64>();
                        self.order.lock().figures.placed_bytes_on_demand += bytes;
                    }
                    return Ok(buffers);
                }
                Err(refusal @ PlacementError::NoSpace { .. }) => {
                    if !self.sweep(now) && !self.end_late_puts(now) {
                        if !self.make_room(request, &mut budget, now) {
                            return Err(self.no_room(refusal, now));
                        }
                        has_evicted = true;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Others took whatever was made; as if there was none.
        match self.pool.place(request) {
            Err(refusal @ PlacementError::NoSpace { .. }) => Err(self.no_room(refusal, now)),
            placed => Ok(placed?),
        }
    }

    fn no_room(&self, place: PlacementError, now: Moment) -> PutError {
        let (_, in_flight) = self.index.counts();
        let ranks = self.order.lock_all_settled(&self.pool, &self.index, now);
        let pinned = ranks.figures.pinned;
        let in_the_way = InTheWay {
            pinned,
            leased: ranks.hidden().saturating_sub(pinned),
            in_flight: in_flight.saturating_sub(1),
            lingering: self.limbo.len() as u64,
        };
        PutError::NoRoom { place, in_the_way }
    }

    /// Moves objects, or lets them go, so that a request that was refused has
    /// room; returns whether any moved or went. What is moved is taken off a
    /// budget.
    fn make_room(&self, request: &PlaceRequest<'_>, budget: &mut u64, now: Moment) -> bool {
        let wanted = request.replicas.least() as usize;
        // What can be placed is held meanwhile, so that plans are about the rest.
        let placed = match request.replicas.count {
            1 => Vec::new(),
            count => {
                let replicas = Replicas {
                    count,
                    policy: ReplicaPolicy::BestEffort,
                };
                let some = PlaceRequest {
                    replicas,
                    ..*request
                };
                self.pool.place(&some).unwrap_or_default()
            }
        };
        let mut room = Room {
            shared: self,
            demand: Demand {
                size: request.size,
                align: request.align,
                extents_max: request.max_extents,
                excluded: request.excluded,
                names: placed
                    .iter()
                    .chain(request.beside.iter().copied())
                    .map(name)
                    .collect(),
            },
            now,
            claimed: Vec::new(),
            holes_missing: wanted.saturating_sub(placed.len()),
            budget: *budget,
            has_moved: false,
        };
        let is_planned = (placed.len()..wanted).all(|_| room.plan());
        drop(placed);
        *budget = room.budget;
        let victims = std::mem::take(&mut room.claimed);
        if is_planned && (room.has_moved || !victims.is_empty()) {
            self.let_go(victims, Cause::OnDemand, now);
            return true;
        }
        room.spare(victims);
        false
    }

    /// Lets objects go that were claimed, some at a time under the lock.
    pub(crate) fn let_go(&self, victims: Vec<Object>, cause: Cause, now: Moment) {
        let mut victims = victims.into_iter();
        loop {
            let slice: Vec<Object> = victims.by_ref().take(SLICE).collect();
            if slice.is_empty() {
                return;
            }
            {
                let mut ranks = self.order.lock();
                for object in &slice {
                    self.take_out(&mut ranks, object, cause, now);
                }
            }
            // Their space is free when the last lease of each has ended.
            drop(slice);
        }
    }
}

fn name(buffer: &PlacedBuffer) -> Arc<str> {
    buffer.segment().name.as_str().into()
}

/// The search for the holes of one request.
struct Room<'a> {
    shared: &'a Shared,
    demand: Demand<'a>,
    now: Moment,
    /// The victims of the plans so far.
    claimed: Vec<Object>,
    /// Holes that are to be found in all.
    holes_missing: usize,
    /// Bytes that may yet be moved.
    budget: u64,
    /// Whether anything was moved, or left so that something could be.
    has_moved: bool,
}

impl Room<'_> {
    /// Finds one more hole, and claims who has to leave for it.
    fn plan(&mut self) -> bool {
        for _ in 0..ATTEMPTS_MAX {
            if self.budget > 0 {
                let first = self.candidates(1);
                if self.can_move(&first) && self.compact(first) {
                    return true;
                }
            }
            let is_in_order = self.shared.options.eviction == Eviction::InOrder;
            if is_in_order && self.claim_in_order() {
                return true;
            }
            // Often one is enough; of those that follow, too many may be of no use.
            let mut next = self.candidates(1);
            let mut found = self.among_first(&next);
            if found.is_none() {
                next = self.candidates(NEXT);
                found = self.search(&next);
            }
            let Some(found) = found else {
                return false;
            };
            let segment = found.segment;
            if self.claim(found) {
                self.claim_overdue(segment, &next);
                return true;
            }
        }
        false
    }

    /// Claims the objects of a plan; returns whether all could be.
    fn claim(&mut self, found: Found) -> bool {
        let before = self.claimed.len();
        for object in found.victims {
            if self.has_claimed(&object) {
                continue;
            }
            if object.leave(self.now).is_err() {
                let others = self.claimed.split_off(before);
                self.spare(others);
                return false;
            }
            self.claimed.push(object);
        }
        self.take_name(found.segment);
        true
    }

    /// Another replica goes under another name.
    fn take_name(&mut self, segment: SegmentId) {
        let victims = self.claimed.iter().flat_map(Object::replicas);
        let mut inside = victims.filter(|buffer| buffer.segment_id() == segment);
        self.demand.names.extend(inside.next().map(name));
    }

    /// Lets objects stay that were claimed.
    fn spare(&self, objects: Vec<Object>) {
        let mut objects = objects.into_iter();
        loop {
            let slice: Vec<Object> = objects.by_ref().take(SLICE).collect();
            if slice.is_empty() {
                return;
            }
            let mut ranks = self.shared.order.lock();
            for object in slice {
                object.claims.stay();
                ranks.look_again(&self.shared.index, object.id, self.now);
            }
        }
    }

    /// Returns who leaves for a hole: the first in order whose places together
    /// make it, or neighbors.
    fn search(&self, next: &[Object]) -> Option<Found> {
        if let Some(found) = self.among_first(next) {
            return Some(found);
        }
        let mut search = WindowSearch::new(&self.demand);
        for count in NEAR {
            self.look_near(&next[..next.len().min(count)], &mut search);
            if search.has_found() {
                return search.found();
            }
        }
        self.look_anywhere(&mut search);
        search.found()
    }

    /// Claims those in a plan's segment that it has passed over though they were
    /// before its victims in order.
    ///
    /// What they leave is for the next requests. If they stayed, small objects
    /// whose places make no hole for large ones would pile up at the front of
    /// the order, and what is worth more would leave in their stead.
    fn claim_overdue(&mut self, segment: SegmentId, next: &[Object]) {
        let last = next.iter().rposition(|object| self.has_claimed(object));
        let before = &next[..last.unwrap_or(next.len())];
        let is_inside = |object: &&Object| {
            let mut replicas = object.replicas();
            replicas.any(|buffer| buffer.segment_id() == segment && buffer.is_placeable())
        };
        let mut left = self.demand.size.saturating_mul(OVERDUE_BYTES_FACTOR);
        for object in before.iter().filter(is_inside).take(OVERDUE_MAX) {
            if object.bytes() > left {
                return;
            }
            if !self.has_claimed(object) && object.leave(self.now).is_ok() {
                left -= object.bytes();
                self.claimed.push(object.clone());
            }
        }
    }

    fn has_claimed(&self, object: &Object) -> bool {
        self.claimed.iter().any(|other| other.is_same(object))
    }

    /// Returns the next objects in order whose places may be used.
    fn candidates(&self, count: usize) -> Vec<Object> {
        let Shared { index, order, .. } = self.shared;
        loop {
            let mut ranks = order.lock_settled(&self.shared.pool, index, self.now);
            let is_usable = |object: &Object| self.demand.may_use_any(object);
            match ranks.candidates(index, self.now, count, is_usable) {
                Candidates::Found(objects)
                    if !objects.is_empty() || order.is_settled(&ranks, self.now) =>
                {
                    return objects;
                }
                // Some were in use and are hidden now, or are not any more.
                Candidates::Found(_) | Candidates::TryAgain => {}
            }
        }
    }

    /// Returns those of the first objects of a list whose places together make
    /// the hole, without any that could stay.
    fn among_first(&self, objects: &[Object]) -> Option<Found> {
        let mut freed = Freed::default();
        for (place, object) in objects.iter().enumerate() {
            if let Some(room) = freed.add(object, &self.demand) {
                let inside = objects[..=place].iter().filter(|object| room.has(object));
                let victims = self.needed(room.segment, inside.cloned().collect());
                let segment = room.segment;
                return Some(Found { segment, victims });
            }
        }
        None
    }

    /// Returns the objects of a list that a hole needs; those that come later
    /// in it stay if there is a choice.
    fn needed(&self, segment: SegmentId, objects: Vec<Object>) -> Vec<Object> {
        let mut needed = objects;
        for place in (0..needed.len()).rev() {
            if needed.len() == 1 {
                break;
            }
            let object = needed.remove(place);
            let mut freed = Freed::default();
            let mut rooms = needed
                .iter()
                .filter_map(|other| freed.add(other, &self.demand));
            if !rooms.any(|room| room.segment == segment) {
                needed.insert(place, object);
            }
        }
        needed
    }

    /// Weighs the neighbors of some objects.
    fn look_near(&self, objects: &[Object], search: &mut WindowSearch<'_>) {
        let mut seen: Vec<(SegmentId, u64, u64)> = Vec::new();
        let mut left = self.shared.options.search_blocks_max;
        for buffer in objects.iter().flat_map(Object::replicas) {
            if left == 0 || !self.demand.may_use(buffer) {
                continue;
            }
            let id = buffer.segment_id();
            let Some(charged) = buffer.segment().charged_size(self.demand.size) else {
                continue;
            };
            let reach = charged.saturating_add(self.demand.align);
            for (piece, extent) in buffer.extents().enumerate() {
                let is_seen = seen.iter().any(|&(other, start, end)| {
                    other == id && (start..end).contains(&extent.address)
                });
                if is_seen {
                    continue;
                }
                let blocks_max = left.min(PAGE_BLOCKS);
                let Some(blocks) = buffer.neighborhood(piece, reach, blocks_max) else {
                    continue;
                };
                left = left.saturating_sub(blocks.len());
                search.look(id, charged, &blocks, &self.weigh(id, &blocks));
                // Only what has its own surroundings in the list was looked at.
                seen.push((id, extent.address, extent.address + extent.size));
            }
        }
    }

    /// Weighs all neighbors; stops at the first that will do once enough have
    /// been looked at.
    fn look_anywhere(&self, search: &mut WindowSearch<'_>) {
        let mut left = self.shared.options.search_blocks_max;
        for id in self.demand.segments(&self.shared.pool) {
            let info = self.shared.pool.info(id);
            let Some(charged) = info.and_then(|info| info.charged_size(self.demand.size)) else {
                continue;
            };
            let mut run = Run::default();
            let mut cursor = None;
            while let Some(page) = self.shared.pool.blocks(id, cursor.as_ref(), PAGE_BLOCKS) {
                left = left.saturating_sub(page.blocks.len());
                run.extend(page.blocks, |blocks| self.weigh(id, blocks));
                if run.has_enough_new() || page.next.is_none() {
                    search.look(id, charged, &run.blocks, &run.worths);
                    run.forget_before(charged.saturating_add(self.demand.align));
                }
                if left == 0 && search.has_found() {
                    return;
                }
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
        }
    }

    /// Returns the object of each block and what is lost with it; nothing where
    /// nobody may leave.
    fn weigh(&self, segment: SegmentId, blocks: &[Block]) -> Vec<Option<(Object, f64)>> {
        let mut weighed: Vec<_> = blocks
            .iter()
            .map(|block| {
                let object = self.shared.index.object(ObjectId::of_owner(block.owner?))?;
                let is_own = object.is_at(segment, block.address);
                let may_leave =
                    is_own && (object.claim(self.now).is_none() || self.has_claimed(&object));
                may_leave.then_some((object, 0.0))
            })
            .collect();
        for slice in weighed.chunks_mut(4 * SLICE) {
            let ranks = self.shared.order.lock();
            for (object, worth) in slice.iter_mut().flatten() {
                *worth = ranks.worth(object);
            }
        }
        weighed
    }

    /// Claims objects in order until their places make a hole; all of them
    /// leave.
    fn claim_in_order(&mut self) -> bool {
        let before = self.claimed.len();
        let mut freed = Freed::default();
        // What leaves for another replica may leave places here, too.
        let claimed = self.claimed.iter();
        let room = claimed
            .filter_map(|object| freed.add(object, &self.demand))
            .next();
        if let Some(room) = room {
            self.take_name(room.segment);
            return true;
        }
        loop {
            let next = self.candidates(SLICE);
            if next.is_empty() {
                let others = self.claimed.split_off(before);
                self.spare(others);
                return false;
            }
            for object in next {
                let is_claimed = object.leave(self.now).is_ok();
                // The next ones are behind those that are hidden.
                let mut ranks = self.shared.order.lock();
                ranks.hide_if_stored(&self.shared.index, &object, self.now);
                drop(ranks);
                if !is_claimed {
                    continue;
                }
                self.claimed.push(object.clone());
                if let Some(room) = freed.add(&object, &self.demand) {
                    self.take_name(room.segment);
                    return true;
                }
            }
        }
    }
}

/// Blocks that touch, page after page, as many as a window may need.
#[derive(Default)]
struct Run {
    blocks: Vec<Block>,
    worths: Vec<Option<(Object, f64)>>,
    /// How many of them have been looked at.
    looked_at: usize,
}

impl Run {
    /// Adds a page; forgets what was before if it does not touch.
    fn extend(
        &mut self,
        blocks: Vec<Block>,
        weigh: impl FnOnce(&[Block]) -> Vec<Option<(Object, f64)>>,
    ) {
        let end = self.blocks.last().map(|last| last.address + last.size);
        if blocks.first().map(|first| first.address) != end {
            *self = Self::default();
        }
        self.worths.extend(weigh(&blocks));
        self.blocks.extend(blocks);
    }

    /// Returns whether so much is new since blocks were last forgotten that
    /// what is looked at twice is no more than what is looked at once.
    fn has_enough_new(&self) -> bool {
        self.blocks.len() >= 2 * self.looked_at
    }

    /// Forgets blocks that lie farther before the end than some bytes: windows
    /// with blocks that are still to come begin later.
    fn forget_before(&mut self, bytes: u64) {
        let end = self
            .blocks
            .last()
            .map_or(0, |last| last.address + last.size);
        let needed_from = end.saturating_sub(bytes);
        let is_before = |block: &Block| block.address + block.size <= needed_from;
        let first = self.blocks.partition_point(is_before);
        self.blocks.drain(..first);
        self.worths.drain(..first);
        self.looked_at = self.blocks.len();
    }
}
