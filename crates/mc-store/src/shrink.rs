//! Giving up the end of a segment: what lies there moves, and at last the next in
//! order leave.

use std::{sync::Arc, thread, time::Duration};

use mc_segment::{
    Block, BlockCost, Extent, HoleOptions, PlaceRequest, PlacedBuffer, Replicas, SegmentId,
    SegmentResizeError, SegmentTail,
};
use thiserror::Error;

use crate::{
    ObjectStore,
    clock::Moment,
    ledger::Rights,
    object::Object,
    order::Candidates,
    policy::ObjectId,
    shared::Shared,
    stats::{Cause, Counted},
};

/// Blocks that the plan for the new place of one object looks at, at most.
const NODES_VISITED_MAX: u32 = 4096;

/// How often, and how long, leases and puts in flight are waited for.
const PAUSES_MAX: usize = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// How often the end is looked at again because somebody placed there.
const LOOKS_MAX: usize = 1000;

/// What became of the end of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shrunk {
    /// Replicas that lay there and are elsewhere.
    pub moved: Counted,
    /// Objects that left, wherever they lay.
    pub evicted: Counted,
    /// Bytes of the pages that the system has back; none of a pool in a named file,
    /// which keeps its blocks.
    pub released_bytes: u64,
}

/// Why a segment keeps its end. No object has left for it, unless one that was
/// idle before was leased while others already left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShrinkError {
    /// The segment cannot have that end.
    #[error(transparent)]
    Resize(#[from] SegmentResizeError),
    /// Something there neither moves nor leaves: it is leased, pinned, being put, or not
    /// the store's.
    #[error("segment {id}: {bytes} bytes behind the new end neither move nor leave")]
    InTheWay {
        /// The segment.
        id: SegmentId,
        /// Its bytes.
        bytes: u64,
    },
}

impl ObjectStore {
    /// Takes from a segment what it has behind `capacity` bytes, a multiple of its
    /// granule, and gives the pages back to the system where the memory is a pool's of
    /// this process.
    ///
    /// What lies there moves: to holes of the segment or of others that the terms of its
    /// put allow and that somebody copies to, or to such as moves within the segment make. Where there is too little
    /// room, objects of the segment leave in the policy's order, one after another, until
    /// the rest fits; nobody leaves before all that is there could. Where nobody copies, what
    /// lies behind the end leaves. From the first moment on nothing is placed there, and
    /// other threads use the store meanwhile: locks are held as for a put. What is leased or
    /// in flight is waited for, a tenth of a second at most. With a `capacity` of one granule,
    /// nearly all of a segment is emptied.
    ///
    /// The journal has the moves, and not the bytes that the segment has: where the store
    /// is [opened](Self::open) again, mount it with those, or shrink it again. Takes
    /// time linear in the blocks of the segment, some times over.
    ///
    /// # Errors
    ///
    /// A [`ShrinkError`]; what has moved stays where it is.
    pub fn shrink(&self, id: SegmentId, capacity: u64) -> Result<Shrunk, ShrinkError> {
        let shared = &*self.shared;
        let tail = shared.pool.hold_tail(id, capacity)?;
        let done = Shrunk::default();
        Shrinking { shared, tail, done }.run()
    }

    /// Gives a segment that shrank `capacity` bytes again, at most those that it was
    /// mounted with; its pages come back as they are written.
    ///
    /// # Errors
    ///
    /// As [`SegmentPool::grow`](mc_segment::SegmentPool::grow).
    pub fn grow(&self, id: SegmentId, capacity: u64) -> Result<(), SegmentResizeError> {
        self.shared.pool.grow(id, capacity)
    }
}

/// What became of a block that is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is elsewhere.
    Moved,
    /// There is no room for it.
    NoRoom,
    /// Nobody can move it at the moment.
    Stuck,
}

struct Shrinking<'a> {
    shared: &'a Shared,
    tail: SegmentTail,
    done: Shrunk,
}

impl Shrinking<'_> {
    fn run(mut self) -> Result<Shrunk, ShrinkError> {
        let mut pauses = 0;
        for _ in 0..LOOKS_MAX {
            let blocks = self.tail.take_holes();
            if blocks.is_empty() {
                match self.shared.pool.shrink(&mut self.tail) {
                    Ok(released_bytes) => {
                        self.done.released_bytes = released_bytes;
                        return Ok(self.done);
                    }
                    Err(SegmentResizeError::Occupied { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            let outcomes: Vec<Outcome> = blocks.iter().map(|block| self.move_off(block)).collect();
            if outcomes.contains(&Outcome::Moved) {
                continue;
            }
            if outcomes.contains(&Outcome::Stuck) {
                if pauses == PAUSES_MAX {
                    return Err(self.in_the_way(&blocks));
                }
                pauses += 1;
                thread::sleep(PAUSE);
                continue;
            }
            for block in &blocks {
                self.make_room_for(block);
            }
        }
        let blocks = self.tail.take_holes();
        Err(self.in_the_way(&blocks))
    }

    fn in_the_way(&self, blocks: &[Block]) -> ShrinkError {
        let stuck = blocks
            .iter()
            .filter(|block| self.object_at(block, self.shared.now()).is_none());
        let id = self.tail.segment_id();
        let bytes = stuck.map(|block| block.size).sum();
        ShrinkError::InTheWay { id, bytes }
    }

    /// Returns the object of a block if nobody uses it, and the place of the replica.
    fn object_at(&self, block: &Block, now: Moment) -> Option<(Object, usize)> {
        let object = self.shared.index.object(ObjectId::of_owner(block.owner?))?;
        let id = self.tail.segment_id();
        let is_here = |replica: &PlacedBuffer| {
            replica.segment_id() == id
                && replica.is_readable()
                && replica
                    .extents()
                    .any(|extent| extent.address == block.address)
        };
        let place = object.replicas().position(is_here)?;
        object.claim(now).is_none().then_some((object, place))
    }

    /// Moves what is in a block to somewhere else, if there is room.
    fn move_off(&mut self, block: &Block) -> Outcome {
        let Some((object, place)) = self.object_at(block, self.shared.now()) else {
            return Outcome::Stuck;
        };
        if !self.is_copied(&object, place) {
            return Outcome::NoRoom;
        }
        let terms = Arc::clone(&object.terms);
        let Some(new) = self.hole_for(object, place) else {
            return Outcome::NoRoom;
        };
        let size = new.size();
        // Looked up again: making a hole may have moved it, others may have let it go, and what is
        // there now may be another one.
        let again = self.object_at(block, self.shared.now());
        let again = again.filter(|(object, at)| {
            let old = object.replicas().nth(*at);
            Arc::ptr_eq(&object.terms, &terms)
                && *at == place
                && old.is_some_and(|old| old.size() == size)
        });
        let is_moved = again.is_some_and(|(object, at)| self.shared.carry(object, at, new));
        if !is_moved {
            return Outcome::Stuck;
        }
        self.done.moved.add(size);
        let Block { address, size, .. } = *block;
        self.tail.take(Extent { address, size });
        Outcome::Moved
    }

    /// Returns whether somebody copies a replica.
    fn is_copied(&self, object: &Object, place: usize) -> bool {
        let replica = object.replicas().nth(place);
        replica.is_some_and(|replica| self.shared.copier_of(replica).is_some())
    }

    /// Takes a hole for a replica: of the segment, of another, or one that moves make.
    fn hole_for(&mut self, object: Object, place: usize) -> Option<PlacedBuffer> {
        let Shared { pool, options, .. } = self.shared;
        let (segment, align) = (self.tail.segment_id(), object.terms.align);
        let old = object.replicas().nth(place)?;
        let size = old.size();
        while let Ok(new) = pool.place_in(segment, size, align) {
            if !self.is_in_tail(&new) {
                return Some(new);
            }
            self.take_back(new);
        }
        let beside = object.readable_beside(Some(place));
        let mut excluded = object.terms.excluded.to_vec();
        loop {
            let elsewhere = PlaceRequest {
                size,
                align,
                max_extents: object.terms.max_extents.min(options.extents_max),
                replicas: Replicas::exact(1),
                preferred: &[],
                excluded: &excluded,
                beside: &beside,
                host: &object.terms.host,
                key_hash: Some(object.key_hash()),
            };
            let placed = pool.place(&elsewhere).ok();
            let Some(new) = placed.and_then(|mut placed| placed.pop()) else {
                break;
            };
            if self.is_in_tail(&new) {
                self.take_back(new);
            } else if self.shared.copier_between(old, &new).is_none() {
                excluded.push(new.segment_id());
            } else {
                return Some(new);
            }
        }
        drop(object);
        self.make_hole(size, align)
    }

    fn is_in_tail(&self, buffer: &PlacedBuffer) -> bool {
        let (id, end) = (self.tail.segment_id(), self.tail.address());
        let mut extents = buffer.extents();
        buffer.segment_id() == id && extents.any(|extent| extent.address + extent.size > end)
    }

    /// Takes what was placed in the tail after all.
    fn take_back(&mut self, buffer: PlacedBuffer) {
        let places: Vec<Extent> = buffer.extents().collect();
        drop(buffer);
        places.into_iter().for_each(|place| self.tail.take(place));
    }

    /// Makes a hole in what stays of the segment by moves, if so much is free there.
    fn make_hole(&self, size: u64, align: u64) -> Option<PlacedBuffer> {
        let (shared, id, end) = (self.shared, self.tail.segment_id(), self.tail.address());
        let options = HoleOptions {
            align,
            moved_bytes_max: u64::MAX,
            nodes_visited_max: NODES_VISITED_MAX,
            ..HoleOptions::new(size)
        };
        let now = shared.now();
        let plan = shared.pool.plan_hole(id, &options, &[], |blocks| {
            let mut costs = shared.movable(id, blocks, now);
            for (block, cost) in blocks.iter().zip(&mut costs) {
                if block.address + block.size > end {
                    *cost = BlockCost::IMMOVABLE;
                }
            }
            costs
        })?;
        let mut unlimited = u64::MAX;
        let (_, is_whole) = shared.carry_out(id, &plan, &mut unlimited, || true);
        let placed = is_whole.then(|| shared.pool.place_at(id, plan.window.start, size));
        placed?.ok()
    }

    /// Lets the next in order leave until what is in a block has moved, or left.
    fn make_room_for(&mut self, block: &Block) {
        loop {
            match self.move_off(block) {
                Outcome::Moved | Outcome::Stuck => return,
                Outcome::NoRoom => {}
            }
            let now = self.shared.now();
            let Some((own, place)) = self.object_at(block, now) else {
                return;
            };
            // Room is of no use to what nobody copies.
            let next = self.is_copied(&own, place).then(|| self.next_in_order(now));
            let victim = next.flatten().unwrap_or(own);
            // Bytes that are not there any more are nobody's for sure.
            let rights = Rights::of_owner(&victim);
            let claimed = self.shared.claim(&victim, &rights, now, Object::leave);
            if claimed.is_ok() {
                self.done.evicted.add(victim.bytes());
                let id = self.tail.segment_id();
                let here = victim.replicas();
                let here = here.filter(|replica| replica.segment_id() == id);
                let places: Vec<Extent> = here.flat_map(PlacedBuffer::extents).collect();
                self.shared.let_go([victim], Cause::Shrunk, now);
                places.into_iter().for_each(|place| self.tail.take(place));
            }
        }
    }

    /// Returns the object of the segment that is next in the policy's order, of
    /// the lowest rank that has any. Those of other segments are passed over once.
    fn next_in_order(&self, now: Moment) -> Option<Object> {
        let Shared {
            index, order, pool, ..
        } = self.shared;
        let id = self.tail.segment_id();
        let mut rights = Rights::of_nobody();
        let all = order.ranks();
        for rank_max in all {
            rights.rank_max = rank_max;
            loop {
                let mut ranks = order.lock_settled(pool, index, now);
                let is_here = |object: &Object| object.is_in(id);
                match ranks.candidates(index, now, 1, &rights, true, is_here) {
                    Candidates::Found(found)
                        if found.is_empty() && !order.is_settled(&ranks, now) => {}
                    Candidates::Found(found) if found.is_empty() => break,
                    Candidates::Found(found) => return found.into_iter().next(),
                    Candidates::TryAgain => {}
                }
            }
        }
        None
    }
}
