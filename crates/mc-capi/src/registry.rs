//! Handles as numbers: a table that turns an id into the value behind it, or into an error.
//!
//! ```text
//! id   63    56 55         24 23       0
//!      │ kind  │ generation  │  slot   │     kind is never 0, so 0 names nothing
//! ```
//!
//! A slot is used again under the next generation, so an id never names a second value. Slots are
//! never unmapped; a value is dropped when it is removed and the last call that uses it returns.

#![expect(
    unsafe_code,
    reason = "one lookup follows a pointer that its caller keeps from being freed"
)]

use std::{
    ptr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;

use crate::{fault::Fault, kind::Kind};

const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 32;

/// Slots that are always there; each chunk has as many as all before it.
const FIRST_BITS: u32 = 4;
const FIRST_LEN: usize = 1 << FIRST_BITS;
const CHUNK_COUNT: usize = (SLOT_BITS - FIRST_BITS) as usize;

/// All values of one kind.
pub(crate) struct Registry<T> {
    kind: Kind,
    /// The slots with the lowest numbers: all that most processes use.
    first: [Slot<T>; FIRST_LEN],
    /// The others. Chunks are made in order and never replaced.
    chunks: [OnceLock<Box<[Slot<T>]>>; CHUNK_COUNT],
    vacant: Mutex<Vacant>,
}

/// The place of one value at a time.
struct Slot<T> {
    /// The entry, iff its id is valid.
    entry: ArcSwapOption<Entry<T>>,
    /// The id of the entry, 0 without one. Written under the lock of `vacant`; an id is stored with
    /// `Release` after `value`, and read with `Acquire` by `with_unpinned`; `Relaxed` where nothing
    /// is read through it.
    id: AtomicU64,
    /// The value of the entry. Valid while `entry` holds it; `Relaxed`, as `id` orders it.
    value: AtomicPtr<T>,
}

struct Entry<T> {
    id: u64,
    value: T,
}

/// Where the next value goes.
struct Vacant {
    /// Slots used so far.
    slots: u32,
    /// Slots whose value was removed, with the generation they get next.
    used: Vec<(u32, u64)>,
}

impl<T> Registry<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        let vacant = Vacant {
            slots: 0,
            used: Vec::new(),
        };
        Self {
            kind,
            first: [const { Slot::vacant() }; FIRST_LEN],
            chunks: [const { OnceLock::new() }; CHUNK_COUNT],
            vacant: Mutex::new(vacant),
        }
    }

    /// Keeps a value and returns the id that names it from then on.
    pub(crate) fn insert(&self, value: T) -> Result<u64, Fault> {
        let mut vacant = self.vacant.lock().unwrap_or_else(PoisonError::into_inner);
        let (slot, generation) = vacant.take().ok_or(Fault::TooManyHandles)?;
        let id = (self.kind as u64) << (SLOT_BITS + GENERATION_BITS)
            | generation << SLOT_BITS
            | u64::from(slot);
        let slot = self.slot_or_new(slot);
        let entry = Arc::new(Entry { id, value });
        let pointer = ptr::from_ref(&entry.value).cast_mut();
        slot.value.store(pointer, Ordering::Relaxed);
        slot.entry.store(Some(entry));
        slot.id.store(id, Ordering::Release);
        Ok(id)
    }

    /// Calls `operate` with the value that `id` names.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        id: u64,
        operate: impl FnOnce(&T) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let Some(slot) = self.slot(id) else {
            return Err(self.stale(id));
        };
        match &*slot.entry.load() {
            Some(entry) if entry.id == id => operate(&entry.value),
            _ => Err(self.stale(id)),
        }
    }

    /// As [`with`](Self::with), at a fifth of the cost: the value is not kept from being dropped.
    ///
    /// # Safety
    ///
    /// No [`remove`](Self::remove) of `id` runs during the call.
    #[inline]
    pub(crate) unsafe fn with_unpinned<R>(
        &self,
        id: u64,
        operate: impl FnOnce(&T) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let Some(slot) = self.slot(id) else {
            return Err(self.stale(id));
        };
        if id == 0 || slot.id.load(Ordering::Acquire) != id {
            return Err(self.stale(id));
        }
        // SAFETY: (1) the pointer is to the value of the entry with this id: `insert` stored it
        // before the id; (2) the entry is alive: a `remove` before the call would have stored the id
        // 0, and none runs during it, by the caller's clause.
        operate(unsafe { &*slot.value.load(Ordering::Relaxed) })
    }

    /// Says whether `id` names a value.
    pub(crate) fn contains(&self, id: u64) -> bool {
        let slot = self.slot(id);
        id != 0 && slot.is_some_and(|slot| slot.id.load(Ordering::Relaxed) == id)
    }

    /// Makes `id` name nothing any more. The value is dropped when the last call that uses it
    /// returns.
    pub(crate) fn remove(&self, id: u64) -> Result<(), Fault> {
        let slot = self.slot(id).ok_or_else(|| self.stale(id))?;
        // Under the lock, so that of two removals of one id the second finds nothing.
        let mut vacant = self.vacant.lock().unwrap_or_else(PoisonError::into_inner);
        if id == 0 || slot.id.load(Ordering::Relaxed) != id {
            return Err(self.stale(id));
        }
        slot.id.store(0, Ordering::Relaxed);
        let entry = slot.entry.swap(None);
        vacant.give(id);
        drop(vacant);
        drop(entry);
        Ok(())
    }

    /// Returns the slot that `id` would be in.
    #[inline]
    fn slot(&self, id: u64) -> Option<&Slot<T>> {
        let slot = slot_of(id);
        self.first.get(slot as usize).or_else(|| {
            let (chunk, at) = place(slot);
            self.chunks[chunk].get()?.get(at)
        })
    }

    fn slot_or_new(&self, slot: u32) -> &Slot<T> {
        self.first.get(slot as usize).unwrap_or_else(|| {
            let (chunk, at) = place(slot);
            &self.chunks[chunk].get_or_init(|| new_chunk(chunk))[at]
        })
    }

    #[cold]
    fn stale(&self, id: u64) -> Fault {
        Fault::StaleHandle {
            kind: self.kind,
            id,
        }
    }
}

impl Vacant {
    /// Returns a slot and the generation of its next value; `None` if all are in use.
    fn take(&mut self) -> Option<(u32, u64)> {
        self.used.pop().or_else(|| {
            let slot = self.slots;
            (slot < 1 << SLOT_BITS).then(|| {
                self.slots += 1;
                (slot, 0)
            })
        })
    }

    /// Takes back the slot of an id; after its last generation it is not used again.
    fn give(&mut self, id: u64) {
        let generation = id >> SLOT_BITS & ((1 << GENERATION_BITS) - 1);
        if generation + 1 < 1 << GENERATION_BITS {
            self.used.push((slot_of(id), generation + 1));
        }
    }
}

#[inline]
fn slot_of(id: u64) -> u32 {
    (id & ((1 << SLOT_BITS) - 1)) as u32
}

impl<T> Slot<T> {
    const fn vacant() -> Self {
        Self {
            entry: ArcSwapOption::const_empty(),
            id: AtomicU64::new(0),
            value: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

/// Returns the chunk of a slot that is none of the first, and its place in the chunk.
fn place(slot: u32) -> (usize, usize) {
    let bits = slot.ilog2();
    ((bits - FIRST_BITS) as usize, (slot - (1 << bits)) as usize)
}

#[cold]
fn new_chunk<T>(chunk: usize) -> Box<[Slot<T>]> {
    (0..FIRST_LEN << chunk).map(|_| Slot::vacant()).collect()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn get(registry: &Registry<u32>, id: u64) -> Option<u32> {
        let value = registry.with(id, |&value| Ok(value)).ok();
        // SAFETY: nothing is removed beside this.
        let unpinned = unsafe { registry.with_unpinned(id, |&value| Ok(value)) };
        assert_eq!(unpinned.ok(), value);
        assert_eq!(registry.contains(id), value.is_some());
        value
    }

    #[test]
    fn every_slot_has_one_place() {
        let places = (1 << FIRST_BITS..200).map(place);
        let expected = (0..CHUNK_COUNT).flat_map(|chunk| {
            let len = new_chunk::<u32>(chunk.min(8)).len();
            (0..len).map(move |at| (chunk, at))
        });
        assert!(places.eq(expected.take(200 - FIRST_LEN)));
        let last = place((1 << SLOT_BITS) - 1);
        assert_eq!(last.0, CHUNK_COUNT - 1);
    }

    #[test]
    fn an_id_names_one_value_only() {
        let registry = Registry::new(Kind::Offset);
        let mut ids = Vec::new();
        for value in 0..100 {
            let id = registry.insert(value).unwrap();
            assert!(!ids.contains(&id));
            ids.push(id);
            assert_eq!(get(&registry, id), Some(value));
            if value % 3 == 0 {
                registry.remove(id).unwrap();
                assert!(registry.remove(id).is_err());
            }
        }
        for (value, &id) in (0..).zip(&ids) {
            assert_eq!(get(&registry, id), (value % 3 != 0).then_some(value));
            let foreign = id ^ 1 << (SLOT_BITS + GENERATION_BITS);
            assert_eq!(get(&registry, foreign), None);
        }
        assert_eq!(get(&registry, 0), None);
        assert_eq!(get(&registry, u64::MAX), None);
    }

    #[test]
    fn a_slot_is_not_used_beyond_its_last_generation() {
        let mut vacant = Vacant {
            slots: 1,
            used: vec![(0, (1 << GENERATION_BITS) - 1)],
        };
        let (slot, generation) = vacant.take().unwrap();
        vacant.give(generation << SLOT_BITS | u64::from(slot));
        assert_eq!(vacant.take(), Some((1, 0)));
    }

    #[test]
    fn a_value_in_use_outlives_its_removal() {
        struct Flagged(Arc<()>);
        let registry = Registry::new(Kind::Arena);
        let flag = Arc::new(());
        let id = registry.insert(Flagged(Arc::clone(&flag))).unwrap();
        let result = registry.with(id, |value| {
            thread::scope(|scope| scope.spawn(|| registry.remove(id)).join().unwrap())?;
            assert_eq!(Arc::strong_count(&value.0), 2);
            Ok(())
        });
        assert!(result.is_ok());
        assert_eq!(Arc::strong_count(&flag), 1);
    }
}
