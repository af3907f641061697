//! Moving replicas, adding them, and what became of those whose segments left.

use std::{sync::atomic::Ordering, thread};

use mc_segment::{PlaceRequest, PlacedBuffer, Replicas, SegmentId, TransitionError};

use crate::{
    ObjectStore,
    asker::Asker,
    book::NotWritten,
    claims::Claim,
    clock::Moment,
    error::{AddReplicaError, PutError},
    events::{Event, EventKind},
    lease::Lease,
    ledger::tenant_of,
    object::Object,
    pending::Held,
    policy::ObjectId,
    shared::{Shared, Take},
    tenants::Charge,
    unmounted::{UnderReplicated, Unmounted, Unmounting},
};

/// What moving the objects of a segment did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// Replicas that are elsewhere.
    pub replicas: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Keys of the objects that still have a replica in the segment: there was
    /// no room elsewhere that the terms of their puts allow, or they are leased.
    pub left: Vec<Box<[u8]>>,
}

impl ObjectStore {
    /// Moves the replicas that are in a segment to others, evicting there if
    /// need be, and copies their bytes with `copy`, whose first argument is the
    /// old place and whose second is the new one.
    ///
    /// [`copy_bytes`](crate::copy_bytes) is such a function for memory that this
    /// process reads and writes. [Drain](mc_segment::SegmentPool::drain) the
    /// segment before, so that nothing new is placed in it. The terms of each
    /// object's put hold for its new place. Other threads use the store
    /// meanwhile; no lock is held while bytes are copied. An object that is
    /// leased, or becomes so while it is copied, stays: call again when the
    /// lease is over. What has moved is leased until the call returns, so that
    /// nothing moves in vain. Takes time linear in the objects of the store.
    ///
    /// # Errors
    ///
    /// The first error of `copy`; that object and those after it are where they
    /// were.
    pub fn move_out<E>(
        &self,
        id: SegmentId,
        mut copy: impl FnMut(&PlacedBuffer, &mut PlacedBuffer) -> Result<(), E>,
    ) -> Result<Moved, E> {
        let shared = &*self.shared;
        let mut moved = Moved::default();
        let mut kept = Vec::new();
        // Looked up again one by one, as making room for one may move another.
        for object_id in shared.ids_in(id) {
            let Some(object) = shared.index.object(object_id) else {
                continue;
            };
            let now = shared.now();
            let is_inside =
                |buffer: &PlacedBuffer| buffer.segment_id() == id && buffer.is_readable();
            let found = object
                .replicas()
                .enumerate()
                .find(|(_, one)| is_inside(one));
            let Some((place, old)) = found else {
                continue;
            };
            let key: Box<[u8]> = object.key().into();
            let stays = object.claims.claim() != Some(Claim::Leaving);
            let new = stays.then(|| {
                let asker = Asker::of_move(tenant_of(&object));
                shared.place_beside(&object, Some(place), asker, now)
            });
            let Some(Ok((mut new, _))) = new else {
                moved.left.push(key);
                continue;
            };
            copy(old, &mut new)?;
            let bytes = new.size();
            match shared.switch(object, new, Some(place), shared.now(), Object::close_place) {
                Ok(()) => {
                    moved.replicas += 1;
                    moved.bytes += bytes;
                    let object = shared.index.object(object_id);
                    kept.extend(object.and_then(|object| Lease::take(&object).ok()));
                }
                Err(_) => moved.left.push(key),
            }
        }
        // Some have left meanwhile, or were moved by somebody else.
        moved.left.retain(|key| {
            let hashed = shared.index.hash(key);
            let shard = shared.index.read(hashed);
            shard.stored(hashed).is_some_and(|object| object.is_in(id))
        });
        Ok(moved)
    }

    /// Adds a replica to an object, where the terms of its put allow, and
    /// copies the bytes with `copy` as [`move_out`](Self::move_out) does. If one was
    /// lost with its segment, the new one takes its place. An object that is leased,
    /// or becomes so while it is copied, stays as it is.
    ///
    /// # Errors
    ///
    /// An [`AddReplicaError`], or the error of `copy` inside; nothing has changed
    /// then.
    pub fn add_replica<E>(
        &self,
        key: &[u8],
        copy: impl FnOnce(&PlacedBuffer, &mut PlacedBuffer) -> Result<(), E>,
    ) -> Result<Result<(), AddReplicaError>, E> {
        let shared = &*self.shared;
        let now = shared.now();
        // Held, so that it does not leave for its own replica.
        let Some(held) = shared.lease_quietly(key, now) else {
            return Ok(Err(AddReplicaError::NotStored));
        };
        let object = held.object().clone();
        let lost = object.replicas().position(|buffer| !buffer.is_readable());
        let tenant = tenant_of(&object);
        let asker = match lost {
            Some(_) => Asker::of_move(tenant),
            None => Asker::of_more(tenant),
        };
        let (mut new, charge) = match shared.place_beside(&object, lost, asker, now) {
            Ok(new) => new,
            Err(PutError::Journal) => return Ok(Err(AddReplicaError::Journal)),
            Err(error) => return Ok(Err(error.into())),
        };
        drop(held);
        let Some(source) = object.replicas().find(|buffer| buffer.is_readable()) else {
            return Ok(Err(AddReplicaError::NotStored));
        };
        copy(source, &mut new)?;
        let switched = shared.switch(object, new, lost, shared.now(), Object::close_place);
        if switched.is_ok() {
            charge.keep();
        }
        Ok(switched)
    }

    /// Returns the objects that have fewer readable replicas than their puts
    /// asked for. Takes time linear in the objects; no lock is held for long.
    #[must_use]
    pub fn under_replicated(&self) -> Vec<UnderReplicated> {
        self.shared.under_replicated(|_| true)
    }

    /// Drops the objects none of whose segments is readable any more, and
    /// returns their keys. Takes time linear in the objects; no lock is held
    /// for long.
    pub fn drop_unreadable(&self) -> Vec<Box<[u8]>> {
        self.shared.drop_unreadable()
    }

    /// Unmounts a segment in both steps, and says which objects that cost, those
    /// that were committed meanwhile included. Takes time linear in the objects; no
    /// lock is held for long.
    ///
    /// If the second step ends with [`Busy`](TransitionError::Busy), the objects
    /// are gone and the segment is not. Call again when the accesses are over;
    /// that call says what this one would have.
    ///
    /// # Errors
    ///
    /// As those of [`begin_unmount`](mc_segment::SegmentPool::begin_unmount) and
    /// [`finish_unmount`](mc_segment::SegmentPool::finish_unmount).
    pub fn unmount(&self, id: SegmentId) -> Result<Unmounted, TransitionError> {
        let shared = &*self.shared;
        let mount_number = shared.begin_unmount(id)?;
        shared.drop_unreadable();
        if let Some(unmounting) = shared.unmounting.lock().get_mut(&mount_number) {
            unmounting.has_lost_all = true;
        }
        let finished = shared.pool.finish_unmount(id);
        if let Err(busy @ TransitionError::Busy { .. }) = finished {
            return Err(busy);
        }
        let unmounting = shared.unmounting.lock().remove(&mount_number);
        finished?;
        if let Some(book) = &shared.book {
            // Before the memory is somebody else's. If it is not written, nothing is put any more.
            let told = book.tell_segments(&shared.pool);
            let _ = told.and_then(|()| book.settle_all());
        }
        let was_there = |object: &Object| {
            let mut replicas = object.replicas();
            replicas.any(|replica| replica.mount_number() == mount_number)
        };
        Ok(Unmounted {
            lost: unmounting.unwrap_or_default().lost,
            // Only now: what is committed until here is among them.
            survivors: shared.under_replicated(was_there),
        })
    }
}

impl Shared {
    /// Returns the ids of the objects in a segment. Whoever held the objects
    /// would keep their other places from being free.
    fn ids_in(&self, id: SegmentId) -> Vec<ObjectId> {
        let mut ids = Vec::new();
        self.index.for_each_object(|object| {
            if object.is_in(id) {
                ids.push(object.id);
            }
        });
        ids
    }

    /// Returns the objects with fewer readable replicas than were asked for, of
    /// those that are meant.
    fn under_replicated(&self, is_meant: impl Fn(&Object) -> bool) -> Vec<UnderReplicated> {
        let mut found = Vec::new();
        self.index.for_each_object(|object| {
            let readable = object.replicas().filter(|buffer| buffer.is_readable());
            let readable = u32::try_from(readable.count()).unwrap_or(u32::MAX);
            let wanted = object.terms.replicas.count;
            if readable > 0 && readable < wanted && is_meant(object) {
                found.push(UnderReplicated {
                    key: object.key().into(),
                    readable,
                    wanted,
                });
            }
        });
        found
    }

    /// Begins an unmount, or finds the one that could not be finished; returns the
    /// number of the segment's mount.
    fn begin_unmount(&self, id: SegmentId) -> Result<u64, TransitionError> {
        // Over both, so that whoever drops an object that is lost by it notes that.
        let mut unmounting = self.unmounting.lock();
        let begun = self.pool.begin_unmount(id);
        let views = self.pool.segments();
        let own = views.iter().find(|view| view.id == id);
        let number = own.map(|view| view.mount_number);
        match (begun, number) {
            (Ok(()), Some(number)) => {
                unmounting.insert(number, Unmounting::default());
                Ok(number)
            }
            (Ok(()), None) => Err(TransitionError::NotMounted { id }),
            (Err(error), number) => number
                .filter(|number| unmounting.contains_key(number))
                .ok_or(error),
        }
    }

    pub(crate) fn drop_unreadable(&self) -> Vec<Box<[u8]>> {
        let now = self.now();
        let changes = self.pool.changes();
        let mut keys = Vec::new();
        loop {
            let mut are_all_gone = true;
            for object in self.index.select(|object| !object.is_readable()) {
                let key = object.key().into();
                if self.drop_dead(object, now) {
                    keys.push(key);
                } else {
                    are_all_gone = false;
                }
            }
            if are_all_gone {
                break;
            }
            // Closed for a plan that comes to nothing, one would stay.
            thread::yield_now();
        }
        self.swept_changes.fetch_max(changes, Ordering::Relaxed);
        keys
    }

    /// Finds a place for a replica of an object, or for one in the place of
    /// another, under a name that has none.
    fn place_beside(
        &self,
        object: &Object,
        replaced: Option<usize>,
        asker: Asker<'_>,
        now: Moment,
    ) -> Result<(PlacedBuffer, Charge), PutError> {
        let beside = object.readable_beside(replaced);
        let mut excluded = object.terms.excluded.to_vec();
        let old = replaced.and_then(|place| object.replicas().nth(place));
        // Where one was lost, the segment may have come back.
        let old = old.filter(|buffer| buffer.is_readable());
        excluded.extend(old.map(PlacedBuffer::segment_id));
        let request = PlaceRequest {
            size: object.size(),
            align: object.terms.align,
            max_extents: object.terms.max_extents.min(self.options.extents_max),
            replicas: Replicas::exact(1),
            preferred: &[],
            excluded: &excluded,
            beside: &beside,
            host: &object.terms.host,
            key_hash: Some(object.key_hash()),
        };
        let Held { buffers, charge } = self.place(&request, asker, now)?;
        self.settle_places()
            .map_err(|NotWritten| PutError::Journal)?;
        let new = buffers.into_iter().next().expect("one was asked for");
        Ok((new, charge))
    }

    /// Gives an object another replica, in the place of an old one or beside
    /// them, unless it has changed or `close` does not close it.
    pub(crate) fn switch(
        &self,
        object: Object,
        new: PlacedBuffer,
        replaced: Option<usize>,
        now: Moment,
        close: Take,
    ) -> Result<(), AddReplicaError> {
        let (id, key, bytes) = (object.id, Box::from(object.key()), new.size());
        let useful_bytes = object.parts().useful_size();
        let tenant = tenant_of(&object).cloned();
        let to = new.segment_id();
        // One that was lost is in no segment any more.
        let old = replaced.and_then(|place| object.replicas().nth(place));
        let old = old.filter(|buffer| buffer.is_readable());
        let from = old.map(PlacedBuffer::segment_id);
        // Locked first: whoever pins meanwhile finds the object before or after, not on its way.
        let mut ranks = self.order.lock();
        let mut all_bytes = None;
        let mut is_written = Ok(());
        self.index.write_at(id).replace(id, |mut old| {
            // Closed under the lock of the shard, no reader misses the object.
            if !old.is_same(&object) || close(&old, now).is_err() {
                return old;
            }
            drop(object);
            // An unmount has looked for what it lost, or will under this lock.
            if new.is_readable() && old.may_change(replaced) {
                // What is written down is done.
                is_written = self.book.as_ref().map_or(Ok(()), |book| {
                    let from = replaced.and_then(|place| old.replicas().nth(place));
                    book.moved(&self.pool, old.key(), from, &new).map(|_| ())
                });
                if is_written.is_ok() {
                    let replicas = old.replicas_with(new, replaced);
                    let moved = old.with_replicas(replicas);
                    all_bytes = Some(moved.bytes());
                    return moved;
                }
            }
            old.claims.stay();
            old
        });
        if all_bytes.is_some() {
            ranks.figures.moved.add(bytes);
            if replaced.is_none() {
                ranks.figures.live_bytes += bytes;
                ranks.figures.useful_bytes += useful_bytes;
                if let Some(tenant) = &tenant {
                    ranks.ledger.grow(tenant, bytes);
                }
            }
        }
        // It may be in a segment that is open now.
        ranks.look_again(&self.index, id, now);
        is_written.map_err(|NotWritten| AddReplicaError::Journal)?;
        let Some(all_bytes) = all_bytes else {
            return Err(AddReplicaError::Changed);
        };
        // Under the lock under which objects leave, so that the events of a key are
        // in order.
        self.listeners.tell(|| Event {
            key,
            bytes: all_bytes,
            kind: match from {
                Some(from) if from == to => EventKind::MovedWithin { segment: to },
                _ => EventKind::Moved {
                    from: from.unwrap_or(to),
                    to,
                },
            },
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mc_segment::{Segment, SegmentInfo, SegmentPool, SegmentPoolOptions};

    use super::*;
    use crate::{PutRequest, StoreOptions};

    #[test]
    fn an_object_that_a_plan_lets_stay_is_dropped_when_nobody_can_read_it() {
        let pool = SegmentPool::new(SegmentPoolOptions::default());
        let info = SegmentInfo::new(SegmentId(1), "one", 0, 1 << 20);
        pool.mount(Segment::remote(info)).unwrap();
        let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
        let put = store.put(b"key", &PutRequest::new(100)).unwrap();
        put.commit().unwrap();
        let object = store.shared.index.select(|_| true).pop().unwrap();
        assert!(object.close(store.shared.now()).is_ok());
        thread::scope(|scope| {
            let unmounting = scope.spawn(|| store.unmount(SegmentId(1)));
            while object.is_readable() {
                thread::yield_now();
            }
            // Likely to be looked at meanwhile.
            thread::sleep(Duration::from_millis(20));
            object.claims.stay();
            let unmounted = unmounting.join().unwrap().unwrap();
            assert_eq!(unmounted.lost, [Box::from(&b"key"[..])]);
        });
        assert!(!store.exists(b"key"));
    }
}
