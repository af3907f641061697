//! Segments that leave or close: the objects elsewhere stay, and what makes no
//! room stays where it is.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::common::{
    info, mount_local,
    objects::{
        all_options, assert_all_space_is_of_objects, key, left, numbers, placed_bytes, put, put_as,
        put_in, refusal, segments_of, store_of,
    },
    pool,
};
use mc_segment::{
    Replicas, Segment, SegmentId, SegmentInfo, SegmentState, Strategy, TransitionError,
};
use mc_store::{
    AddReplicaError, Clock, EventKind, ObjectStore, PutError, PutRequest, Quota, Removal,
    StoreOptions, Unmounted, Watermarks,
};

const MIB: u64 = 1 << 20;
const FIRST: SegmentId = SegmentId(1);

/// A way for the first segment to leave, or to close.
type Close = (&'static str, fn(&ObjectStore));

/// The ways on which the objects of the first segment stay readable.
const CLOSED: [Close; 3] = [
    ("drained", |store| store.pool().drain(FIRST).unwrap()),
    ("suspended", |store| store.pool().suspend(FIRST).unwrap()),
    ("on its way out", |store| {
        store.pool().unmount_gracefully(FIRST).unwrap();
    }),
];

/// The ways on which they are lost.
const LOST: [Close; 4] = [
    ("unmounted", |store| {
        store.pool().begin_unmount(FIRST).unwrap();
        store.pool().finish_unmount(FIRST).unwrap();
    }),
    ("half unmounted", |store| {
        store.pool().begin_unmount(FIRST).unwrap();
    }),
    ("unmounted by the store", |store| {
        store.unmount(FIRST).unwrap();
    }),
    ("replaced", |store| {
        let info = store.pool().info(FIRST).unwrap();
        let info = SegmentInfo { epoch: 1, ..info };
        store.pool().mount(Segment::remote(info)).unwrap();
    }),
];

/// How full a store of some segments is.
struct Filling {
    segments: u64,
    objects_each: u64,
    is_oldest_lost: bool,
}

const FILLINGS: [Filling; 5] = [
    Filling::of(2, 60, true),
    Filling::of(2, 60, false),
    Filling::of(4, 80, true),
    Filling::of(3, 89, false),
    Filling::of(10, 85, true),
];

impl Filling {
    const fn of(segments: u64, objects_each: u64, is_oldest_lost: bool) -> Self {
        Self {
            segments,
            objects_each,
            is_oldest_lost,
        }
    }

    /// Fills segments of 100 MiB with objects of one MiB in turns.
    fn store(&self, options: StoreOptions) -> ObjectStore {
        let watermarks = Some(Watermarks {
            high_percent: 90,
            low_percent: 70,
        });
        let sizes = (0..self.segments).map(|_| 100 * MIB).collect::<Vec<_>>();
        let store = store_of(
            &sizes,
            StoreOptions {
                watermarks,
                ..options
            },
        );
        for number in 0..self.segments * self.objects_each {
            put_in(&store, u128::from(self.segment_of(number)), number, MIB);
        }
        store
    }

    fn segment_of(&self, number: u64) -> u64 {
        let turn = number % self.segments;
        match self.is_oldest_lost {
            true => turn + 1,
            false => self.segments - turn,
        }
    }

    fn survives(&self, number: &u64) -> bool {
        self.segment_of(*number) != 1
    }
}

#[test]
fn losing_a_segment_costs_no_object_elsewhere() {
    for options in all_options() {
        for filling in &FILLINGS {
            for (name, lose) in LOST {
                let store = filling.store(options.clone());
                let all = numbers(&store);
                lose(&store);
                put(&store, u64::MAX, 1);
                let mut kept = numbers(&store);
                assert!(kept.remove(&u64::MAX));
                let expected = all.into_iter().filter(|number| filling.survives(number));
                assert!(kept.into_iter().eq(expected), "{name}, {options:?}");
                assert_eq!(store.stats().by_watermark.objects, 0);
                assert_all_space_is_of_objects(&store);
            }
        }
    }
}

#[test]
fn closing_a_segment_costs_no_object_at_all() {
    for options in all_options() {
        for filling in &FILLINGS {
            for (name, close) in CLOSED {
                let store = filling.store(options.clone());
                let mut all = numbers(&store);
                let events = store.events(10_000);
                close(&store);
                put(&store, u64::MAX, 1);
                all.insert(u64::MAX);
                assert_eq!(numbers(&store), all, "{name}, {options:?}");
                assert!(left(&events).is_empty(), "{name}, {options:?}");
                assert_all_space_is_of_objects(&store);
            }
        }
    }
}

#[test]
fn losing_a_replica_costs_no_other_object_one() {
    for options in all_options() {
        for (name, lose) in CLOSED.into_iter().chain(LOST) {
            let watermarks = Some(Watermarks {
                high_percent: 90,
                low_percent: 60,
            });
            let options = StoreOptions {
                watermarks,
                ..options.clone()
            };
            let store = store_of(&[100 * MIB; 5], options);
            let twice = PutRequest {
                replicas: Replicas::exact(2),
                ..PutRequest::new(MIB)
            };
            // Half of the bytes; all are on two segments.
            for number in 0..125 {
                put_as(&store, number, &twice).unwrap();
            }
            lose(&store);
            put(&store, u64::MAX, 1);
            assert_eq!(numbers(&store).len(), 126, "{name}");
            store.check_invariants();
        }
    }
}

#[test]
fn watermarks_compare_live_bytes_in_open_segments_with_the_bytes_of_those() {
    for options in all_options() {
        for (unit, copies) in [(1, 1), (1_000, 1), (1, 2), (4_096, 2)] {
            for (name, close) in CLOSED {
                let watermarks = Some(Watermarks {
                    high_percent: 90,
                    low_percent: 50,
                });
                let options = StoreOptions {
                    watermarks,
                    ..options.clone()
                };
                let store = store_of(&[50 * unit; 3], options.clone());
                (0..20).for_each(|number| put_in(&store, 1, number, unit));
                close(&store);
                let request = PutRequest {
                    replicas: Replicas::exact(copies),
                    ..PutRequest::new(unit)
                };
                // 100 units are in open segments; 90 of them may be live.
                let most = 90 / u64::from(copies);
                let events = store.events(1_000);
                for number in 0..most {
                    put_as(&store, 100 + number, &request).unwrap();
                }
                assert!(left(&events).is_empty(), "{name}, {options:?}");
                put_as(&store, 1_000, &request).unwrap();
                let evicted = left(&events);
                let live = (most + 1 - evicted.len() as u64) * u64::from(copies);
                assert!(
                    (49..=50).contains(&live),
                    "{live} live: {name}, {options:?}"
                );
                assert!(evicted.iter().all(|&number| number >= 100));
                assert_eq!(store.stats().by_watermark.objects, evicted.len() as u64);
            }
        }
    }
}

#[test]
fn nobody_leaves_a_segment_that_is_closed() {
    for options in all_options() {
        for (name, close) in CLOSED {
            for (old, new, unit) in [(1_000, 100, MIB), (70, 70, 3_000)] {
                let store = store_of(&[old * unit, new * unit], options.clone());
                (0..old).for_each(|number| put_in(&store, 1, number, unit));
                (old..old + new).for_each(|number| put_in(&store, 2, number, unit));
                close(&store);
                let events = store.events(10_000);
                (0..new).for_each(|number| put(&store, 10_000 + number, unit));
                let mut evicted = left(&events);
                evicted.sort_unstable();
                let expected = old..old + new;
                assert!(evicted.into_iter().eq(expected), "{name}, {options:?}");
                assert_all_space_is_of_objects(&store);
            }
        }
    }
}

#[test]
fn nobody_leaves_a_segment_that_a_request_excludes() {
    for options in all_options() {
        for (old, new, unit) in [(1_000, 100, MIB), (70, 70, 3_000), (3_000, 50, 1)] {
            let store = store_of(&[old * unit, new * unit], options.clone());
            (0..old).for_each(|number| put_in(&store, 1, number, unit));
            (old..old + new).for_each(|number| put_in(&store, 2, number, unit));
            let events = store.events(10_000);
            let excluded = [FIRST];
            let request = PutRequest {
                excluded: &excluded,
                ..PutRequest::new(unit)
            };
            for number in 0..new {
                put_as(&store, 10_000 + number, &request).unwrap();
            }
            let mut evicted = left(&events);
            evicted.sort_unstable();
            assert!(evicted.into_iter().eq(old..old + new), "{options:?}");
        }
    }
}

#[test]
fn nobody_leaves_a_segment_of_a_name_that_has_a_replica() {
    for options in all_options() {
        for unit in [100, MIB] {
            // Room for one copy is in the first segment, and never needed twice.
            let store = store_of(&[100 * unit, 10 * unit], options.clone());
            (0..50).for_each(|number| put_in(&store, 1, number, unit));
            (50..60).for_each(|number| put_in(&store, 2, number, unit));
            let events = store.events(1_000);
            let twice = PutRequest {
                replicas: Replicas::exact(2),
                ..PutRequest::new(unit)
            };
            for number in 0..10 {
                put_as(&store, 100 + number, &twice).unwrap();
            }
            let evicted = left(&events);
            assert_eq!(evicted.len(), 10, "{options:?}");
            assert!(evicted.iter().all(|&number| number >= 50), "{options:?}");
        }
    }
}

#[test]
fn moving_out_evicts_no_more_than_it_moves_and_nothing_that_it_moves() {
    for options in all_options() {
        for (many, full, unit) in [(100, 34, MIB), (60, 60, 7), (10, 40, 1_000)] {
            let store = store_of(&[many * unit, full * unit], options.clone());
            (0..many).for_each(|number| put_in(&store, 1, number, unit));
            (many..many + full).for_each(|number| put_in(&store, 2, number, unit));
            store.pool().drain(FIRST).unwrap();
            let events = store.events(10_000);
            let moved = store.move_out(FIRST, |_, _| Ok::<(), ()>(())).unwrap();
            assert_eq!(moved.bytes, moved.replicas * unit);
            let told = events.drain();
            let is_left = |kind| matches!(kind, EventKind::Left(_));
            let evicted = told.iter().filter(|event| is_left(event.kind)).count() as u64;
            assert_eq!(evicted, many.min(full), "{options:?}");
            // Who has moved is there, and who has not is where it was.
            let keys = store.keys();
            for event in &told {
                if let EventKind::Moved { from, to } = event.kind {
                    assert_eq!((from, to), (FIRST, SegmentId(2)));
                    assert!(keys.contains(&event.key), "moved in vain: {options:?}");
                }
            }
            assert!(moved.left.iter().all(|key| keys.contains(key)));
            assert_eq!(moved.replicas + moved.left.len() as u64, many);
            assert_all_space_is_of_objects(&store);
        }
    }
}

#[test]
fn a_segment_that_is_open_again_gives_its_objects_away_again() {
    for options in all_options() {
        for unit in [10, MIB] {
            let store = store_of(&[40 * unit, 10 * unit], options.clone());
            (0..40).for_each(|number| put_in(&store, 1, number, unit));
            (40..50).for_each(|number| put_in(&store, 2, number, unit));
            store.pool().suspend(FIRST).unwrap();
            // They are passed over.
            (50..60).for_each(|number| put(&store, number, unit));
            store.pool().resume(FIRST).unwrap();
            let all = PutRequest::new(40 * unit);
            put_as(&store, 100, &all).unwrap();
            assert!(numbers(&store).iter().all(|&number| number >= 50));
            assert_all_space_is_of_objects(&store);
        }
    }
}

#[test]
fn what_a_closed_segment_has_is_not_said_to_be_leased() {
    for options in all_options() {
        let store = store_of(&[1_000, 1_000], options.clone());
        (0..20).for_each(|number| put_in(&store, u128::from(number / 10) + 1, number, 100));
        let leased = |expected| {
            let refused = refusal(&store, 99, &PutRequest::new(1_000));
            let PutError::NoRoom { in_the_way, .. } = refused else {
                panic!("{refused:?}");
            };
            let found = (in_the_way.pinned, in_the_way.leased);
            assert_eq!(found, (1, expected), "{options:?}");
            store.check_invariants();
        };
        store.pool().drain(SegmentId(1)).unwrap();
        assert!(store.pin(&key(10)));
        leased(0);
        let leases = [11, 12].map(|number| store.get(&key(number)));
        leased(2);
        // They leave while they are not offered.
        (0..5).for_each(|number| store.remove(&key(number), Removal::IfIdle).unwrap());
        leased(2);
        drop(leases);
        store.pool().resume(SegmentId(1)).unwrap();
        put_as(&store, 100, &PutRequest::new(500)).unwrap();
        assert_eq!(segments_of(&store, 100), [1]);
        store.check_invariants();
    }
}

#[test]
fn a_new_replica_takes_the_place_of_one_that_was_lost() {
    for (name, lose) in LOST {
        let store = store_of(&[1_000, 1_000, 1_000], StoreOptions::default());
        let quota = Quota {
            guaranteed: 0,
            most: Some(250),
        };
        store.tenant("a", quota).unwrap();
        let request = PutRequest {
            tenant: Some("a"),
            replicas: Replicas::exact(2),
            preferred: &[FIRST, SegmentId(2)],
            ..PutRequest::new(100)
        };
        put_as(&store, 0, &request).unwrap();
        let add = || store.add_replica(&key(0), |_, _| Ok::<(), ()>(())).unwrap();
        let check = || {
            assert_eq!(add(), Ok(()), "{name}");
            let stats = store.stats();
            let sums = (stats.live_bytes, stats.tenants["a"].used_bytes);
            assert_eq!(sums, (200, 200), "{name}");
            assert_all_space_is_of_objects(&store);
            assert_eq!(segments_of(&store, 0).len(), 2, "{name}");
        };
        lose(&store);
        check();
        for id in 2..6 {
            let next = info(id + 2, 1_000);
            store.pool().mount(Segment::remote(next)).unwrap();
            store.unmount(SegmentId(id)).unwrap();
            if !store.under_replicated().is_empty() {
                check();
            }
        }
        // One more than was asked for would be charged, and the object does not leave for it.
        store.pool().mount(Segment::remote(info(9, 1_000))).unwrap();
        let refused = add();
        let is_refused = matches!(
            refused,
            Err(AddReplicaError::NoRoom(PutError::QuotaExceeded { .. }))
        );
        assert!(is_refused, "{name}: {refused:?}");
        assert!(store.exists(&key(0)));
    }
}

#[test]
fn a_put_without_an_open_segment_says_so() {
    for options in all_options() {
        for (name, close) in CLOSED {
            let store = store_of(&[MIB], options.clone());
            (0..64).for_each(|number| put(&store, number, MIB / 64));
            close(&store);
            let refused = refusal(&store, 100, &PutRequest::new(1));
            assert!(matches!(refused, PutError::Place(_)), "{name}: {refused:?}");
            assert_eq!(numbers(&store).len(), 64);
            assert_eq!(placed_bytes(store.pool()), MIB);
        }
    }
}

/// Unmounts the first of two segments, and calls `meanwhile` after the unmount has begun.
fn unmount_while(
    prepare: impl FnOnce(&ObjectStore),
    meanwhile: impl FnOnce(&ObjectStore) + Send + 'static,
) -> Unmounted {
    type Task = Box<dyn FnOnce() + Send>;
    let task = Arc::new(Mutex::new(None::<Task>));
    let next = Arc::clone(&task);
    let options = StoreOptions {
        // It is read while no lock is held.
        clock: Clock::new(move || {
            let task = next.lock().unwrap().take();
            task.into_iter().for_each(|task| task());
            Duration::ZERO
        }),
        ..StoreOptions::default()
    };
    let store = store_of(&[MIB, MIB], options);
    prepare(&store);
    let other = store.clone();
    *task.lock().unwrap() = Some(Box::new(move || {
        let state = other.pool().state(FIRST);
        assert_eq!(state, Some(SegmentState::Unmounting));
        meanwhile(&other);
    }));
    let unmounted = store.unmount(FIRST).unwrap();
    assert!(task.lock().unwrap().is_none(), "the clock was not read");
    unmounted
}

#[test]
fn an_unmount_names_what_is_committed_after_it_has_begun() {
    let twice = PutRequest {
        replicas: Replicas::exact(2),
        ..PutRequest::new(100)
    };
    let in_flight = Arc::new(Mutex::new(None));
    let put = Arc::clone(&in_flight);
    let unmounted = unmount_while(
        |store| {
            put_as(store, 1, &twice).unwrap();
            *in_flight.lock().unwrap() = Some(store.put(&key(2), &twice).unwrap());
        },
        move |_| put.lock().unwrap().take().unwrap().commit().unwrap(),
    );
    assert_eq!(unmounted.lost, [] as [Box<[u8]>; 0]);
    let mut survivors: Vec<_> = unmounted.survivors.iter().map(|one| &*one.key).collect();
    survivors.sort_unstable();
    assert_eq!(survivors, [key(1), key(2)]);
}

#[test]
fn an_unmount_names_what_others_find_lost_before_it_does() {
    let unmounted = unmount_while(
        |store| (1..=3).for_each(|number| put_in(store, 1, number, 100)),
        |store| {
            assert!(store.get(&key(1)).is_none());
            put_in(store, 2, 2, 100);
        },
    );
    let mut lost = unmounted.lost;
    lost.sort_unstable();
    assert_eq!(lost, [1, 2, 3].map(|number| Box::from(key(number))));
}

#[test]
fn an_unmount_names_only_what_it_cost() {
    let twice = PutRequest {
        replicas: Replicas::exact(2),
        ..PutRequest::new(100)
    };
    let store = store_of(&[MIB, MIB], StoreOptions::default());
    put_as(&store, 1, &twice).unwrap();
    let info = store.pool().info(FIRST).unwrap();
    assert_eq!(store.unmount(FIRST).unwrap().survivors.len(), 1);
    // The object is not in what comes under the same id.
    store.pool().mount(Segment::remote(info)).unwrap();
    put_as(&store, 2, &twice).unwrap();
    let unmounted = store.unmount(FIRST).unwrap();
    let survivors: Vec<_> = unmounted.survivors.iter().map(|one| &*one.key).collect();
    assert_eq!(survivors, [key(2)]);
}

#[test]
fn an_unmount_that_was_busy_says_what_it_cost_when_it_is_finished() {
    let keys = [0, 1].map(key);
    let pool = pool(Strategy::default(), 1);
    mount_local(&pool, &[1_000, 1_000]);
    let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
    put_in(&store, 1, 0, 100);
    let twice = PutRequest {
        replicas: Replicas::exact(2),
        ..PutRequest::new(100)
    };
    put_as(&store, 1, &twice).unwrap();
    let lease = store.get(&keys[0]).unwrap();
    let replica = lease.replicas().next().unwrap();
    let bytes = replica.bytes(0).unwrap();
    for _ in 0..2 {
        let busy = store.unmount(FIRST).unwrap_err();
        assert!(matches!(busy, TransitionError::Busy { .. }), "{busy}");
    }
    assert!(!store.exists(&keys[0]) && store.exists(&keys[1]));
    drop(bytes);
    let unmounted = store.unmount(FIRST).unwrap();
    assert_eq!(unmounted.lost, [Box::from(keys[0])]);
    let survivors: Vec<_> = unmounted.survivors.iter().map(|one| &*one.key).collect();
    assert_eq!(survivors, [keys[1]]);
    let gone = store.unmount(FIRST).unwrap_err();
    assert!(matches!(gone, TransitionError::NotMounted { .. }), "{gone}");
}
