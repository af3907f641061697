//! Keys to objects, in shards.
//!
//! A shard's lock guards its table and slots. Held for reading it keeps objects
//! from leaving; nothing is waited for while it is held, and the work under it
//! is one look-up or change, but for slices of at most [`SLICE`] slots.

use std::{hash::BuildHasher, num::NonZeroU32, sync::Arc};

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
    slots: Vec<Slot>,
    /// The vacant slot that is used next; they are a list.
    vacant: Option<u32>,
    in_flight: u32,
}

/// A slot and the hash of its key: a table that grows reads no key again, and
/// few slots are looked at that have another.
#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    hash: u32,
}

/// What a key stands for.
#[derive(Debug)]
pub(crate) enum Slot {
    /// Nothing; the next vacant slot.
    Vacant(Option<u32>),
    /// A put that has not been committed.
    InFlight(Arc<Pending>),
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
        match shard.slots.get(id.slot())? {
            Slot::Stored(object) => Some(object.clone()),
            Slot::Vacant(_) | Slot::InFlight(_) => None,
        }
    }

    /// Returns whether a put is neither committed nor over.
    pub(crate) fn is_in_flight(&self, pending: &Arc<Pending>) -> bool {
        let shard = self.shards[pending.id.shard()].read();
        let slot = shard.slots.get(pending.id.slot());
        matches!(slot, Some(Slot::InFlight(other)) if Arc::ptr_eq(other, pending))
    }

    /// Visits every slot that is taken, some at a time under the lock of their
    /// shard. What comes or goes meanwhile may be missed.
    fn for_each(&self, mut visit: impl FnMut(&Slot)) {
        for shard in &self.shards {
            let mut from = 0;
            loop {
                let shard = shard.read();
                let Some(rest) = shard.slots.get(from..).filter(|rest| !rest.is_empty()) else {
                    break;
                };
                let slice = &rest[..rest.len().min(SLICE)];
                slice
                    .iter()
                    .filter(|slot| !matches!(slot, Slot::Vacant(_)))
                    .for_each(&mut visit);
                from += slice.len();
            }
        }
    }

    /// Visits every object as [`for_each`](Self::for_each) does.
    pub(crate) fn for_each_object(&self, mut visit: impl FnMut(&Object)) {
        self.for_each(|slot| {
            if let Slot::Stored(object) = slot {
                visit(object);
            }
        });
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
            if shard.read().in_flight == 0 {
                continue;
            }
            let mut from = 0;
            loop {
                let shard = shard.read();
                let rest = shard.slots.get(from..).unwrap_or_default();
                let slice = &rest[..rest.len().min(SLICE)];
                if slice.is_empty() {
                    break;
                }
                pending.extend(slice.iter().filter_map(|slot| match slot {
                    Slot::InFlight(pending) => Some(Arc::clone(pending)),
                    Slot::Vacant(_) | Slot::Stored(_) => None,
                }));
                from += slice.len();
            }
        }
        pending
    }

    /// Returns how many keys stand for objects, and how many for puts.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(objects, puts), shard| {
            let shard = shard.read();
            let in_flight = u64::from(shard.in_flight);
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
            let mut vacant = 0;
            let mut next = shard.vacant;
            while let Some(slot) = next {
                let Slot::Vacant(after) = shard.slots[slot as usize] else {
                    panic!("slot {slot} of shard {number} is listed as vacant");
                };
                (vacant, next) = (vacant + 1, after);
            }
            let mut in_flight = 0;
            for (place, slot) in shard.slots.iter().enumerate() {
                let key = match slot {
                    Slot::Vacant(_) => continue,
                    Slot::InFlight(pending) => {
                        in_flight += 1;
                        pending.key()
                    }
                    Slot::Stored(object) => {
                        let id = object.id;
                        assert_eq!((id.shard(), id.slot()), (number, place), "id of {object:?}");
                        object.key()
                    }
                };
                let found = shard.find(self.hash(key)).map(|found| found as usize);
                assert_eq!(found, Some(place), "slot {place} of shard {number}");
            }
            assert_eq!(shard.in_flight, in_flight, "puts of shard {number}");
            assert_eq!(
                shard.table.len() + vacant,
                shard.slots.len(),
                "slots of shard {number}"
            );
        }
    }
}

impl Shard {
    /// Returns what a key stands for.
    #[inline]
    pub(crate) fn get(&self, key: Hashed<'_>) -> Option<&Slot> {
        self.find(key).map(|slot| &self.slots[slot as usize])
    }

    /// Returns the object of a key.
    #[inline]
    pub(crate) fn stored(&self, key: Hashed<'_>) -> Option<&Object> {
        match self.get(key)? {
            Slot::Stored(object) => Some(object),
            Slot::Vacant(_) | Slot::InFlight(_) => None,
        }
    }

    #[inline]
    fn find(&self, key: Hashed<'_>) -> Option<u32> {
        let hash = low_half(key.hash);
        let is_own = |entry: &Entry| {
            entry.hash == hash && self.slots[entry.slot as usize].key() == Some(key.key)
        };
        self.table
            .find(spread(hash), is_own)
            .map(|entry| entry.slot)
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
        self.fill(key, place, Slot::InFlight(Arc::clone(&pending)));
        self.shard.in_flight += 1;
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
        self.fill(key, place, Slot::Stored(object.clone()));
        object
    }

    /// Returns the place of the next slot and the id that goes with it.
    fn vacant_place(&self) -> (u32, ObjectId) {
        let place = self.shard.vacant.unwrap_or_else(|| {
            u32::try_from(self.shard.slots.len()).expect("fewer than 2^32 slots in a shard")
        });
        (place, ObjectId::at(self.number, place))
    }

    fn fill(&mut self, key: Hashed<'_>, place: u32, slot: Slot) {
        let shard = &mut *self.shard;
        debug_assert!(shard.find(key).is_none(), "the key is free");
        match shard.slots.get_mut(place as usize) {
            Some(vacant) => {
                let Slot::Vacant(next) = std::mem::replace(vacant, slot) else {
                    unreachable!("only vacant slots are listed");
                };
                shard.vacant = next;
            }
            None => shard.slots.push(slot),
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
        let slot = &mut self.shard.slots[object.id.slot()];
        debug_assert!(matches!(slot, Slot::InFlight(_)), "the put is in flight");
        *slot = Slot::Stored(object);
        self.shard.in_flight -= 1;
    }

    /// Puts another object with the same key and id in the place of one, if
    /// there is one.
    pub(crate) fn replace(&mut self, id: ObjectId, next: impl FnOnce(Object) -> Object) {
        let Some(slot) = self.shard.slots.get_mut(id.slot()) else {
            return;
        };
        *slot = match std::mem::replace(slot, Slot::Vacant(None)) {
            Slot::Stored(old) => Slot::Stored(next(old)),
            other => other,
        };
    }

    /// Takes an object or a put out.
    pub(crate) fn take(&mut self, id: ObjectId) -> Slot {
        let shard = &mut *self.shard;
        let place = u32::try_from(id.slot()).expect("an id has 32 bits");
        let next = shard.vacant.replace(place);
        let slot = std::mem::replace(&mut shard.slots[id.slot()], Slot::Vacant(next));
        let hash = self.hasher.hash_one(slot.key().expect("the slot is taken"));
        let entry = shard
            .table
            .find_entry(spread(low_half(hash)), |entry| entry.slot == place);
        entry.expect("the key is in the table").remove();
        if let Slot::InFlight(_) = slot {
            shard.in_flight -= 1;
        }
        self.shrink();
        slot
    }

    /// Gives memory back that the shard has far too much of.
    fn shrink(&mut self) {
        let shard = &mut *self.shard;
        if shard.table.is_empty() {
            if shard.slots.capacity() > SLICE {
                (shard.table, shard.slots, shard.vacant) = (HashTable::new(), Vec::new(), None);
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

impl Slot {
    #[inline]
    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Vacant(_) => None,
            Self::InFlight(pending) => Some(pending.key()),
            Self::Stored(object) => Some(object.key()),
        }
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
