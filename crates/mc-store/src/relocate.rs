//! Moving one replica to a place of the same segment: reserve, copy, switch, free.
//!
//! Until the switch the object is where it was, for readers and for the journal; from
//! then on it is at the new place, under a new descriptor. The old place is free when
//! the last who looked at it has let go.

use mc_segment::{Block, BlockCost, ExactError, PlacedBuffer, SegmentId};

use crate::{
    book::NotWritten,
    clock::Moment,
    copier::{Copier, LocalCopier, copy_in_slices},
    object::Object,
    policy::ObjectId,
    shared::Shared,
};

/// A move within a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) id: ObjectId,
    pub(crate) segment: SegmentId,
    /// Address that the replica begins at, in one piece.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What became of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relocated {
    /// The replica is at its new place.
    Done,
    /// Something is at the new place. Nothing was copied.
    Occupied,
    /// The object has gone, is in use, or there was no copying it.
    Ended,
}

impl Shared {
    /// Returns who copies within the segment of a buffer, if anybody does.
    pub(crate) fn copier_of(&self, buffer: &PlacedBuffer) -> Option<&dyn Copier> {
        if buffer.is_local() {
            return Some(&LocalCopier);
        }
        self.options.copier.as_deref()
    }

    /// Returns who copies from one buffer to another, if anybody does.
    pub(crate) fn copier_between(
        &self,
        from: &PlacedBuffer,
        to: &PlacedBuffer,
    ) -> Option<&dyn Copier> {
        match to.is_local() {
            true => self.copier_of(from),
            false => self.options.copier.as_deref(),
        }
    }

    /// Returns which blocks of a segment may be moved, and to which multiples.
    pub(crate) fn movable(
        &self,
        segment: SegmentId,
        blocks: &[Block],
        now: Moment,
    ) -> Vec<BlockCost> {
        let mut has_copier = None;
        let mut cost = |block: &Block| {
            let object = self.index.object(ObjectId::of_owner(block.owner?))?;
            let (_, replica) = single_piece_at(&object, segment, block.address)?;
            let has_copier = *has_copier.get_or_insert_with(|| self.copier_of(replica).is_some());
            let is_movable = has_copier && object.claim(now).is_none();
            is_movable.then(|| BlockCost::movable_to(object.terms.align))
        };
        let costs = blocks
            .iter()
            .map(|block| cost(block).unwrap_or(BlockCost::IMMOVABLE));
        costs.collect()
    }

    /// Moves a replica; takes the bytes that are copied, be it in vain, off a
    /// budget, and moves nothing beyond that.
    pub(crate) fn relocate(&self, step: Step, budget: &mut u64) -> Relocated {
        let Step {
            id,
            segment,
            from,
            to,
        } = step;
        let Some(object) = self.index.object(id) else {
            return Relocated::Ended;
        };
        let Some((place, old)) = single_piece_at(&object, segment, from) else {
            return Relocated::Ended;
        };
        let size = old.size();
        if size > *budget || object.claim(self.now()).is_some() {
            return Relocated::Ended;
        }
        // Since the plan was made, the id may have become that of another one.
        if !to.is_multiple_of(object.terms.align) {
            return Relocated::Ended;
        }
        if self.copier_of(old).is_none() {
            return Relocated::Ended;
        }
        let new = match self.pool.place_at(segment, to, size) {
            Ok(new) => new,
            Err(ExactError::Occupied { .. }) => return Relocated::Occupied,
            Err(_) => return Relocated::Ended,
        };
        *budget -= size;
        match self.carry(object, place, new) {
            true => Relocated::Done,
            false => Relocated::Ended,
        }
    }

    /// Lets nothing be copied to a place before the journal is sure to know that it
    /// is nobody's. The caller has taken the place: whoever left it before has told
    /// the journal, which has failed since if it could not be told.
    pub(crate) fn settle_places(&self) -> Result<(), NotWritten> {
        let Some(book) = &self.book else {
            return Ok(());
        };
        book.check()?;
        book.settle_all()
    }

    /// Copies a replica, the one at a place among the others, to where it is to
    /// be, of the same size, and switches; returns whether it is there.
    pub(crate) fn carry(&self, object: Object, place: usize, mut new: PlacedBuffer) -> bool {
        let size = new.size();
        let is_idle = || object.claim(self.now()).is_none();
        let is_copied = object.replicas().nth(place).is_some_and(|old| {
            let copier = self.copier_between(old, &new);
            copier.is_some_and(|copier| {
                self.settle_places().is_ok()
                    && copy_in_slices(copier, old, &mut new, is_idle).is_ok()
            })
        });
        let is_switched = is_copied
            && self
                .switch(object, new, Some(place), self.now(), Object::close)
                .is_ok();
        if !is_switched {
            self.order.lock().figures.moves_ended.add(size);
        }
        is_switched
    }
}

/// Returns the replica of an object that is in one piece at an address, and its
/// place among the others.
pub(crate) fn single_piece_at(
    object: &Object,
    segment: SegmentId,
    address: u64,
) -> Option<(usize, &PlacedBuffer)> {
    let mut replicas = object.replicas().enumerate();
    replicas.find(|(_, replica)| {
        // One of an older epoch of the segment may have been there.
        replica.segment_id() == segment
            && replica.is_readable()
            && replica.address() == address
            && replica.extents().len() == 1
    })
}

#[cfg(test)]
mod tests {
    use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
    use mc_segment::{Memory, Segment, SegmentInfo, SegmentPool, SegmentPoolOptions};

    use super::*;
    use crate::{
        ObjectStore, PutRequest, StoreOptions,
        journal::{Durability, JournalOptions},
    };

    #[test]
    fn nothing_is_copied_before_the_journal_is_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            journal: JournalOptions {
                durability: Durability::Power,
                ..JournalOptions::default()
            },
            ..StoreOptions::default()
        };
        let pool = SegmentPool::new(SegmentPoolOptions::default());
        let opened = ObjectStore::open(directory.path(), pool, options, |_| None).unwrap();
        let store = opened.store;
        for id in [1_u64, 2] {
            let memory = PoolOptions::new(1 << 12).pages(PagePolicy::Off).map();
            let info = SegmentInfo::new(SegmentId(id.into()), format!("{id}"), id << 40, 1 << 12);
            let memory = Memory::pool(PoolBytes::new(memory.unwrap()));
            store.pool().mount(Segment::local(info, memory)).unwrap();
        }
        let is_synced = || store.shared.book.as_ref().unwrap().journal().is_synced();
        let mut copies = 0;
        for key in [b"one", b"two"] {
            let put = store.put(key, &PutRequest::new(100)).unwrap();
            put.commit().unwrap();
            store.pin(key);
            for id in [1, 2] {
                let copied = store.move_out(SegmentId(id), |_, _| {
                    copies += 1;
                    if is_synced() { Ok(()) } else { Err(()) }
                });
                copied.unwrap();
            }
        }
        assert!(copies >= 2, "{copies}");
    }
}
