//! Putting an object: space first, the key when the bytes are there.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mc_segment::{BufferDescriptor, PlaceRequest, PlacedBuffer};

use crate::{
    ObjectStore,
    asker::{Asker, Behind},
    book::{Book, NotWritten},
    bytes::checksum,
    clock::Moment,
    error::{CommitError, PutError, WriteError},
    events::{Event, EventKind},
    index::{Hashed, Slot},
    journal::Position,
    object::{Contents, Lineage, Object},
    pending::{Buffers, Held, InFlight, Pending, PutSpace, PutSpaceMut},
    policy::{Parent, stable_hash},
    request::{PutRequest, Terms},
    shared::{Shared, count},
    stats::Cause,
};

/// How long a put waits for an object of its key that is leaving. Whoever lets it go may be this
/// thread, in a callback.
const LEAVING_MAX: Duration = Duration::from_millis(100);

/// Space for an object that is being written.
///
/// [`commit`](Self::commit) makes it readable; dropped without, it gives the
/// space and the key back. It is never evicted. Its deadline ends it too: the
/// key is free then, and the space when the margin of the options has passed.
#[derive(Debug)]
#[must_use = "dropping the put gives its space back"]
pub struct Put {
    shared: Arc<Shared>,
    pending: Pending,
    terms: Arc<Terms>,
    /// The [`stable_hash`] of the key.
    key_hash: u64,
    /// Seconds to compute the object again.
    cost: f32,
    /// Key of what comes before the object in its prompt.
    parent: Option<Box<[u8]>>,
    /// Whether it is stored with what comes before it, by a [`Chain`](crate::Chain).
    is_in_chain: bool,
    /// Of the bytes, from whoever writes them.
    checksum: Option<u32>,
    /// Implies that the key is not this put's any more.
    is_over: bool,
}

impl ObjectStore {
    /// Finds space for an object, evicting others if there is no room.
    ///
    /// # Errors
    ///
    /// A [`PutError`]; nothing has changed then. [`PutError::NoRoom`] means
    /// that all that may leave would not make room.
    pub fn put(&self, key: &[u8], request: &PutRequest<'_>) -> Result<Put, PutError> {
        let now = self.shared.now_coarsely();
        let behind = request.parent.map_or(Behind::Nothing, Behind::Key);
        let put = begin(&self.shared, key, request, behind, now);
        put.inspect_err(|error| self.shared.count_refusal(error))
    }

    /// Returns the puts that are neither committed nor dropped, those whose
    /// deadline comes first before others.
    #[must_use]
    pub fn in_flight(&self) -> Vec<InFlight> {
        let now = self.shared.now();
        self.shared.end_late_puts(now);
        let pending = self.shared.index.in_flight();
        let mut all: Vec<_> = pending.iter().filter_map(|one| one.describe(now)).collect();
        all.sort_by(|a, b| (a.left, &a.key).cmp(&(b.left, &b.key)));
        all
    }
}

pub(crate) fn begin(
    shared: &Arc<Shared>,
    key: &[u8],
    request: &PutRequest<'_>,
    behind: Behind<'_>,
    now: Moment,
) -> Result<Put, PutError> {
    let size = shared.admit(key, request)?;
    let deadline = request.deadline.unwrap_or(shared.options.put_deadline);
    let pending = shared.reserve(shared.index.hash(key), now, now.after(deadline))?;
    // From here on a drop gives the key back.
    let put = Put {
        shared: Arc::clone(shared),
        pending,
        terms: shared.terms.of(request, shared.hints(request)),
        key_hash: stable_hash(key),
        cost: request.cost.as_secs_f32(),
        parent: request.parent.map(Box::from),
        is_in_chain: false,
        checksum: None,
        is_over: false,
    };
    let placing = PlaceRequest {
        size,
        align: request.align,
        max_extents: request.max_extents.min(shared.options.extents_max),
        replicas: request.replicas,
        preferred: request.preferred,
        excluded: request.excluded,
        host: request.host,
        beside: &[],
        key_hash: Some(put.key_hash),
    };
    let asker = Asker::of_next(put.terms.hints.tenant.as_ref(), behind);
    let held = shared.place(&placing, asker, now)?;
    shared.hold(&put.pending, held)?;
    Ok(put)
}

impl Shared {
    pub(crate) fn count_refusal(&self, refusal: &PutError) {
        count(match refusal {
            PutError::Exists | PutError::InFlight => &self.counts.key_taken,
            PutError::ObjectTooLarge { .. }
            | PutError::PartsTooLarge { .. }
            | PutError::KeyTooLong { .. } => &self.counts.too_large,
            PutError::NoRoom { .. } => &self.counts.no_space,
            PutError::QuotaExceeded { .. } => &self.counts.quota,
            PutError::Place(_) | PutError::EmptyPart { .. } => &self.counts.impossible,
            PutError::Journal => &self.counts.journal,
        });
    }

    /// Gives a put its space, and writes that down.
    fn hold(&self, pending: &Pending, held: Held) -> Result<(), PutError> {
        let Some(book) = &self.book else {
            pending.hold(held);
            return Ok(());
        };
        let reserved = {
            // Under the lock under which deadlines end puts.
            let _shard = self.index.write_at(pending.id);
            if pending.is_over() {
                return Ok(());
            }
            let reserved = book.reserved(&self.pool, pending, &held.buffers);
            pending.hold(held);
            reserved
        };
        let settled = reserved.and_then(|position| book.settle(position));
        settled.map_err(|NotWritten| PutError::Journal)
    }

    /// Refuses what is never put; returns the bytes of each replica.
    fn admit(&self, key: &[u8], request: &PutRequest<'_>) -> Result<u64, PutError> {
        if let Some(Err(NotWritten)) = self.book.as_ref().map(Book::check) {
            return Err(PutError::Journal);
        }
        let parent_bytes = request.parent.map_or(0, <[u8]>::len);
        let (key_bytes, key_bytes_max) = (key.len().max(parent_bytes), self.options.key_bytes_max);
        if key_bytes > key_bytes_max {
            return Err(PutError::KeyTooLong {
                key_bytes,
                key_bytes_max,
            });
        }
        let (size, object_bytes_max) = (request.placed_size()?, self.options.object_bytes_max);
        if size > object_bytes_max {
            return Err(PutError::ObjectTooLarge {
                size,
                object_bytes_max,
            });
        }
        Ok(size)
    }

    /// Takes a key that is free, or is about to be.
    fn reserve(&self, key: Hashed<'_>, now: Moment, deadline: Moment) -> Result<Pending, PutError> {
        let mut begun: Option<Instant> = None;
        loop {
            let in_the_way = {
                let mut shard = self.index.write(key);
                match shard.get(key) {
                    None => {
                        let number = self.book.as_ref().map_or(0, Book::next_put);
                        let make = |id| Pending::new(key.key, id, number, now, deadline);
                        let pending = shard.begin(key, make);
                        drop(shard);
                        self.note_deadline(deadline);
                        return Ok(pending);
                    }
                    Some(Slot::InFlight(other)) if now < other.deadline() => {
                        return Err(PutError::InFlight);
                    }
                    Some(Slot::Stored(object)) if object.is_readable() => {
                        let mut waited = || begun.get_or_insert_with(Instant::now).elapsed();
                        if object.claims.away().is_none() || waited() > LEAVING_MAX {
                            return Err(PutError::Exists);
                        }
                        None
                    }
                    Some(Slot::InFlight(other)) => Some(Err(other.clone())),
                    Some(Slot::Stored(object)) => Some(Ok(object.clone())),
                }
            };
            match in_the_way {
                None => thread::yield_now(),
                Some(Ok(dead)) => {
                    if !self.drop_dead(dead, now) {
                        // Somebody else is about to.
                        thread::yield_now();
                    }
                }
                Some(Err(late)) => {
                    self.end_late_put(&late, now);
                    if self.index.is_in_flight(&late) {
                        return Err(PutError::InFlight);
                    }
                }
            }
        }
    }

    /// Makes the object of a put readable.
    fn commit(&self, put: &Put) -> Result<(), CommitError> {
        let now = self.now_coarsely();
        let pending = &put.pending;
        if now >= pending.deadline() {
            self.end_late_put(pending, now);
            return Err(CommitError::Expired);
        }
        let takes_checksum = put.checksum.is_none() && self.options.has_checksums;
        let taken = takes_checksum.then(|| checksum(&pending.space(), &put.terms));
        let sum = put.checksum.or(taken.flatten());
        let Held {
            buffers: replicas,
            charge,
        } = pending.end().ok_or(CommitError::Expired)?;
        let written = self.enter(put, replicas, sum, now)?;
        charge.keep();
        if let (Some(book), Some(position)) = (&self.book, written)
            && book.settle(position).is_err()
        {
            self.take_back(pending, now);
            return Err(CommitError::Journal);
        }
        // Of a chain, those committed first would leave for those that are still in flight.
        if !put.is_in_chain {
            self.evict_to_watermark(now);
        }
        Ok(())
    }

    /// Enters the object of a put; returns its place in the journal.
    fn enter(
        &self,
        put: &Put,
        replicas: Buffers,
        checksum: Option<u32>,
        now: Moment,
    ) -> Result<Option<Position>, CommitError> {
        let pending = &put.pending;
        let keeping = self.keep_terms(&put.terms.hints, now);
        let object = |lineage| {
            let contents = Contents {
                terms: Arc::clone(&put.terms),
                replicas,
                checksum,
                lineage,
                cost: put.cost,
            };
            Object::new(pending.id, pending.key(), contents, now)
        };
        let lock = || match keeping.until {
            Moment(0) => self.order.lock(),
            _ => self.order.lock_to_keep(&self.index, now),
        };
        let (mut ranks, parent, object) = match put.parent.as_deref() {
            None => {
                let object = object(Lineage::of_first(put.key_hash));
                (lock(), Parent::None, object)
            }
            Some(key) => {
                let ranks = lock();
                let (parent, lineage) = self.parent_of(key);
                (ranks, parent, object(lineage))
            }
        };
        let mut written = None;
        {
            let mut shard = self.index.write_at(object.id);
            // Under the lock under which an unmount looks for what is lost.
            if !object.is_readable() {
                if let Some(book) = &self.book {
                    book.aborted(pending.number());
                }
                shard.take(pending.id);
                return Err(CommitError::Unreadable);
            }
            if let Some(book) = &self.book {
                let Ok(position) = book.committed(pending.number(), &object) else {
                    // It may be too long, and others will be written.
                    book.aborted(pending.number());
                    shard.take(pending.id);
                    return Err(CommitError::Journal);
                };
                written = Some(position);
            }
            shard.commit(object.clone());
        }
        if let Parent::Stored(parent) = parent
            && !put.is_in_chain
        {
            // A child is stored behind its parent, which may be old.
            let _ = ranks.used_now(parent);
        }
        ranks.insert(&self.index, &object, parent, keeping);
        // Under the lock under which objects leave, so that the events of a
        // key are in order.
        self.listeners.tell(|| Event {
            key: object.key().into(),
            bytes: object.bytes(),
            kind: EventKind::Committed,
        });
        Ok(written)
    }

    /// Takes the object out again that a put has become.
    #[cold]
    fn take_back(&self, pending: &Pending, now: Moment) {
        let object = self.index.object(pending.id);
        let object = object.filter(|object| object.key() == pending.key());
        if let Some(object) = object
            && object.claims.remove_now().is_ok()
        {
            self.let_go([object], Cause::Removed, now);
        }
    }

    /// Returns what comes before an object in its prompt, by its key, and where in
    /// the prompt the object is. The order is locked, so that the parent stays.
    fn parent_of(&self, parent: &[u8]) -> (Parent, Lineage) {
        let hashed = self.index.hash(parent);
        let shard = self.index.read(hashed);
        match shard.stored(hashed) {
            Some(stored) => (Parent::Stored(stored.id), stored.lineage().next()),
            None => {
                // What came before it is not known any more.
                let first = Lineage::of_first(stable_hash(parent));
                (Parent::Gone(first.root_hash), first.next())
            }
        }
    }
}

impl Put {
    /// Takes note that what comes before the object is stored with it, and so is
    /// as young.
    pub(crate) fn in_chain(mut self) -> Self {
        self.is_in_chain = true;
        self
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.pending.key()
    }

    /// Returns where the replicas are, for writers elsewhere: one descriptor for
    /// each part of each, those of one replica together; nothing if the deadline
    /// has passed.
    #[must_use]
    pub fn descriptors(&self) -> Vec<BufferDescriptor> {
        let space = self.pending.space();
        let parts = |replica: &PlacedBuffer| self.terms.parts(replica.size()).describe(replica);
        space.iter().flat_map(parts).collect()
    }

    /// Copies `from` to every replica, from the byte `offset` of the object on.
    ///
    /// The bytes of an object are those of its parts, one after another, without
    /// what lies between them.
    ///
    /// # Errors
    ///
    /// A [`WriteError`]; some bytes may have been written then.
    pub fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), WriteError> {
        let mut space = self.pending.space_mut();
        if space.is_empty() {
            return Err(WriteError::Expired);
        }
        for replica in &mut *space {
            let parts = self.terms.parts(replica.size());
            for (at, range) in parts.pieces(offset, from.len())? {
                replica.write_at(at, &from[range])?;
            }
        }
        Ok(())
    }

    /// Returns the space of each replica, with what lies between parts. It is not taken back as long as what
    /// is returned is held; nothing if the deadline has passed.
    pub fn replicas(&self) -> PutSpace<'_> {
        self.pending.space()
    }

    /// As [`replicas`](Self::replicas), for writing.
    pub fn replicas_mut(&mut self) -> PutSpaceMut<'_> {
        self.pending.space_mut()
    }

    /// Says what CRC-32 the bytes have, as whoever writes them knows it: it is
    /// told to readers, compared when the object is read here, and none is taken
    /// at the commit.
    pub fn set_checksum(&mut self, checksum: u32) {
        self.checksum = Some(checksum);
    }

    /// Returns the time left until the deadline.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.pending.deadline().since(self.shared.now())
    }

    /// Makes the object readable under its key.
    ///
    /// # Errors
    ///
    /// A [`CommitError`]; the object is not stored then.
    pub fn commit(mut self) -> Result<(), CommitError> {
        let committed = self.shared.commit(&self);
        self.is_over = !matches!(committed, Err(CommitError::Expired));
        committed
    }
}

impl Drop for Put {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // After the deadline the key is not this put's any more.
        let Some(Held { buffers: space, .. }) = self.pending.end() else {
            return;
        };
        let shared = &*self.shared;
        {
            let mut shard = shared.index.write_at(self.pending.id);
            if let Some(book) = shared.book.as_ref().filter(|_| !space.is_empty()) {
                book.aborted(self.pending.number());
            }
            shard.take(self.pending.id);
        }
        // A put that was refused has no space to give back.
        if !space.is_empty() {
            count(&shared.counts.abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use mc_segment::{Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};

    use super::*;
    use crate::StoreOptions;

    /// A key that no call finds is free, or soon will be.
    #[test]
    fn a_put_waits_for_the_object_before_it_to_be_out_of_its_way() {
        let pool = SegmentPool::new(SegmentPoolOptions::default());
        let info = SegmentInfo::new(SegmentId(1), "one", 0, 1 << 20);
        pool.mount(Segment::remote(info)).unwrap();
        let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
        let put = || store.put(b"key", &PutRequest::new(100)).map(drop);
        let first = store.put(b"key", &PutRequest::new(100)).unwrap();
        first.commit().unwrap();
        let shared = &*store.shared;
        let object = shared.index.select(|_| true).pop().unwrap();
        thread::scope(|scope| {
            for stays in [true, false] {
                assert!(object.close(shared.now()).is_ok());
                let waiting = scope.spawn(put);
                // Likely to be looked at meanwhile.
                thread::sleep(Duration::from_millis(20));
                if stays {
                    object.claims.stay();
                    assert_eq!(waiting.join().unwrap(), Err(PutError::Exists));
                    // And not for what this thread lets go.
                    assert!(object.close(shared.now()).is_ok());
                    assert_eq!(put(), Err(PutError::Exists));
                    object.claims.stay();
                } else {
                    object.claims.decide();
                    assert!(!store.exists(b"key"));
                    thread::sleep(Duration::from_millis(20));
                    shared.let_go([object.clone()], Cause::OnDemand, shared.now());
                    assert_eq!(waiting.join().unwrap(), Ok(()));
                }
            }
        });
    }
}
