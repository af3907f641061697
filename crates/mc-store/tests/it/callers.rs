//! What callers hand in may do what it likes: clocks that jump, panic or call
//! the store, copies that call it, and readers of events that do.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::objects::{
    Hand, all_options, assert_all_space_is_of_objects, assert_all_space_is_of_replicas, ends, key,
    local_store_of, numbers, placed_bytes, put, put_as, put_in, refusal, store_of,
};
use mc_segment::{Replicas, SegmentId, Strategy};
use mc_store::{
    Clock, ObjectStore, PutError, PutRequest, Removal, RemoveError, StoreOptions, copy_bytes,
    journal::JournalOptions,
};

const FIRST: SegmentId = SegmentId(1);
const SECOND: SegmentId = SegmentId(2);

#[test]
fn clocks_that_jump_end_leases_and_make_none_eternal() {
    for jump in [u64::MAX, u64::MAX / 2, 1 << 40] {
        let seconds = Arc::new(AtomicU64::new(100));
        let shown = Arc::clone(&seconds);
        let clock = Clock::new(move || Duration::from_secs(shown.load(Ordering::Relaxed)));
        let options = StoreOptions {
            clock,
            put_margin: Duration::ZERO,
            ..StoreOptions::default()
        };
        let store = store_of(&[200], options);
        put(&store, 0, 100);
        drop(store.get_for(&key(0), Duration::from_secs(60)));
        for round in 1..=3 {
            seconds.store(jump, Ordering::Relaxed);
            assert!(store.exists(&key(0)));
            seconds.store(100, Ordering::Relaxed);
            // A lease and a put from here on last as long as ever.
            drop(store.get_for(&key(0), Duration::from_secs(60)));
            let request = PutRequest {
                deadline: Some(Duration::from_secs(50)),
                ..PutRequest::new(100)
            };
            let lost = store.put(&key(round), &request).unwrap();
            seconds.store(149, Ordering::Relaxed);
            assert_eq!(refusal(&store, round, &request), PutError::InFlight);
            seconds.store(150, Ordering::Relaxed);
            assert_eq!(store.in_flight().len(), 0);
            drop(lost);
            seconds.store(159, Ordering::Relaxed);
            assert_eq!(
                store.remove(&key(0), Removal::IfIdle),
                Err(RemoveError::Leased)
            );
            seconds.store(160, Ordering::Relaxed);
            assert_eq!(store.remove(&key(0), Removal::IfIdle), Ok(()));
            put(&store, 0, 100);
            assert_all_space_is_of_objects(&store);
        }
    }
}

/// A clock that panics at one of its readings.
#[derive(Clone, Default)]
struct Mine(Arc<AtomicU64>);

impl Mine {
    fn clock(&self) -> Clock {
        let left = Arc::clone(&self.0);
        Clock::new(move || {
            let before = left.load(Ordering::Relaxed);
            left.store(before.saturating_sub(1), Ordering::Relaxed);
            assert!(before != 1, "the clock is broken");
            Duration::from_secs(1)
        })
    }

    /// Panics at the reading of this number, from 1.
    fn set(&self, reading: u64) {
        self.0.store(reading, Ordering::Relaxed);
    }
}

type Call = fn(&ObjectStore);

/// Calls that read the clock, on objects 0 (in the first segment), 1 (in the
/// second) and 2 (on both).
const CALLS: [(&str, Call); 20] = [
    ("get", |store| drop(store.get(&key(0)))),
    ("get_for", |store| {
        drop(store.get_for(&key(0), Duration::from_secs(1)));
    }),
    ("get_many", |store| drop(store.get_many(&[key(0), key(1)]))),
    ("miss", |store| drop(store.get(&key(9)))),
    ("read", |store| drop(store.read(&key(0)))),
    ("exists", |store| assert!(store.exists(&key(0)))),
    ("remove", |store| {
        let _ = store.remove(&key(0), Removal::IfIdle);
    }),
    ("detach", |store| {
        let _ = store.remove(&key(0), Removal::Detach);
    }),
    ("remove_many", |store| {
        let _ = store.remove_many(&[key(0)], Removal::Now);
    }),
    ("pin and unpin", |store| {
        store.pin(&key(0));
        store.unpin(&key(0));
    }),
    ("end_lease", |store| {
        store.end_lease(&key(0));
    }),
    ("stats", |store| drop(store.stats())),
    ("in_flight", |store| drop(store.in_flight())),
    ("put", |store| drop(store.put(&key(5), &PutRequest::new(9)))),
    ("put and commit", |store| put(store, 5, 10)),
    ("a put that evicts", |store| put(store, 5, 90)),
    ("refused put", |store| {
        assert!(store.pin(&key(0)) && store.pin(&key(1)));
        let refused = store.put(&key(5), &PutRequest::new(100)).map(drop);
        assert!(store.unpin(&key(0)) && store.unpin(&key(1)));
        refused.unwrap_err();
    }),
    ("move_out", |store| {
        store.pool().drain(FIRST).unwrap();
        store.move_out(FIRST, copy_bytes).unwrap();
    }),
    ("add_replica", |store| {
        store.add_replica(&key(1), copy_bytes).unwrap().unwrap();
    }),
    ("unmount", |store| {
        store.unmount(FIRST).unwrap();
    }),
];

/// Checks that a store is whole and works.
#[track_caller]
fn assert_works(store: &ObjectStore) {
    for number in numbers(store) {
        store.unpin(&key(number));
        store.end_lease(&key(number));
    }
    assert!(store.in_flight().is_empty());
    // An unmount that was begun can be finished, and drops what is dead.
    let _ = store.pool().finish_unmount(FIRST);
    assert_eq!(store.stats().objects, numbers(store).len() as u64);
    assert_all_space_is_of_replicas(store);
    // Everything can be put that was, and everything can be evicted.
    for number in numbers(store) {
        assert_eq!(store.remove(&key(number), Removal::IfIdle), Ok(()));
    }
    for number in 0..6 {
        put(store, number, 10);
    }
    let open = store.pool().placeable_bytes() / 100;
    for number in 0..open {
        put(store, 100 + number, 100);
    }
    assert_all_space_is_of_replicas(store);
}

#[test]
fn a_clock_that_panics_during_a_call_breaks_nothing() {
    for options in all_options() {
        for (name, call) in CALLS {
            let mut panics = 0;
            for reading in 1..=6 {
                let mine = Mine::default();
                let clock = mine.clock();
                let options = StoreOptions {
                    clock,
                    ..options.clone()
                };
                let store = local_store_of(&[100, 100], options);
                put_in(&store, 1, 0, 10);
                put_in(&store, 2, 1, 10);
                let twice = PutRequest {
                    replicas: Replicas::exact(2),
                    ..PutRequest::new(10)
                };
                put_as(&store, 2, &twice).unwrap();
                mine.set(reading);
                let called = catch_unwind(AssertUnwindSafe(|| call(&store)));
                mine.set(0);
                panics += u64::from(called.is_err());
                assert_works(&store);
            }
            assert!(panics > 0, "{name} reads no clock");
        }
    }
}

#[test]
fn copies_that_panic_or_fail_leave_objects_where_they_are() {
    for options in all_options() {
        for count in [1, 5] {
            let store = local_store_of(&[100, 100], options.clone());
            (0..count).for_each(|number| put_in(&store, 1, number, 10));
            store.pool().drain(FIRST).unwrap();
            let panicking = || store.move_out(FIRST, |_, _| -> Result<(), ()> { panic!("copy") });
            assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
            assert_eq!(store.move_out(FIRST, |_, _| Err(7)), Err(7));
            let panicking =
                || store.add_replica(&key(0), |_, _| -> Result<(), ()> { panic!("copy") });
            assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
            assert_eq!(store.add_replica(&key(0), |_, _| Err(7)), Err(7));
            assert_eq!(numbers(&store).len() as u64, count);
            assert_eq!(placed_bytes(store.pool()), 10 * count);
            let moved = store.move_out(FIRST, copy_bytes).unwrap();
            assert_eq!((moved.replicas, moved.left.len()), (count, 0));
            assert_all_space_is_of_objects(&store);
        }
    }
}

/// Makes every call of a store that there is, whatever it answers.
fn call_all(store: &ObjectStore) {
    for number in 0..3 {
        drop((store.get(&key(number)), store.exists(&key(number))));
        drop(store.get_for(&key(number), Duration::ZERO));
        drop((store.read(&key(number)), store.get_many(&[key(number)])));
        let _ = (store.pin(&key(number)), store.unpin(&key(number)));
        let _ = store.end_lease(&key(number));
        let _ = store.add_replica(&key(number), |_, _| Ok::<(), Infallible>(()));
    }
    for size in [1, 10, 100] {
        if let Ok(put) = store.put(&key(size), &PutRequest::new(size)) {
            drop(store.in_flight());
            let _ = put.commit();
        }
        let _ = store.remove(&key(size), Removal::IfIdle);
        let _ = store.remove_many(&[key(size)], Removal::Detach);
    }
    let _ = store.move_out(SECOND, |_, _| Ok::<(), Infallible>(()));
    drop((
        store.keys(),
        store.under_replicated(),
        store.drop_unreadable(),
    ));
    drop((store.stats(), store.pool().segments(), store.pool().stats()));
    drop((store.events(1), format!("{store:?}"), store.clone()));
    store.check_invariants();
}

/// Returns a store with the objects that [`CALLS`] expects.
fn store_for_calls(options: StoreOptions) -> ObjectStore {
    let store = local_store_of(&[100, 100], options);
    put_in(&store, 1, 0, 10);
    put_in(&store, 2, 1, 10);
    store
}

#[test]
fn a_clock_may_call_the_store() {
    for (name, call) in CALLS {
        ends(name, move || {
            let known: Arc<Mutex<Option<ObjectStore>>> = Arc::default();
            let is_inside = Arc::new(AtomicBool::new(false));
            let (inner, inside) = (Arc::clone(&known), Arc::clone(&is_inside));
            let clock = Clock::new(move || {
                let store = inner.lock().unwrap().clone();
                if let Some(store) = store
                    && !inside.swap(true, Ordering::Relaxed)
                {
                    drop((store.stats(), store.keys(), store.in_flight()));
                    drop((store.get(&key(1)), store.exists(&key(0))));
                    put(&store, 77, 1);
                    store.remove(&key(77), Removal::IfIdle).unwrap();
                    drop((store.pool().segments(), store.pool().stats()));
                    inside.store(false, Ordering::Relaxed);
                }
                Duration::from_secs(1)
            });
            let store = store_for_calls(StoreOptions {
                clock,
                ..StoreOptions::default()
            });
            *known.lock().unwrap() = Some(store.clone());
            call(&store);
            known.lock().unwrap().take();
            store.check_invariants();
        });
    }
}

#[test]
fn a_copy_may_call_the_store() {
    for eviction in crate::common::objects::EVICTIONS {
        ends("move_out", move || {
            let store = store_for_calls(StoreOptions {
                eviction,
                ..StoreOptions::default()
            });
            put_in(&store, 1, 50, 7);
            store.pool().drain(FIRST).unwrap();
            let mut calls = 0;
            let moved = store.move_out(FIRST, |from, to| {
                calls += 1;
                call_all(&store);
                copy_bytes(from, to)
            });
            moved.unwrap();
            assert!(calls > 0);
            store.check_invariants();
        });
        ends("add_replica", move || {
            let store = store_for_calls(StoreOptions {
                eviction,
                ..StoreOptions::default()
            });
            let mut calls = 0;
            let added = store.add_replica(&key(1), |from, to| {
                calls += 1;
                call_all(&store);
                copy_bytes(from, to)
            });
            let _ = added.unwrap();
            assert_eq!(calls, 1);
            store.check_invariants();
        });
    }
}

#[test]
fn an_object_that_is_removed_while_it_is_copied_is_gone() {
    for removal in [Removal::IfIdle, Removal::Detach, Removal::Now] {
        for count in [1, 4] {
            let store = local_store_of(&[100, 100], StoreOptions::default());
            (0..count).for_each(|number| put_in(&store, 1, number, 10));
            store.pool().drain(FIRST).unwrap();
            let moved = store.move_out(FIRST, |from, to| {
                for number in 0..count {
                    let _ = store.remove(&key(number), removal);
                }
                copy_bytes(from, to)
            });
            let moved = moved.unwrap();
            assert_eq!((moved.replicas, moved.left.len()), (0, 0));
            assert_eq!((store.keys().len(), placed_bytes(store.pool())), (0, 0));
            // As when one of the same key comes instead.
            (0..count).for_each(|number| put(&store, number, 20));
            assert_all_space_is_of_objects(&store);
        }
    }
}

#[test]
fn a_reader_of_events_may_call_the_store() {
    ends("a reader of events", || {
        let hand = Hand::default();
        let store = store_of(&[1_000], hand.options());
        let events = store.events(16);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    while let Some(event) = events.try_next() {
                        drop(store.get(&event.key));
                        let _ = store.remove(&event.key, Removal::IfIdle);
                        drop((store.stats(), store.keys(), events.missed()));
                    }
                }
            });
            for number in 0..2_000 {
                let request = PutRequest::new(50 + number % 100);
                if let Ok(put) = store.put(&key(number), &request) {
                    put.commit().unwrap();
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        drop(events);
        assert_all_space_is_of_objects(&store);
    });
}

#[test]
fn a_clock_that_panics_while_the_journal_is_compacted_puts_that_off() {
    let directory = tempfile::tempdir().unwrap();
    let (is_broken, panics) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let (breaks, counted) = (Arc::clone(&is_broken), Arc::clone(&panics));
    let clock = Clock::new(move || {
        let is_compacting = thread::current().name() == Some("mc-store journal");
        if is_compacting && breaks.load(Ordering::Relaxed) {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("the clock is broken");
        }
        Duration::from_secs(1)
    });
    let options = StoreOptions {
        clock,
        journal: JournalOptions {
            compact_bytes: 1,
            file_bytes: 4_096,
            ..JournalOptions::default()
        },
        ..StoreOptions::default()
    };
    let pool = crate::common::pool(Strategy::default(), 1);
    let opened = ObjectStore::open(directory.path(), pool, options, |_| None).unwrap();
    let store = opened.store;
    crate::common::mount_sizes(store.pool(), &[100]);
    let begun = Instant::now();
    for number in 0.. {
        put(&store, number, 10);
        is_broken.store(panics.load(Ordering::Relaxed) < 2, Ordering::Relaxed);
        if directory.path().join("snapshot").exists() {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "no compaction came"
        );
    }
    assert!(panics.load(Ordering::Relaxed) >= 2);
}
