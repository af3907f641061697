//! Handles of what comes and goes with every call, such as leases: a table whose threads keep out of
//! each other's way.
//!
//! ```text
//! id   63    56 55   50 49         24 23     4 3     0
//!      │ kind  │  era  │ generation  │ place  │ shelf │     kind is never 0, so 0 names nothing
//! ```
//!
//! Each thread puts new values on a shelf of its own as far as there are enough. A place is used again
//! under the next generation, so an id never names a second value. A child that was forked begins an era
//! of its own with empty shelves: those of its parent may be locked by threads that it does not have.

use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crossbeam_utils::CachePadded;
use mc_arena::Process;

use crate::{fault::Fault, kind::Kind};

const SHELF_BITS: u32 = 4;
const PLACE_BITS: u32 = 20;
const GENERATION_BITS: u32 = 26;
const ERA_BITS: u32 = 6;
const _: () = assert!(SHELF_BITS + PLACE_BITS + GENERATION_BITS + ERA_BITS == 56);

const SHELF_COUNT: usize = 1 << SHELF_BITS;
const ERA_COUNT: usize = 1 << ERA_BITS;

/// All values of one kind.
pub(crate) struct Shelves<T> {
    kind: Kind,
    /// Those of this process are the last ones that are there; those before are its parents'.
    eras: [OnceLock<Era<T>>; ERA_COUNT],
}

/// The values of one process.
struct Era<T> {
    process: Process,
    /// Locked for as long as it takes to find one value and to copy it.
    shelves: [CachePadded<Mutex<Shelf<T>>>; SHELF_COUNT],
}

struct Shelf<T> {
    places: Vec<Place<T>>,
    vacant: Vec<u32>,
}

struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// An id, taken apart.
#[derive(Clone, Copy)]
struct Parts {
    kind: u64,
    era: usize,
    generation: u32,
    place: u32,
    shelf: usize,
}

impl<T> Shelves<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            eras: [const { OnceLock::new() }; ERA_COUNT],
        }
    }

    /// Keeps a value and returns the id that names it from then on.
    pub(crate) fn insert(&self, value: T) -> Result<u64, Fault> {
        let (number, era) = self.own_era()?;
        let first = own_shelf();
        for step in 0..SHELF_COUNT {
            let at = (first + step) % SHELF_COUNT;
            let mut shelf = era.shelf(at);
            if let Some((place, generation)) = shelf.vacancy() {
                shelf.places[place as usize].value = Some(value);
                let parts = Parts {
                    kind: self.kind as u64,
                    era: number,
                    generation,
                    place,
                    shelf: at,
                };
                return Ok(parts.id());
            }
        }
        Err(Fault::TooManyHandles)
    }

    /// Returns a copy of the value that `id` names.
    pub(crate) fn get(&self, id: u64) -> Result<T, Fault>
    where
        T: Clone,
    {
        let parts = Parts::of(id);
        let mut shelf = self.shelf(parts, id)?;
        let place = shelf.place(parts).and_then(|place| place.value.clone());
        place.ok_or_else(|| self.stale(id))
    }

    /// Makes `id` name nothing any more; returns the value.
    pub(crate) fn take(&self, id: u64) -> Result<T, Fault> {
        let parts = Parts::of(id);
        let mut shelf = self.shelf(parts, id)?;
        let place = shelf.place(parts);
        let value = place.and_then(|place| place.value.take());
        let value = value.ok_or_else(|| self.stale(id))?;
        shelf.give(parts);
        Ok(value)
    }

    fn shelf(&self, parts: Parts, id: u64) -> Result<MutexGuard<'_, Shelf<T>>, Fault> {
        let era = self.eras[parts.era].get();
        let era = era.filter(|_| parts.kind == self.kind as u64);
        let era = era.ok_or_else(|| self.stale(id))?;
        era.process.check()?;
        Ok(era.shelf(parts.shelf))
    }

    /// Returns the era of the process that calls, and its number.
    fn own_era(&self) -> Result<(usize, &Era<T>), Fault> {
        for (number, era) in self.eras.iter().enumerate() {
            let era = match era.get() {
                Some(era) => era,
                None => {
                    let process = Process::current().map_err(Fault::Process)?;
                    era.get_or_init(|| Era::new(process))
                }
            };
            if era.process.is_current() {
                return Ok((number, era));
            }
        }
        Err(Fault::TooManyHandles)
    }

    #[cold]
    fn stale(&self, id: u64) -> Fault {
        let kind = self.kind;
        Fault::StaleHandle { kind, id }
    }
}

impl<T> Era<T> {
    fn new(process: Process) -> Self {
        Self {
            process,
            shelves: std::array::from_fn(|_| CachePadded::new(Mutex::new(Shelf::new()))),
        }
    }

    fn shelf(&self, number: usize) -> MutexGuard<'_, Shelf<T>> {
        self.shelves[number]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Shelf<T> {
    fn new() -> Self {
        Self {
            places: Vec::new(),
            vacant: Vec::new(),
        }
    }

    /// Returns a place and the generation of its next value; `None` if all are in use.
    fn vacancy(&mut self) -> Option<(u32, u32)> {
        if let Some(place) = self.vacant.pop() {
            return Some((place, self.places[place as usize].generation));
        }
        let place = u32::try_from(self.places.len()).ok()?;
        (place < 1 << PLACE_BITS).then(|| {
            self.places.push(Place {
                generation: 0,
                value: None,
            });
            (place, 0)
        })
    }

    fn place(&mut self, parts: Parts) -> Option<&mut Place<T>> {
        let place = self.places.get_mut(parts.place as usize)?;
        (place.generation == parts.generation).then_some(place)
    }

    /// Takes back a place without a value; after its last generation it is not used again.
    fn give(&mut self, parts: Parts) {
        self.places[parts.place as usize].generation += 1;
        if parts.generation + 1 < 1 << GENERATION_BITS {
            self.vacant.push(parts.place);
        }
    }
}

impl Parts {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "each part has fewer bits than its type"
    )]
    fn of(id: u64) -> Self {
        let part = |shift: u32, bits: u32| id >> shift & ((1 << bits) - 1);
        Self {
            kind: id >> 56,
            era: part(56 - ERA_BITS, ERA_BITS) as usize,
            generation: part(SHELF_BITS + PLACE_BITS, GENERATION_BITS) as u32,
            place: part(SHELF_BITS, PLACE_BITS) as u32,
            shelf: part(0, SHELF_BITS) as usize,
        }
    }

    fn id(self) -> u64 {
        self.kind << 56
            | (self.era as u64) << (56 - ERA_BITS)
            | u64::from(self.generation) << (SHELF_BITS + PLACE_BITS)
            | u64::from(self.place) << SHELF_BITS
            | self.shelf as u64
    }
}

/// Returns the shelf on which this thread puts new values.
fn own_shelf() -> usize {
    /// Shelves handed out; it orders nothing, so `Relaxed`.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| match own.get() {
        Some(shelf) => shelf,
        None => {
            let shelf = NEXT.fetch_add(1, Ordering::Relaxed) % SHELF_COUNT;
            own.set(Some(shelf));
            shelf
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn an_id_names_one_value_only() {
        let shelves = Shelves::new(Kind::Lease);
        let mut seen = HashSet::new();
        let mut live = Vec::new();
        for value in 0..1000 {
            let id = shelves.insert(value).unwrap();
            assert!(seen.insert(id), "{id:#x} a second time");
            assert_eq!(shelves.get(id).ok(), Some(value));
            if value % 3 == 0 {
                assert_eq!(shelves.take(id).ok(), Some(value));
                assert!(shelves.take(id).is_err() && shelves.get(id).is_err());
            } else {
                live.push((id, value));
            }
        }
        for (id, value) in live {
            assert_eq!(shelves.get(id).ok(), Some(value));
            for bit in 0..u64::BITS {
                let other = shelves.get(id ^ 1 << bit).ok();
                assert_ne!(other, Some(value), "bit {bit}");
            }
        }
        assert!(shelves.get(0).is_err() && shelves.take(u64::MAX).is_err());
    }

    #[test]
    fn ids_go_apart_and_together() {
        let parts = Parts::of(0xA5C3_9617_F00D_1234);
        assert_eq!(parts.id(), 0xA5C3_9617_F00D_1234);
    }

    #[test]
    fn a_place_is_not_used_beyond_its_last_generation() {
        let mut shelf = Shelf {
            places: vec![Place {
                generation: (1 << GENERATION_BITS) - 1,
                value: None::<u32>,
            }],
            vacant: vec![0],
        };
        let (place, generation) = shelf.vacancy().unwrap();
        shelf.give(Parts {
            kind: 1,
            era: 0,
            generation,
            place,
            shelf: 0,
        });
        assert_eq!(shelf.vacancy(), Some((1, 0)));
    }

    #[test]
    fn of_several_takers_one_gets_the_value() {
        let shelves = Shelves::new(Kind::Put);
        let ids: Vec<u64> = (0..500)
            .map(|value| shelves.insert(value).unwrap())
            .collect();
        let taken: usize = thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| ids.iter().filter(|id| shelves.take(**id).is_ok()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, ids.len());
    }
}
