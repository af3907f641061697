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
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use mc_arena::Process;

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
    /// Slots used so far, by this process and those that it was forked from; it orders nothing, so
    /// `Relaxed`.
    slots: AtomicU32,
    /// A child begins with none of its own: the lock of its parent's may be a thread's that it lacks.
    vacant: ArcSwapOption<Vacant>,
}

/// The place of one value at a time.
struct Slot<T> {
    /// The entry, iff its id is valid.
    entry: ArcSwapOption<Entry<T>>,
    /// The id of the entry, 0 without one. Written by whoever has the slot, and set to 0 by whoever
    /// removes the entry, once. An id is stored with `Release` after `value`, and read with
    /// `Acquire` by `with_unpinned`; `Relaxed` where nothing is read through it.
    id: AtomicU64,
    /// The value of the entry. Valid while `entry` holds it; `Relaxed`, as `id` orders it.
    value: AtomicPtr<T>,
}

struct Entry<T> {
    id: u64,
    value: T,
}

/// Where values were before.
struct Vacant {
    process: Process,
    /// Slots whose value was removed by the process, with the generation they get next. Locked for as
    /// long as it takes to add or to take one.
    used: Mutex<Vec<(u32, u64)>>,
}

impl<T> Registry<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            first: [const { Slot::vacant() }; FIRST_LEN],
            chunks: [const { OnceLock::new() }; CHUNK_COUNT],
            slots: AtomicU32::new(0),
            vacant: ArcSwapOption::const_empty(),
        }
    }

    /// Keeps a value and returns the id that names it from then on.
    pub(crate) fn insert(&self, value: T) -> Result<u64, Fault> {
        let (slot, generation) = self.vacancy().ok_or(Fault::TooManyHandles)?;
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
        // Of two removals of one id the second finds nothing.
        let removed = slot
            .id
            .compare_exchange(id, 0, Ordering::Relaxed, Ordering::Relaxed);
        if id == 0 || removed.is_err() {
            return Err(self.stale(id));
        }
        let entry = slot.entry.swap(None);
        // After its last generation it is not used again.
        let generation = (id >> SLOT_BITS & ((1 << GENERATION_BITS) - 1)) + 1;
        if generation < 1 << GENERATION_BITS
            && let Some(vacant) = self.vacant()
        {
            vacant.lock().push((slot_of(id), generation));
        }
        drop(entry);
        Ok(())
    }

    /// Returns a slot and the generation of its next value; `None` if all are in use.
    fn vacancy(&self) -> Option<(u32, u64)> {
        if let Some(used) = self.vacant().and_then(|vacant| vacant.lock().pop()) {
            return Some(used);
        }
        let next = |slots: u32| (slots < 1 << SLOT_BITS).then_some(slots + 1);
        let slot = self
            .slots
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        Some((slot.ok()?, 0))
    }

    /// Returns the vacant slots of this process; `None` where processes cannot be told apart: slots are
    /// not used again there.
    fn vacant(&self) -> Option<Arc<Vacant>> {
        loop {
            let found = self.vacant.load_full();
            if let Some(vacant) = &found
                && vacant.process.is_current()
            {
                return found;
            }
            let fresh = Vacant {
                process: Process::current().ok()?,
                used: Mutex::default(),
            };
            // Another thread may be first; then its list is found.
            drop(self.vacant.compare_and_swap(&found, Some(Arc::new(fresh))));
        }
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
    fn lock(&self) -> MutexGuard<'_, Vec<(u32, u64)>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
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
        let registry = Registry::new(Kind::Offset);
        registry.remove(registry.insert(1).unwrap()).unwrap();
        let last = (1 << GENERATION_BITS) - 1;
        *registry.vacant().unwrap().lock() = vec![(0, last)];
        let id = registry.insert(2).unwrap();
        assert_eq!(id >> SLOT_BITS & last, last);
        registry.remove(id).unwrap();
        assert_eq!(slot_of(registry.insert(3).unwrap()), 1);
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
