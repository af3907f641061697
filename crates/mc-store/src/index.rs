//! Keys to objects, in shards.
//!
//! A shard's lock guards its objects and slots. Held for reading it keeps objects
//! from leaving; nothing is waited for while it is held, and the work under it
//! is one look-up or change, but for slices of at most [`SLICE`] slots.

mod pages;

use std::{hash::BuildHasher, num::NonZeroU32};

use crossbeam_utils::CachePadded;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::pages::{Code, Pages};
use crate::{
    object::{Object, WeakObject},
    pending::Pending,
    policy::ObjectId,
};

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
    objects: Pages<Object>,
    /// Puts that have not been committed: few beside the objects.
    puts: HashTable<Pending>,
    /// The code of the key of each slot: what finds the object or put in it. A
    /// vacant slot has the number of the next one, so that an object leaves
    /// without a list that grows.
    codes: Vec<Code>,
    /// The slot that neither an object nor a put has and that is used next.
    vacant: Option<u32>,
}

/// What a key stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot<'a> {
    /// A put that has not been committed.
    InFlight(&'a Pending),
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

impl Hashed<'_> {
    /// Returns the bits in which keys of one shard differ.
    #[inline]
    fn code(self) -> Code {
        Code::of_hash(self.hash)
    }
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
        }
    }

    /// Returns the object of an id, if it is stored.
    pub(crate) fn object(&self, id: ObjectId) -> Option<Object> {
        let shard = self.shards.get(id.shard())?.read();
        shard.object(id).cloned()
    }

    /// Returns the object of a weak reference, unless it has left or moved since.
    pub(crate) fn upgrade(&self, seen: WeakObject) -> Option<Object> {
        self.object(seen.id)
            .filter(|object| object.downgrade() == seen)
    }

    /// Returns whether a put is neither committed nor over.
    pub(crate) fn is_in_flight(&self, pending: &Pending) -> bool {
        let shard = self.shards[pending.id.shard()].read();
        let put = shard.put(pending.id);
        put.is_some_and(|other| other.is_same(pending))
    }

    /// Visits every object, some at a time under the lock of their shard. What
    /// comes or goes meanwhile may be missed.
    pub(crate) fn for_each_object(&self, mut visit: impl FnMut(&Object)) {
        for (number, shard) in self.shards.iter().enumerate() {
            let mut from = 0;
            loop {
                let shard = shard.read();
                let end = shard.codes.len().min(from + SLICE);
                if from >= end {
                    break;
                }
                let ids = (from..end).map(|slot| ObjectId::at(number, slot));
                ids.filter_map(|id| shard.object(id)).for_each(&mut visit);
                from = end;
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
    pub(crate) fn in_flight(&self) -> Vec<Pending> {
        let mut pending = Vec::new();
        for shard in &self.shards {
            let mut ids: Vec<_> = shard.read().puts.iter().map(|put| put.id).collect();
            ids.sort_unstable();
            for slice in ids.chunks(SLICE) {
                let shard = shard.read();
                let puts = slice.iter().filter_map(|id| shard.put(*id));
                pending.extend(puts.cloned());
            }
        }
        pending
    }

    /// Returns how many keys stand for objects, and how many for puts.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(objects, puts), shard| {
            let shard = shard.read();
            let (stored, in_flight) = (shard.objects.len(), shard.puts.len());
            (objects + stored as u64, puts + in_flight as u64)
        })
    }

    /// Checks that objects, puts and slots agree.
    ///
    /// # Panics
    ///
    /// Panics if they do not.
    pub(crate) fn check_invariants(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            let shard = shard.read();
            let mut taken = Vec::new();
            shard.objects.check_invariants(|object| {
                let code = self.hash(object.key()).code();
                assert_eq!(object.id.shard(), number, "shard of {object:?}");
                assert_eq!(shard.codes[object.id.slot()], code, "code of {object:?}");
                code
            });
            for slot in 0..shard.codes.len() {
                let id = ObjectId::at(number, slot);
                let found = usize::from(shard.object(id).is_some());
                let found = found + usize::from(shard.put(id).is_some());
                assert!(found <= 1, "{id:?} stands for an object and a put");
                taken.extend((found == 1).then_some(id.place()));
            }
            assert_eq!(
                taken.len(),
                shard.objects.len() + shard.puts.len(),
                "slots of shard {number} with objects or puts"
            );
            let mut vacant = shard.vacant;
            while let Some(slot) = vacant {
                assert!(taken.len() < shard.codes.len(), "vacant slots in a circle");
                taken.push(slot);
                vacant = shard.after(slot);
            }
            taken.sort_unstable();
            taken.dedup();
            assert_eq!(taken.len(), shard.codes.len(), "slots of shard {number}");
        }
    }
}

impl Shard {
    /// Returns what a key stands for.
    #[inline]
    pub(crate) fn get(&self, key: Hashed<'_>) -> Option<Slot<'_>> {
        if let Some(object) = self.stored(key) {
            return Some(Slot::Stored(object));
        }
        let code = key.code();
        let put = self.puts.find(code.hash(), |put| put.key() == key.key);
        put.map(Slot::InFlight)
    }

    /// Returns the object of a key.
    #[inline]
    pub(crate) fn stored(&self, key: Hashed<'_>) -> Option<&Object> {
        let is_it = |object: &Object| object.key() == key.key;
        self.objects.find(key.code(), is_it)
    }

    /// Returns the object of an id, if it is stored.
    fn object(&self, id: ObjectId) -> Option<&Object> {
        let code = *self.codes.get(id.slot())?;
        self.objects.find(code, |object| object.id == id)
    }

    /// Returns the put of an id, if it is in flight.
    fn put(&self, id: ObjectId) -> Option<&Pending> {
        let code = *self.codes.get(id.slot())?;
        self.puts.find(code.hash(), |put| put.id == id)
    }

    /// Returns the vacant slot after one.
    fn after(&self, vacant: u32) -> Option<u32> {
        let next = self.codes[vacant as usize].number();
        (next != vacant).then_some(next)
    }

    fn take_put(&mut self, id: ObjectId) -> Option<Pending> {
        let hash = self.codes[id.slot()].hash();
        let put = self.puts.find_entry(hash, |put| put.id == id).ok()?;
        Some(put.remove().0)
    }
}

/// A shard that is locked for a change.
pub(crate) struct Writing<'a> {
    shard: RwLockWriteGuard<'a, Shard>,
    number: usize,
}

impl Writing<'_> {
    /// Enters a put under a free key; `make` gets the id of the object to be.
    pub(crate) fn begin(
        &mut self,
        key: Hashed<'_>,
        make: impl FnOnce(ObjectId) -> Pending,
    ) -> Pending {
        let (id, code) = (self.next_id(), key.code());
        let pending = make(id);
        self.fill(key);
        let shard = &mut *self.shard;
        let rehash = |put: &Pending| shard.codes[put.id.slot()].hash();
        shard
            .puts
            .insert_unique(code.hash(), pending.clone(), rehash);
        pending
    }

    /// Enters an object under a free key; `make` gets its id.
    pub(crate) fn insert(
        &mut self,
        key: Hashed<'_>,
        make: impl FnOnce(ObjectId) -> Object,
    ) -> Object {
        let id = self.next_id();
        let object = make(id);
        self.fill(key);
        self.enter(object.clone());
        object
    }

    /// Returns the id that goes with the next slot.
    fn next_id(&self) -> ObjectId {
        let vacant = self.shard.vacant.map(|slot| slot as usize);
        ObjectId::at(self.number, vacant.unwrap_or(self.shard.codes.len()))
    }

    /// Gives a key the next slot.
    fn fill(&mut self, key: Hashed<'_>) {
        let shard = &mut *self.shard;
        debug_assert!(shard.get(key).is_none(), "the key is free");
        match shard.vacant {
            Some(slot) => {
                shard.vacant = shard.after(slot);
                shard.codes[slot as usize] = key.code();
            }
            None => shard.codes.push(key.code()),
        }
    }

    fn enter(&mut self, object: Object) {
        let Shard { objects, codes, .. } = &mut *self.shard;
        let code = codes[object.id.slot()];
        objects.insert(code, object, |other| codes[other.id.slot()]);
    }

    /// Turns a put into an object.
    pub(crate) fn commit(&mut self, object: Object) {
        let put = self.shard.take_put(object.id);
        debug_assert!(put.is_some(), "the put is in flight");
        self.enter(object);
    }

    /// Puts another object with the same key and id in the place of one, if
    /// there is one.
    pub(crate) fn replace(&mut self, id: ObjectId, next: impl FnOnce(Object) -> Object) {
        let Shard { objects, codes, .. } = &mut *self.shard;
        if let Some(code) = codes.get(id.slot()) {
            objects.replace(*code, |object| object.id == id, next);
        }
    }

    /// Takes an object or a put out.
    pub(crate) fn take(&mut self, id: ObjectId) -> Taken {
        let shard = &mut *self.shard;
        let code = shard.codes[id.slot()];
        let taken = match shard.objects.remove(code, |object| object.id == id) {
            Some(object) => Taken::Stored(object),
            None => {
                let put = shard.take_put(id);
                debug_assert!(put.is_some(), "an object or a put is there");
                Taken::InFlight
            }
        };
        // The last one in the list is followed by itself.
        let next = shard.vacant.unwrap_or(id.place());
        shard.codes[id.slot()] = Code::of_hash(next.into());
        shard.vacant = Some(id.place());
        let is_empty = shard.objects.len() + shard.puts.len() == 0;
        if is_empty && shard.codes.capacity() > SLICE {
            *shard = Shard::default();
        }
        taken
    }
}

impl std::ops::Deref for Writing<'_> {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl ObjectId {
    fn at(shard: usize, slot: usize) -> Self {
        let id = u32::try_from(slot * SHARDS + shard);
        Self(id.expect("fewer than 2^26 objects in a shard"))
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
