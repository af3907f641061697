//! The objects of a store: by key, by address, and by last use.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
    time::Duration,
};

use slab::Slab;

use super::{lease::Object, lru::Lru};
use mc_segment::{PlacedBuffer, SegmentId};

/// The objects of a store and the keys that are being put.
#[derive(Debug)]
pub(super) struct Objects {
    by_key: HashMap<Arc<[u8]>, Entry>,
    records: Slab<Record>,
    /// The slot of every piece of every readable replica. A slot stays taken as
    /// long as its object's buffers are placed for the store, so an address that
    /// is not in here belongs to a put in flight, a lease of a removed object, or
    /// another user of the pool. Replicas that cannot be read any more stay until
    /// another object has their place, under a segment mounted with the same id.
    by_address: HashMap<(SegmentId, u64), usize>,
    /// The slots that are not pinned.
    lru: Lru,
    /// Calls so far that stored or read an object.
    now: u64,
    /// Bytes of all replicas of all objects.
    live_bytes: u64,
    in_flight: usize,
    pinned: usize,
}

/// What a key stands for.
#[derive(Clone, Copy, Debug)]
enum Entry {
    /// A put that has not been committed.
    InFlight,
    Stored(usize),
}

/// What a store knows about an object beside its contents.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) object: Arc<Object>,
    /// Bytes of all replicas.
    pub(super) bytes: u64,
    /// The call that used it last.
    pub(super) used: u64,
    /// When that was, on the stopwatch of the store.
    pub(super) used_at: Duration,
    /// The object must not go before that time.
    pub(super) leased_until: Duration,
    pub(super) is_pinned: bool,
}

/// Whether a key is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    Free,
    InFlight,
    Stored,
}

impl Objects {
    pub(super) fn new() -> Self {
        Self {
            by_key: HashMap::new(),
            records: Slab::new(),
            by_address: HashMap::new(),
            lru: Lru::new(),
            now: 0,
            live_bytes: 0,
            in_flight: 0,
            pinned: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn pinned(&self) -> usize {
        self.pinned
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn key_state(&self, key: &[u8]) -> KeyState {
        match self.by_key.get(key) {
            None => KeyState::Free,
            Some(Entry::InFlight) => KeyState::InFlight,
            Some(Entry::Stored(_)) => KeyState::Stored,
        }
    }

    /// Reserves a free key for a put.
    pub(super) fn begin_put(&mut self, key: Arc<[u8]>) {
        let before = self.by_key.insert(key, Entry::InFlight);
        debug_assert!(before.is_none(), "the key was free");
        self.in_flight += 1;
    }

    /// Gives the key of a put back that is not committed.
    pub(super) fn abandon_put(&mut self, key: &[u8]) {
        let entry = self.by_key.remove(key);
        debug_assert!(
            matches!(entry, Some(Entry::InFlight)),
            "the put is in flight"
        );
        self.in_flight -= 1;
    }

    /// Turns a put into an object.
    pub(super) fn commit_put(&mut self, object: Object, at: Duration) {
        self.abandon_put(&object.key);
        self.insert(object, at);
    }

    /// Adds an object under a free key, as the last one used.
    pub(super) fn insert(&mut self, object: Object, at: Duration) -> usize {
        self.now += 1;
        let bytes = object.buffers.iter().map(PlacedBuffer::size).sum();
        let key = Arc::clone(&object.key);
        let slot = self.records.insert(Record {
            object: Arc::new(object),
            bytes,
            used: self.now,
            used_at: at,
            leased_until: Duration::ZERO,
            is_pinned: false,
        });
        self.enter_places(slot);
        self.by_key.insert(key, Entry::Stored(slot));
        self.lru.touch(slot);
        self.live_bytes += bytes;
        slot
    }

    pub(super) fn slot(&self, key: &[u8]) -> Option<usize> {
        match self.by_key.get(key)? {
            Entry::InFlight => None,
            Entry::Stored(slot) => Some(*slot),
        }
    }

    pub(super) fn record(&self, slot: usize) -> &Record {
        &self.records[slot]
    }

    pub(super) fn at(&self, segment: SegmentId, address: u64) -> Option<usize> {
        self.by_address.get(&(segment, address)).copied()
    }

    /// Notes that an object was used, and prolongs its lease if `until` is
    /// later.
    pub(super) fn touch(&mut self, slot: usize, at: Duration, until: Duration) -> &Record {
        self.now += 1;
        let record = &mut self.records[slot];
        record.used = self.now;
        record.used_at = at;
        record.leased_until = record.leased_until.max(until);
        if !record.is_pinned {
            self.lru.touch(slot);
        }
        record
    }

    pub(super) fn set_pinned(&mut self, slot: usize, is_pinned: bool) {
        let record = &mut self.records[slot];
        if record.is_pinned == is_pinned {
            return;
        }
        record.is_pinned = is_pinned;
        if is_pinned {
            self.lru.remove(slot);
            self.pinned += 1;
        } else {
            self.now += 1;
            record.used = self.now;
            self.lru.touch(slot);
            self.pinned -= 1;
        }
    }

    /// Forgets an object; its space is free when no lease holds it.
    pub(super) fn remove(&mut self, slot: usize) -> Record {
        self.leave_places(slot);
        let record = self.records.remove(slot);
        self.by_key.remove(&record.object.key);
        self.lru.remove(slot);
        self.live_bytes -= record.bytes;
        self.pinned -= usize::from(record.is_pinned);
        record
    }

    /// Puts a buffer of the same size in the place of a replica of an object
    /// that nobody leases.
    ///
    /// # Panics
    ///
    /// Panics if somebody does.
    pub(super) fn replace_buffer(&mut self, slot: usize, replica: usize, buffer: PlacedBuffer) {
        self.leave_places(slot);
        let record = &mut self.records[slot];
        let object = Arc::get_mut(&mut record.object).expect("the object is not leased");
        object.buffers[replica] = buffer;
        self.enter_places(slot);
    }

    fn enter_places(&mut self, slot: usize) {
        let buffers = self.records[slot].object.buffers.iter();
        let readable = buffers.filter(|buffer| buffer.is_readable());
        for place in readable.flat_map(places) {
            self.by_address.insert(place, slot);
        }
    }

    fn leave_places(&mut self, slot: usize) {
        for place in self.records[slot].object.buffers.iter().flat_map(places) {
            // Another object has the place if this one's segment is gone.
            if let hash_map::Entry::Occupied(held) = self.by_address.entry(place)
                && *held.get() == slot
            {
                held.remove();
            }
        }
    }

    /// Returns the oldest object that may go, unless none may.
    ///
    /// One that is leased counts as used now, so that it is passed over once
    /// and not again and again.
    pub(super) fn oldest_evictable(&mut self, time: Duration) -> Option<usize> {
        for _ in 0..self.records.len() {
            let slot = self.lru.oldest()?;
            if self.records[slot].is_evictable(time) {
                return Some(slot);
            }
            self.touch(slot, time, Duration::ZERO);
        }
        None
    }

    /// Returns the objects that are not pinned, the oldest first.
    pub(super) fn by_age(&self) -> impl Iterator<Item = usize> + '_ {
        self.lru.iter()
    }

    /// Returns all objects, the pinned ones first, then the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Record> + '_ {
        let pinned = self.records.iter().map(|(_, record)| record);
        let others = self.lru.iter().map(|slot| &self.records[slot]);
        pinned.filter(|record| record.is_pinned).chain(others)
    }

    /// Returns the slots that hold objects.
    pub(super) fn slots(&self) -> Vec<usize> {
        self.records.iter().map(|(slot, _)| slot).collect()
    }

    /// Rebuilds what follows from the records and compares.
    pub(super) fn check_invariants(&self) {
        let (mut bytes, mut pinned) = (0, 0);
        for (slot, record) in &self.records {
            let object = &record.object;
            let size: u64 = object.buffers.iter().map(PlacedBuffer::size).sum();
            assert_eq!(record.bytes, size, "slot {slot}: bytes of all replicas");
            assert_eq!(self.slot(&object.key), Some(slot), "slot {slot}: key");
            let readable = object.buffers.iter().filter(|buffer| buffer.is_readable());
            for place in readable.flat_map(places) {
                assert_eq!(self.by_address.get(&place), Some(&slot), "{place:?}");
            }
            bytes += record.bytes;
            pinned += usize::from(record.is_pinned);
        }
        let listed: Vec<usize> = self.lru.iter().collect();
        let uses = || listed.iter().map(|&slot| self.records[slot].used);
        assert!(uses().is_sorted(), "the list is in the order of use");
        let is_pinned = |slot: &usize| self.records[*slot].is_pinned;
        assert!(!listed.iter().any(is_pinned), "no pinned slot is listed");
        assert_eq!(listed.len() + pinned, self.records.len(), "all others are");
        for (place, &slot) in &self.by_address {
            let mut places = self.records[slot].object.buffers.iter().flat_map(places);
            assert!(places.any(|own| own == *place), "{place:?} is left over");
        }
        assert_eq!(
            self.by_key.len(),
            self.records.len() + self.in_flight,
            "nor a key"
        );
        assert_eq!((self.live_bytes, self.pinned), (bytes, pinned), "sums");
    }
}

impl Record {
    pub(super) fn is_leased(&self, time: Duration) -> bool {
        // Only the store hands out further references, and its lock is held.
        Arc::strong_count(&self.object) > 1 || time < self.leased_until
    }

    pub(super) fn is_evictable(&self, time: Duration) -> bool {
        !self.is_pinned && !self.is_leased(time)
    }
}

/// Returns where the pieces of a replica begin.
fn places(buffer: &PlacedBuffer) -> impl Iterator<Item = (SegmentId, u64)> + '_ {
    let id = buffer.segment_id();
    buffer.extents().map(move |extent| (id, extent.address))
}
