//! Making room: finding a plan, and carrying it out or not at all.
//!
//! The order's lock is held for slices only. What is decided from one slice is
//! checked again when it is carried out: every victim is claimed first, and if
//! one cannot be, because somebody has begun to read it, none goes and the
//! search starts again.
//!
//! A search has weak references only. If it had the objects, the places of those
//! that leave for others meanwhile would not be free before it ends, and while its
//! thread is interrupted, others would let one object after another go in vain.

mod claimers;
mod compacting;
mod exchange;
mod in_order;
mod line;
mod next;
mod search;
mod spare;

use std::{
    cell::OnceCell,
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use mc_segment::{PlaceRequest, PlacedBuffer, PlacementError, ReplicaPolicy, Replicas, SegmentId};
use smallvec::smallvec;

pub(crate) use self::claimers::Claimers;
use self::claimers::{Claimer, Done};
use crate::{
    asker::Asker,
    clock::Moment,
    error::{InTheWay, PutError},
    ledger::{Own, Rights, Unclaimed, tenant_of},
    object::{Object, Objects, WeakObject, downgraded},
    options::Eviction,
    order::SLICE,
    pending::{Buffers, Held},
    plan::{Demand, Found, WindowSearch},
    policy::{ObjectId, Rank},
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

/// What was made for a request.
#[derive(Debug)]
enum Made {
    /// Nothing by this call: others may have made room.
    Nothing,
    /// There is room, unless another request is faster.
    Room,
    /// The place of an object that left, which no other request has seen free.
    Place(PlacedBuffer),
}

/// How often a put looks for room again after others took what it had made.
const ATTEMPTS_MAX: usize = 64;

impl Shared {
    /// Places the replicas of an object, letting others go if there is no room
    /// for them, or if the tenant may not have more.
    pub(crate) fn place(
        &self,
        request: &PlaceRequest<'_>,
        asker: Asker<'_>,
        now: Moment,
    ) -> Result<Held, PutError> {
        let mut has_evicted = false;
        let mut charge = None;
        let mut exchanged = None;
        // Of several replicas the first could take the hole that was made for
        // another, in vain.
        let mut budget = match request.replicas.count {
            1 => self.options.compaction.budget(request.size),
            _ => 0,
        };
        let mut begun = None;
        let mut asked = *request;
        for _ in 0..ATTEMPTS_MAX {
            let mut done = self.claimers.done();
            if charge.is_none() {
                match asker.charge_most(&mut asked) {
                    Ok(charged) => charge = Some(charged),
                    Err(_) if self.end_late_puts(now) => continue,
                    Err(shortage) => {
                        if !asker.could_charge(&asked) {
                            return Err(asker.refuse(request));
                        }
                        // Nobody leaves for what is refused whatever leaves.
                        let least = (shortage, self.fits(&asked)?);
                        let made = self.make_room(&asked, asker, least, &mut 0, &mut done, now);
                        asked = *request;
                        match made {
                            Some(made) => has_evicted |= !matches!(made, Made::Nothing),
                            None if self.claimers.pause(done, &mut begun) => {}
                            None => return Err(asker.refuse(request)),
                        }
                        continue;
                    }
                }
            }
            let placed = match exchanged.take() {
                Some(place) => Ok(smallvec![place]),
                None => self.pool.place(&asked).map(Buffers::from_vec),
            };
            match placed {
                Ok(buffers) => {
                    let held = Held::of(buffers, charge.unwrap_or_default());
                    if has_evicted {
                        let sum = &self.counts.placed_bytes_on_demand;
                        sum.fetch_add(held.bytes(), Ordering::Relaxed);
                    }
                    return Ok(held);
                }
                Err(refusal @ PlacementError::NoSpace { .. }) => {
                    if !self.sweep(now) && !self.end_late_puts(now) {
                        let hole = (0, false);
                        match self.make_room(&asked, asker, hole, &mut budget, &mut done, now) {
                            Some(Made::Nothing) => {}
                            Some(Made::Room) => has_evicted = true,
                            Some(Made::Place(place)) => {
                                has_evicted = true;
                                exchanged = Some(place);
                            }
                            None if self.claimers.pause(done, &mut begun) => {}
                            None => return Err(self.no_room(refusal, now)),
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Others took whatever was made; as if there was none.
        let Some(charge) = charge else {
            return Err(asker.refuse(request));
        };
        match self.pool.place(&asked) {
            Err(refusal @ PlacementError::NoSpace { .. }) => Err(self.no_room(refusal, now)),
            placed => Ok(Held::of(placed?.into(), charge)),
        }
    }

    /// Returns whether a request has room as it is.
    fn fits(&self, request: &PlaceRequest<'_>) -> Result<bool, PutError> {
        match self.pool.place(request) {
            Ok(_) => Ok(true),
            Err(PlacementError::NoSpace { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn no_room(&self, place: PlacementError, now: Moment) -> PutError {
        let (_, in_flight) = self.index.counts();
        let ranks = self.order.lock_all_settled(&self.pool, &self.index, now);
        let pinned = ranks.figures.pinned;
        let in_the_way = InTheWay {
            pinned,
            leased: ranks.in_use().saturating_sub(pinned),
            in_flight: in_flight.saturating_sub(1),
            lingering: self.limbo.len() as u64,
        };
        PutError::NoRoom { place, in_the_way }
    }

    /// Places what can be of several replicas, to be held while the rest is planned.
    fn place_some(&self, request: &PlaceRequest<'_>) -> Vec<PlacedBuffer> {
        if request.replicas.count == 1 {
            return Vec::new();
        }
        let some = PlaceRequest {
            replicas: Replicas {
                count: request.replicas.count,
                policy: ReplicaPolicy::BestEffort,
            },
            ..*request
        };
        self.pool.place(&some).unwrap_or_default()
    }

    /// Moves objects, or lets them go, so that a request that was refused has
    /// room, unless it fits already, and so that its tenant, if it is short of some
    /// bytes, has those. What is moved is taken off a budget. Claimers that are done
    /// since are others.
    ///
    /// Returns nothing if there can be no room.
    fn make_room(
        &self,
        request: &PlaceRequest<'_>,
        asker: Asker<'_>,
        (shortage, fits): (u64, bool),
        budget: &mut u64,
        done: &mut Done,
        now: Moment,
    ) -> Option<Made> {
        let wanted = request.replicas.least() as usize;
        let placed = self.place_some(request);
        let holes = match fits {
            true => 0,
            false => wanted.saturating_sub(placed.len()),
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
            line: OnceCell::new(),
            rights: Rights {
                tenant: asker.number(),
                spared: self.stored_before(asker.behind()),
                ..Rights::of_nobody()
            },
            now,
            claimed: Objects::new(),
            claimer: None,
            has_several: request.replicas.count > 1,
            may_exchange: request.replicas.count == 1 && shortage == 0,
            budget: *budget,
            has_moved: false,
            has_planned_hole: false,
            made: None,
        };
        let is_planned = match shortage {
            0 => room.plan_all(holes, asker.owns()),
            _ => room.plan_within_limit(holes, shortage),
        };
        drop(placed);
        *budget = room.budget;
        if room.made.is_some() {
            return room.made;
        }
        let mut victims = std::mem::take(&mut room.claimed);
        if !(is_planned && room.close(&victims)) {
            room.spare(victims);
            done.note_own(room.claimer.as_ref());
            return is_planned.then_some(Made::Nothing);
        }
        if victims.is_empty() && !room.has_moved {
            return Some(Made::Nothing);
        }
        if let Some(made) = room.exchange_claimed(&mut victims) {
            return Some(made);
        }
        self.let_go(victims, Cause::OnDemand, now);
        Some(Made::Room)
    }

    /// Lets objects go that were claimed, some at a time under the lock.
    pub(crate) fn let_go(
        &self,
        victims: impl IntoIterator<Item = Object>,
        cause: Cause,
        now: Moment,
    ) {
        let mut victims = victims.into_iter();
        loop {
            let slice: Objects = victims.by_ref().take(SLICE).collect();
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

/// How far neighbors are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Around the next objects in order.
    Near,
    Anywhere,
}

/// The search for the holes of one request.
struct Room<'a> {
    shared: &'a Shared,
    demand: Demand<'a>,
    rights: Rights,
    /// What is spared, for those who look at neighbors.
    line: OnceCell<HashSet<ObjectId>>,
    now: Moment,
    /// The victims of the plans so far.
    claimed: Objects,
    /// Counts the request from its first victim on.
    claimer: Option<Claimer<'a>>,
    /// Whether the request asks for several replicas, so that names matter.
    has_several: bool,
    /// Whether the request is for one replica, and its tenant is not short.
    may_exchange: bool,
    /// Bytes that may yet be moved; none for several replicas, or where a tenant
    /// is short. While there are any, nobody was claimed for another hole.
    budget: u64,
    /// Whether anything was moved, or left so that something could be.
    has_moved: bool,
    /// Whether the hole is where a plan of moves made it, and not the place of
    /// one who leaves.
    has_planned_hole: bool,
    /// What was made by one who left as soon as it was found.
    made: Option<Made>,
}

impl<'a> Room<'a> {
    /// Finds so many holes, and claims who has to leave for them.
    fn plan_all(&mut self, holes: usize, owns: &[Own]) -> bool {
        (0..holes).all(|_| self.plan(owns))
    }

    /// As [`plan_all`](Self::plan_all), and claims so many bytes of the tenant's
    /// own objects: those that make the holes, if they can.
    fn plan_within_limit(&mut self, holes: usize, bytes: u64) -> bool {
        let names = self.demand.names.len();
        let are_own = self.plan_all(holes, &[Own::Alone]);
        if !are_own {
            let claimed = std::mem::take(&mut self.claimed);
            self.spare(claimed);
            self.demand.names.truncate(names);
        }
        self.claim_own(bytes) && (are_own || self.plan_all(holes, &[Own::MayLeave]))
    }

    /// Claims the tenant's own objects in order until they have so many bytes.
    fn claim_own(&mut self, bytes: u64) -> bool {
        let claimed = self.claimed.iter().map(Object::bytes);
        let mut left = bytes.saturating_sub(claimed.sum());
        self.rights.own = Own::Alone;
        let ranks = self.shared.order.ranks();
        for rank_max in ranks {
            self.rights.rank_max = rank_max;
            while left > 0 {
                let next = self.candidates_where(NEXT, |_| true);
                if next.is_empty() {
                    break;
                }
                for seen in next {
                    if left > 0
                        && let Some(object) = self.shared.index.upgrade(seen)
                        && self.take(&object)
                    {
                        left = left.saturating_sub(object.bytes());
                        self.claimed.push(object);
                    }
                }
            }
        }
        left == 0
    }

    /// Finds one more hole, and claims who has to leave for it: objects of the
    /// lowest ranks first, and the tenant's own in the order that is given. What is
    /// kept comes last whosever it is.
    fn plan(&mut self, owns: &[Own]) -> bool {
        let ranks = self.shared.order.ranks();
        let kept_from = ranks.partition_point(|rank| !rank.is_kept);
        let (others, kept) = ranks.split_at(kept_from);
        let mut passes = [others, kept]
            .into_iter()
            .flat_map(|ranks| owns.iter().map(move |own| (ranks, *own)));
        passes.any(|(ranks, own)| {
            self.rights.own = own;
            self.plan_up_to(ranks)
        })
    }

    /// Finds one more hole among objects of the lowest of some ranks, then of higher
    /// ones.
    fn plan_up_to(&mut self, ranks: &[Rank]) -> bool {
        for (place, &rank_max) in ranks.iter().enumerate() {
            // All is looked at once for all ranks, or few small objects would cost as much.
            let reach = match place + 1 == ranks.len() {
                true => Reach::Anywhere,
                false => Reach::Near,
            };
            self.rights.rank_max = rank_max;
            self.rights.barred.clear();
            if self.plan_as_allowed(reach) {
                return true;
            }
        }
        false
    }

    /// Finds one more hole among those that may leave.
    fn plan_as_allowed(&mut self, reach: Reach) -> bool {
        for _ in 0..ATTEMPTS_MAX {
            // Often one is enough; of those that follow, too many may be of no use.
            let (ranks, mut first) = self.look(1, |object| self.demand.may_use_any(object));
            if self.exchange(ranks, &mut first) {
                return true;
            }
            let mut next = downgraded(first);
            if self.budget > 0 && self.can_move(&next) {
                if self.compact(&next) {
                    return true;
                }
                next = self.candidates(1);
            }
            if self.shared.options.eviction == Eviction::InOrder {
                if self.claim_in_order() {
                    return true;
                }
                next = self.candidates(1);
            }
            let mut found = self.among_first(&next);
            if found.is_none() {
                next = self.candidates(NEXT);
                found = self.search(&next, reach);
            }
            let Some(found) = found else {
                return false;
            };
            let segment = found.segment;
            let is_free = found.victims.is_empty();
            if self.claim(found) {
                // Where somebody else has made the hole meanwhile, nobody leaves in vain.
                if !is_free {
                    self.claim_overdue(segment, &next);
                }
                return true;
            }
        }
        false
    }

    /// Claims the objects of a plan; returns whether all could be.
    fn claim(&mut self, found: Found) -> bool {
        let before = self.claimed.len();
        for seen in found.victims {
            // Those of one plan are distinct, and there may be many.
            let earlier = &self.claimed[..before];
            if earlier.iter().any(|other| other.downgrade() == seen) {
                continue;
            }
            let stored = self.shared.index.upgrade(seen);
            let Some(object) = stored.filter(|object| self.take(object)) else {
                let others = self.claimed.drain(before..).collect();
                self.spare(others);
                return false;
            };
            self.claimed.push(object);
        }
        self.take_name(found.segment);
        true
    }

    /// Claims an object, unless somebody uses it or its tenant is sure of it.
    fn take(&mut self, object: &Object) -> bool {
        let claimed = self
            .shared
            .claim(object, &self.rights, self.now, Object::mark);
        match claimed {
            Ok(()) => {
                let claimers = &self.shared.claimers;
                self.claimer.get_or_insert_with(|| claimers.begin());
                true
            }
            Err(Unclaimed::InUse) => false,
            Err(Unclaimed::Guaranteed { tenant }) => {
                // Other plans may do without it.
                self.rights.barred.push(tenant);
                false
            }
        }
    }

    /// Another replica goes under another name.
    fn take_name(&mut self, segment: SegmentId) {
        if !self.has_several {
            return;
        }
        let victims = self.claimed.iter().flat_map(Object::replicas);
        let mut inside = victims.filter(|buffer| buffer.segment_id() == segment);
        self.demand.names.extend(inside.next().map(name));
    }

    /// Lets nobody begin to use those who were claimed; returns whether nobody has
    /// since, so that all leave. Otherwise the caller lets them stay.
    fn close(&self, claimed: &[Object]) -> bool {
        let mut each = claimed.iter();
        let are_closed = each.all(|object| object.close_marked(self.now).is_ok());
        if are_closed {
            claimed.iter().for_each(|object| object.claims.decide());
        }
        are_closed
    }

    /// Lets objects stay that were claimed.
    fn spare(&self, objects: Objects) {
        let mut objects = objects.into_iter();
        loop {
            let slice: Objects = objects.by_ref().take(SLICE).collect();
            if slice.is_empty() {
                return;
            }
            let mut ranks = self.shared.order.lock();
            for object in slice {
                if let Some(tenant) = tenant_of(&object) {
                    ranks.ledger.spare(tenant, object.bytes());
                }
                object.claims.stay();
                ranks.look_again(&self.shared.index, object.id, self.now);
            }
        }
    }

    /// Returns who leaves for a hole: the first in order whose places together
    /// make it, or neighbors.
    fn search(&self, next: &[WeakObject], reach: Reach) -> Option<Found> {
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
        if reach == Reach::Anywhere {
            self.look_anywhere(&mut search);
        }
        search.found()
    }

    /// Claims those in a plan's segment that it has passed over though they were
    /// before its victims in order.
    ///
    /// What they leave is for the next requests. If they stayed, small objects
    /// whose places make no hole for large ones would pile up at the front of
    /// the order, and what is worth more would leave in their stead.
    fn claim_overdue(&mut self, segment: SegmentId, next: &[WeakObject]) {
        let last = next.iter().rposition(|&seen| self.has_claimed(seen));
        let before = &next[..last.unwrap_or(next.len())];
        let is_inside = |object: &Object| {
            let mut replicas = object.replicas();
            replicas.any(|buffer| buffer.segment_id() == segment && buffer.is_placeable())
        };
        let mut left = self.demand.size.saturating_mul(OVERDUE_BYTES_FACTOR);
        for object in self.stored(before).filter(is_inside).take(OVERDUE_MAX) {
            if object.bytes() > left {
                return;
            }
            if self.has_claimed(object.downgrade()) {
                continue;
            }
            // Beside a plan, no tenant gives what it is sure of, not for its own request either.
            let rights = Rights::of_nobody();
            let claimed = self.shared.claim(&object, &rights, self.now, Object::mark);
            if claimed.is_ok() {
                left -= object.bytes();
                self.claimed.push(object);
            }
        }
    }

    fn has_claimed(&self, seen: WeakObject) -> bool {
        self.claimed.iter().any(|other| other.downgrade() == seen)
    }

    /// Returns those of some objects that have not left since, one at a time, so
    /// that the places of others are free as soon as they leave.
    fn stored<'s>(&self, seen: &'s [WeakObject]) -> impl Iterator<Item = Object> + use<'a, 's> {
        let index = &self.shared.index;
        seen.iter().filter_map(|seen| index.upgrade(*seen))
    }
}
