//! Threads that use one store while its segments drain, close and restart:
//! every object that is read has its own bytes, and all space is accounted for.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::common::{
    info, memory,
    objects::{
        EVICTIONS, assert_all_space_is_of_replicas, key, local_store_of, number_of, numbers,
    },
    pattern::{PATTERN_MIN, owner, pattern},
    shadow::Pieces,
};
use mc_segment::{Memory, Replicas, Segment, SegmentId, SegmentInfo};
use mc_store::{
    EventKind, Lease, ObjectStore, PutError, PutRequest, Removal, StoreOptions, copy_bytes,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SIZES: [u64; 3] = [60_000, 40_000, 50_000];
const WORKERS: u64 = 3;
const NUMBERS: u64 = 120;
const ROUNDS: u64 = 4;
const STEPS: u64 = 1_500;

/// What the threads share.
struct Shared {
    store: ObjectStore,
    versions: AtomicU64,
    epochs: AtomicU64,
    is_over: AtomicBool,
}

fn work(shared: &Shared, random: &mut Xoshiro256PlusPlus) {
    let Shared { store, .. } = shared;
    let number = random.random_range(0..NUMBERS);
    match random.random_range(0..20) {
        0..9 => put(shared, number, random),
        9..13 => read(store.get(&key(number)), number),
        13 => {
            let time = Duration::from_micros(random.random_range(0..50));
            read(store.get_for(&key(number), time), number);
        }
        14 => {
            let asked: Vec<_> = (number..number + 4).map(key).collect();
            for (place, lease) in (number..).zip(store.get_many(&asked)) {
                read(Some(lease), place);
            }
        }
        15 => {
            let removal = [Removal::IfIdle, Removal::Detach, Removal::Now];
            let _ = store.remove(&key(number), removal[random.random_range(0..3)]);
        }
        16 => {
            store.pin(&key(number));
            thread::yield_now();
            store.unpin(&key(number));
        }
        17 => {
            store.end_lease(&key(number));
        }
        18 => {
            let _ = store.add_replica(&key(number), copy_bytes);
        }
        _ => drop((store.stats(), store.in_flight(), store.keys())),
    }
}

fn put(shared: &Shared, number: u64, random: &mut Xoshiro256PlusPlus) {
    let size = random.random_range(PATTERN_MIN..=4_000);
    let request = PutRequest {
        replicas: Replicas::exact(random.random_range(1..=2)),
        max_extents: random.random_range(1..=3),
        ..PutRequest::new(size)
    };
    match shared.store.put(&key(number), &request) {
        Ok(mut put) => {
            let version = shared.versions.fetch_add(1, Ordering::Relaxed);
            let bytes = pattern(number, version, size);
            let mut is_written = true;
            for replica in put.replicas_mut().iter_mut() {
                let is_lost = replica.write_at(0, &bytes).is_err();
                is_written &= !is_lost || !replica.is_readable();
            }
            assert!(is_written, "a segment that is there refuses bytes");
            if random.random_range(0..10) > 0 {
                let _ = put.commit();
            }
        }
        Err(PutError::Exists | PutError::InFlight | PutError::NoRoom { .. }) => {}
        // Segments may be closed.
        Err(PutError::Place(_)) => {}
        Err(other) => panic!("{other}"),
    }
}

/// Reads an object, which is the one of its key unless its segments went away.
fn read(lease: Option<Lease>, number: u64) {
    let Some(lease) = lease else {
        return;
    };
    assert_eq!(number_of(lease.key()), number);
    if let Ok(bytes) = lease.read() {
        assert_eq!(owner(&bytes).0, number);
    } else {
        assert!(lease.replicas().any(|replica| !replica.is_readable()));
    }
}

/// Drains, closes and restarts segments.
fn maintain(shared: &Shared, random: &mut Xoshiro256PlusPlus) {
    let Shared { store, .. } = shared;
    let id = SegmentId(random.random_range(1..=3));
    match random.random_range(0..6) {
        0..3 => {
            store.pool().drain(id).unwrap();
            let _ = store.move_out(id, copy_bytes);
            store.pool().resume(id).unwrap();
        }
        3 => {
            store.pool().suspend(id).unwrap();
            thread::yield_now();
            store.pool().resume(id).unwrap();
        }
        4 => {
            store.pool().begin_unmount(id).unwrap();
            store.drop_unreadable();
            let finish = || {
                store
                    .pool()
                    .finish_unmount_within(id, Duration::from_secs(60))
            };
            finish().unwrap();
            restart(shared, id);
        }
        _ => drop(store.under_replicated()),
    }
}

fn restart(shared: &Shared, id: SegmentId) {
    let size = SIZES[usize::try_from(id.0).unwrap() - 1];
    let info = SegmentInfo {
        epoch: 1 + shared.epochs.fetch_add(1, Ordering::Relaxed),
        ..info(id.0, size)
    };
    let segment = Segment::local(info, Memory::pool(memory(size)));
    shared.store.pool().mount(segment).unwrap();
}

/// Checks a store that nobody uses meanwhile.
#[track_caller]
fn check(store: &ObjectStore) {
    let mut pieces = Pieces::default();
    drop(store.stats());
    for number in numbers(store) {
        let lease = store.get(&key(number)).unwrap();
        let (found, version) = owner(&lease.read().unwrap());
        assert_eq!(found, number);
        pieces.add(number, version, &lease.descriptors());
    }
    pieces.check();
    assert_all_space_is_of_replicas(store);
    assert_eq!((store.stats().in_flight, store.stats().pinned), (0, 0));
}

#[test]
fn threads_share_a_store_whose_segments_come_and_go() {
    for (seed, eviction) in (0..).zip(EVICTIONS) {
        let options = StoreOptions {
            eviction,
            has_checksums: true,
            ..StoreOptions::default()
        };
        let shared = Shared {
            store: local_store_of(&SIZES, options),
            versions: AtomicU64::new(0),
            epochs: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        };
        let events = shared.store.events(1 << 20);
        let barrier = Barrier::new(usize::try_from(WORKERS).unwrap());
        for round in 0..ROUNDS {
            shared.is_over.store(false, Ordering::Relaxed);
            thread::scope(|scope| {
                for worker in 0..WORKERS {
                    let (shared, barrier) = (&shared, &barrier);
                    scope.spawn(move || {
                        let seed = seed << 16 | round << 8 | worker;
                        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
                        barrier.wait();
                        (0..STEPS).for_each(|_| work(shared, &mut random));
                        barrier.wait();
                        shared.is_over.store(true, Ordering::Relaxed);
                    });
                }
                let mut random = Xoshiro256PlusPlus::seed_from_u64(!(seed << 8 | round));
                while !shared.is_over.load(Ordering::Relaxed) {
                    maintain(&shared, &mut random);
                    thread::sleep(Duration::from_micros(200));
                }
            });
            check(&shared.store);
        }
        assert_eq!(events.missed(), 0);
        let mut stored = std::collections::BTreeSet::new();
        for event in events.drain() {
            let number = number_of(&event.key);
            match event.kind {
                EventKind::Committed => assert!(stored.insert(number), "{number} came twice"),
                EventKind::Left(_) => assert!(stored.remove(&number), "{number} left twice"),
                _ => {}
            }
        }
        assert_eq!(stored, numbers(&shared.store));
        assert!(shared.store.stats().on_demand.objects > 0);
    }
}
