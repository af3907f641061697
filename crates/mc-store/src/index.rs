//! Keys to objects, in shards.
//!
//! A shard's lock guards its table and slots. Held for reading it keeps objects
//! from leaving; nothing is waited for while it is held, and the work under it
//! is one look-up or change, but for slices of at most [`SLICE`] slots.

use std::{collections::HashMap, hash::BuildHasher, num::NonZeroU32, sync::Arc};

use crossbeam_utils::CachePadded;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{object::Object, pending::Pending, policy::ObjectId};

/// Shards of an index: enough that threads seldom meet in one.
const SHARDS: usize = 64;

/// Slots that are looked at under one lock by calls that look at all.
const SLICE: usize = 256;

/// The keys of a store and what they stand for.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[CachePadded<RwLock<Shard>>]>,
    hasher: FixedState,
}

/// The keys whose hashes fall into one shard.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    table: HashTable<Entry>,
    /// The object in each slot, if there is one.
    objects: Vec<Option<Object>>,
    /// Puts that have not been committed, by their slots: few beside the objects.
    puts: HashMap<u32, Arc<Pending>, FixedState>,
    /// Slots that neither an object nor a put has; the last one is used next.
    vacant: Vec<u32>,
}

/// A slot and the hash of its key: a table that grows reads no key again, and
/// few slots are looked at that have another.
#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    hash: u32,
}

/// What a key stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot<'a> {
    /// A put that has not been committed.
    InFlight(&'a Arc<Pending>),
    Stored(&'a Object),
}

/// What a key stood for.
#[derive(Debug)]
pub(crate) enum Taken {
    InFlight,
    Stored(Object),
}

/// A key with its hash in one index.
#[derive(Clone, Copy)]
pub(crate) struct Hashed<'a> {
    pub(crate) key: &'a [u8],
    hash: u64,
}

impl Index {
    /// Makes an index whose ids follow from the seed and the calls, so that
    /// equal calls give equal orders among equals.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
            hasher: FixedState::with_seed(seed),
        }
    }

    #[inline]
    pub(crate) fn hash<'a>(&self, key: &'a [u8]) -> Hashed<'a> {
        let hash = self.hasher.hash_one(key);
        Hashed { key, hash }
    }

    #[inline]
    pub(crate) fn read(&self, key: Hashed<'_>) -> RwLockReadGuard<'_, Shard> {
        self.shards[shard_of(key.hash)].read()
    }

    #[inline]
    pub(crate) fn write(&self, key: Hashed<'_>) -> Writing<'_> {
        self.write_shard(shard_of(key.hash))
    }

    /// Locks the shard of an object that is known by its id.
    pub(crate) fn write_at(&self, id: ObjectId) -> Writing<'_> {
        self.write_shard(id.shard())
    }

    fn write_shard(&self, number: usize) -> Writing<'_> {
        Writing {
            shard: self.shards[number].write(),
            number,
            hasher: &self.hasher,
        }
    }

    /// Returns the object of an id, if it is stored.
    pub(crate) fn object(&self, id: ObjectId) -> Option<Object> {
        let shard = self.shards.get(id.shard())?.read();
        shard.objects.get(id.slot())?.clone()
    }

    /// Returns whether a put is neither committed nor over.
    pub(crate) fn is_in_flight(&self, pending: &Arc<Pending>) -> bool {
        let shard = self.shards[pending.id.shard()].read();
        let put = shard.puts.get(&pending.id.place());
        put.is_some_and(|other| Arc::ptr_eq(other, pending))
    }

    /// Visits every object, some at a time under the lock of their shard. What
    /// comes or goes meanwhile may be missed.
    pub(crate) fn for_each_object(&self, mut visit: impl FnMut(&Object)) {
        for shard in &self.shards {
            let mut from = 0;
            loop {
                let shard = shard.read();
                let rest = shard.objects.get(from..).unwrap_or_default();
                let slice = &rest[..rest.len().min(SLICE)];
                if slice.is_empty() {
                    break;
                }
                slice.iter().flatten().for_each(&mut visit);
                from += slice.len();
            }
        }
    }

    /// Returns the objects for which `select` holds.
    pub(crate) fn select(&self, mut select: impl FnMut(&Object) -> bool) -> Vec<Object> {
        let mut selected = Vec::new();
        self.for_each_object(|object| {
            if select(object) {
                selected.push(object.clone());
            }
        });
        selected
    }

    /// Returns the puts that are neither committed nor dropped.
    pub(crate) fn in_flight(&self) -> Vec<Arc<Pending>> {
        let mut pending = Vec::new();
        for shard in &self.shards {
            let mut places: Vec<u32> = shard.read().puts.keys().copied().collect();
            places.sort_unstable();
            for slice in places.chunks(SLICE) {
                let shard = shard.read();
                let puts = slice.iter().filter_map(|place| shard.puts.get(place));
                pending.extend(puts.cloned());
            }
        }
        pending
    }

    /// Returns how many keys stand for objects, and how many for puts.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(objects, puts), shard| {
            let shard = shard.read();
            let in_flight = shard.puts.len() as u64;
            let keys = shard.table.len() as u64;
            (objects + keys - in_flight, puts + in_flight)
        })
    }

    /// Checks that tables and slots agree.
    ///
    /// # Panics
    ///
    /// Panics if they do not.
    pub(crate) fn check_invariants(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            let shard = shard.read();
            for (place, object) in shard.objects.iter().enumerate() {
                let Some(object) = object else { continue };
                let id = object.id;
                assert_eq!((id.shard(), id.slot()), (number, place), "id of {object:?}");
                let found = shard.find(self.hash(object.key()));
                assert_eq!(found, Some(id.place()), "slot {place} of shard {number}");
            }
            for (&place, pending) in &shard.puts {
                let found = shard.find(self.hash(pending.key()));
                assert_eq!(found, Some(place), "put {place} of shard {number}");
                assert!(shard.objects[place as usize].is_none(), "slot {place}");
            }
            let mut vacant = shard.vacant.clone();
            vacant.sort_unstable();
            vacant.dedup();
            for &place in &vacant {
                let is_vacant = shard.slot(place).is_none();
                assert!(is_vacant, "slot {place} of shard {number} is listed");
            }
            assert_eq!(
                shard.table.len() + vacant.len(),
                shard.objects.len(),
                "slots of shard {number}"
            );
        }
    }
}

impl Shard {
    /// Returns what a key stands for.
    #[inline]
    pub(crate) fn get(&self, key: Hashed<'_>) -> Option<Slot<'_>> {
        self.slot(self.find(key)?)
    }

    fn slot(&self, place: u32) -> Option<Slot<'_>> {
        match &self.objects[place as usize] {
            Some(object) => Some(Slot::Stored(object)),
            None => self.puts.get(&place).map(Slot::InFlight),
        }
    }

    /// Returns the object of a key.
    #[inline]
    pub(crate) fn stored(&self, key: Hashed<'_>) -> Option<&Object> {
        self.objects[self.find(key)? as usize].as_ref()
    }

    #[inline]
    fn find(&self, key: Hashed<'_>) -> Option<u32> {
        let hash = low_half(key.hash);
        let is_own = |entry: &Entry| entry.hash == hash && self.key(entry.slot) == key.key;
        self.table
            .find(spread(hash), is_own)
            .map(|entry| entry.slot)
    }

    /// Returns the key of a slot that is not vacant.
    #[inline]
    fn key(&self, place: u32) -> &[u8] {
        match &self.objects[place as usize] {
            Some(object) => object.key(),
            None => self.puts[&place].key(),
        }
    }
}

/// A shard that is locked for a change.
pub(crate) struct Writing<'a> {
    shard: RwLockWriteGuard<'a, Shard>,
    number: usize,
    hasher: &'a FixedState,
}

impl Writing<'_> {
    /// Enters a put under a free key; `make` gets the id of the object to be.
    pub(crate) fn begin(
        &mut self,
        key: Hashed<'_>,
        make: impl FnOnce(ObjectId) -> Arc<Pending>,
    ) -> Arc<Pending> {
        let (place, id) = self.vacant_place();
        let pending = make(id);
        self.fill(key, place, None);
        self.shard.puts.insert(place, Arc::clone(&pending));
        pending
    }

    /// Enters an object under a free key; `make` gets its id.
    pub(crate) fn insert(
        &mut self,
        key: Hashed<'_>,
        make: impl FnOnce(ObjectId) -> Object,
    ) -> Object {
        let (place, id) = self.vacant_place();
        let object = make(id);
        self.fill(key, place, Some(object.clone()));
        object
    }

    /// Returns the place of the next slot and the id that goes with it.
    fn vacant_place(&self) -> (u32, ObjectId) {
        let place = self.shard.vacant.last().copied().unwrap_or_else(|| {
            u32::try_from(self.shard.objects.len()).expect("fewer than 2^32 slots in a shard")
        });
        (place, ObjectId::at(self.number, place))
    }

    fn fill(&mut self, key: Hashed<'_>, place: u32, object: Option<Object>) {
        let shard = &mut *self.shard;
        debug_assert!(shard.find(key).is_none(), "the key is free");
        if shard.vacant.pop().is_some() {
            shard.objects[place as usize] = object;
        } else {
            shard.objects.push(object);
        }
        let entry = Entry {
            slot: place,
            hash: low_half(key.hash),
        };
        let rehash = |entry: &Entry| spread(entry.hash);
        shard.table.insert_unique(rehash(&entry), entry, rehash);
    }

    /// Turns a put into an object.
    pub(crate) fn commit(&mut self, object: Object) {
        let put = self.shard.puts.remove(&object.id.place());
        debug_assert!(put.is_some(), "the put is in flight");
        let slot = object.id.slot();
        self.shard.objects[slot] = Some(object);
    }

    /// Puts another object with the same key and id in the place of one, if
    /// there is one.
    pub(crate) fn replace(&mut self, id: ObjectId, next: impl FnOnce(Object) -> Object) {
        if let Some(slot) = self.shard.objects.get_mut(id.slot()) {
            *slot = slot.take().map(next);
        }
    }

    /// Takes an object or a put out.
    pub(crate) fn take(&mut self, id: ObjectId) -> Taken {
        let shard = &mut *self.shard;
        let place = id.place();
        let hash = low_half(self.hasher.hash_one(shard.key(place)));
        let entry = shard
            .table
            .find_entry(spread(hash), |entry| entry.slot == place);
        entry.expect("the key is in the table").remove();
        shard.vacant.push(place);
        let taken = match shard.objects[id.slot()].take() {
            Some(object) => Taken::Stored(object),
            None => {
                shard.puts.remove(&place);
                Taken::InFlight
            }
        };
        self.shrink();
        taken
    }

    /// Gives memory back that the shard has far too much of.
    fn shrink(&mut self) {
        let shard = &mut *self.shard;
        if shard.table.is_empty() {
            if shard.objects.capacity() > SLICE {
                *shard = Shard::default();
            }
            return;
        }
        let (len, capacity) = (shard.table.len(), shard.table.capacity());
        if capacity > SLICE && len < capacity / 8 {
            shard.table.shrink_to(2 * len, |entry| spread(entry.hash));
        }
    }
}

impl std::ops::Deref for Writing<'_> {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl ObjectId {
    #[expect(clippy::cast_possible_truncation, reason = "fewer than 2^32 shards")]
    fn at(shard: usize, slot: u32) -> Self {
        let slot = slot.checked_mul(SHARDS as u32);
        Self(slot.expect("fewer than 2^26 objects in a shard") + shard as u32)
    }

    fn shard(self) -> usize {
        self.0 as usize % SHARDS
    }

    fn slot(self) -> usize {
        self.0 as usize / SHARDS
    }

    /// Returns the slot as shards write it down.
    #[expect(clippy::cast_possible_truncation, reason = "few shards")]
    fn place(self) -> u32 {
        self.0 / SHARDS as u32
    }

    /// Returns the id as the mark of a place, which is not zero.
    pub(crate) fn owner(self) -> NonZeroU32 {
        NonZeroU32::new(self.0.wrapping_add(1)).expect("2^32 − 1 is no id: 2^26 slots are too many")
    }

    /// Returns the id that made a mark.
    pub(crate) fn of_owner(owner: NonZeroU32) -> Self {
        Self(owner.get() - 1)
    }
}

#[inline]
fn shard_of(hash: u64) -> usize {
    usize::try_from(hash >> 32).unwrap_or_default() % SHARDS
}

/// Returns the part of a hash that keys of one shard differ in.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the half is what is meant")]
fn low_half(hash: u64) -> u32 {
    hash as u32
}

/// Returns the hash as a table wants it, with something in the upper bits: a
/// multiple of 2^64 divided by the golden ratio.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
