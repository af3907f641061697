//! Snapshots of a store: everything comes back, damage costs what it hits and
//! is named, and a file is replaced whole.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use std::{path::Path, time::Instant};

use common::{info, mount_sizes, pool};
use mc_segment::{BufferDescriptor, Memory, Replicas, Request, SegmentId, SegmentState, Strategy};
use mc_store::{
    Dropped, Eviction, FormatError, LoadError, ObjectStore, Restored, StoreOptions, Watermarks,
};

fn restore(bytes: &[u8]) -> Result<Restored, LoadError> {
    ObjectStore::restore(bytes, |saved| saved, |_| Memory::Remote)
}

fn put(store: &ObjectStore, key: &[u8], request: &Request<'_>) {
    store.put(key, request).unwrap().commit();
}

/// Objects on two segments, one of them with two replicas, and one pinned.
fn small_store() -> ObjectStore {
    let options = StoreOptions {
        object_bytes_max: 5_000,
        key_bytes_max: 100,
        eviction: Eviction::Lru,
        watermarks: Some(Watermarks {
            high_percent: 95,
            low_percent: 90,
        }),
        ..StoreOptions::default()
    };
    let pool = pool(Strategy::BestHole, 7);
    mount_sizes(&pool, &[10_000, 20_000]);
    let store = ObjectStore::new(pool, options).unwrap();
    let pair = Request {
        replicas: Replicas::exact(2),
        ..Request::new(700)
    };
    put(&store, b"pair", &pair);
    put(&store, b"", &Request::new(1));
    put(&store, &[0xff; 100], &Request::new(5_000));
    put(&store, b"pinned", &Request::new(64));
    assert!(store.pin(b"pinned"));
    store
}

const KEYS: [&[u8]; 4] = [b"pair", b"", &[0xff; 100], b"pinned"];

fn descriptors(store: &ObjectStore) -> Vec<Option<Vec<BufferDescriptor>>> {
    let of_key = |key: &&[u8]| store.get(key).map(|lease| lease.descriptors());
    KEYS.iter().map(of_key).collect()
}

#[test]
fn everything_comes_back() {
    let store = small_store();
    let Restored {
        store: again,
        dropped,
    } = restore(&store.snapshot()).unwrap();
    assert_eq!(dropped, []);
    again.check_invariants();
    assert_eq!(again.pool().snapshot(), store.pool().snapshot());
    let options = |store: &ObjectStore| {
        let StoreOptions {
            object_bytes_max,
            key_bytes_max,
            eviction,
            watermarks,
            ..
        } = store.options().clone();
        (object_bytes_max, key_bytes_max, eviction, watermarks)
    };
    assert_eq!(options(&again), options(&store));
    assert_eq!(descriptors(&again), descriptors(&store));
    let (stats, stats_again) = (store.stats(), again.stats());
    assert_eq!(stats_again.live_bytes, stats.live_bytes);
    assert_eq!((stats_again.objects, stats_again.pinned), (4, 1));
    let space = |store: &ObjectStore| {
        let total = store.pool().stats().total;
        (
            total.live_bytes,
            total.free_bytes,
            total.largest_hole,
            total.holes,
        )
    };
    assert_eq!(space(&again), space(&store));
}

#[test]
fn the_order_of_last_use_comes_back() {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, &[300]);
    let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
    let keys: [&[u8]; 3] = [b"a", b"b", b"c"];
    keys.iter()
        .for_each(|key| put(&store, key, &Request::new(100)));
    drop(store.get(b"a"));
    let store = restore(&store.snapshot()).unwrap().store;
    for (key, victim) in [(b"d", b"b"), (b"e", b"c"), (b"f", b"a")] {
        assert!(store.contains(victim));
        put(&store, key, &Request::new(100));
        assert!(!store.contains(victim));
    }
}

#[test]
fn states_of_segments_come_back_and_their_objects_with_them() {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, &[100; 5]);
    let store = ObjectStore::new(pool.clone(), StoreOptions::default()).unwrap();
    for number in 0..5_u8 {
        put(&store, &[number], &Request::new(100));
    }
    let holder = |segment: u128| {
        let is_there = |number: &u8| {
            store.get(&[*number]).unwrap().replicas()[0].segment_id() == SegmentId(segment)
        };
        (0..5).find(is_there).unwrap()
    };
    let holders = [1, 2, 3, 4, 5].map(holder);
    pool.drain(SegmentId(2)).unwrap();
    pool.unmount_gracefully(SegmentId(3)).unwrap();
    store.remove(&[holders[3]]).unwrap();
    pool.drain(SegmentId(4)).unwrap();
    pool.finish_drain(SegmentId(4)).unwrap();
    pool.begin_unmount(SegmentId(5)).unwrap();

    let Restored {
        store: again,
        dropped,
    } = restore(&store.snapshot()).unwrap();
    let states: Vec<SegmentState> = again.pool().segments().iter().map(|s| s.state).collect();
    use SegmentState::{Drained, Draining, GracefullyUnmounting, Ok, Unmounting};
    assert_eq!(
        states,
        [Ok, Draining, GracefullyUnmounting, Drained, Unmounting]
    );
    let is_there = |segment: usize| again.get(&[holders[segment]]).is_some();
    assert_eq!(
        [0, 1, 2, 3, 4].map(is_there),
        [true, true, true, false, false]
    );
    // What was in the segment that is being unmounted is no object any more.
    assert!(matches!(
        &dropped[..],
        [Dropped::Replica {
            segment: SegmentId(5),
            ..
        }]
    ));
}

#[test]
fn leases_and_puts_in_flight_do_not_come_back() {
    let store = small_store();
    let lease = store.get_for(b"pair", std::time::Duration::MAX).unwrap();
    let in_flight = store.put(b"in flight", &Request::new(5)).unwrap();
    let again = restore(&store.snapshot()).unwrap().store;
    drop((lease, in_flight));
    assert_eq!(again.remove(b"pair"), Ok(()));
    assert!(!again.contains(b"in flight"));
    assert_eq!(again.stats().in_flight, 0);
}

/// Checks a store that was restored of damaged bytes: it has nothing that the
/// whole one had not, and what is missing is counted.
#[track_caller]
fn check_part(restored: &Restored, whole: &[Option<Vec<BufferDescriptor>>]) {
    let Restored { store, dropped } = restored;
    store.check_invariants();
    let parts = descriptors(store);
    for (part, whole) in parts.iter().zip(whole) {
        assert!(part.is_none() || part == whole, "{part:?} of {whole:?}");
    }
    let missing = parts.iter().filter(|part| part.is_none()).count() as u64;
    let counted = dropped.iter().map(|dropped| match dropped {
        Dropped::Objects { count } => *count,
        _ => 0,
    });
    assert_eq!(counted.sum::<u64>(), missing, "{dropped:?}");
    let is_damage = |dropped: &Dropped| matches!(dropped, Dropped::Damaged { .. });
    assert!(dropped.iter().any(is_damage), "{dropped:?}");
}

#[test]
fn a_file_cut_anywhere_gives_the_objects_before_the_cut() {
    let store = small_store();
    let (bytes, whole) = (store.snapshot(), descriptors(&store));
    let mut objects_before = 0;
    for len in 0..bytes.len() {
        match restore(&bytes[..len]) {
            Ok(restored) => {
                check_part(&restored, &whole);
                let objects = restored.store.stats().objects;
                assert!(objects >= objects_before, "cut at {len}");
                objects_before = objects;
            }
            Err(LoadError::Format(FormatError::TooShort { len_bytes })) => {
                assert!(len_bytes == len && len < 16);
            }
            Err(LoadError::SegmentsLost { len_bytes, .. }) => {
                assert!(len_bytes == len as u64 && objects_before == 0);
            }
            Err(error) => panic!("cut at {len}: {error}"),
        }
    }
    assert_eq!(objects_before, 4, "a cut at the end costs no object");
}

#[test]
fn a_changed_bit_costs_one_object_at_most() {
    let store = small_store();
    let (bytes, whole) = (store.snapshot(), descriptors(&store));
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match restore(&changed) {
            Ok(restored) => {
                check_part(&restored, &whole);
                assert!(restored.store.stats().objects >= 3, "bit {bit}");
            }
            Err(LoadError::Format(_)) => assert!(bit / 8 < 8, "bit {bit}"),
            Err(LoadError::SegmentsLost { .. }) => assert!((8..16).contains(&(bit / 8))),
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
}

#[test]
fn records_that_are_there_twice_give_one_object() {
    let store = small_store();
    let bytes = store.snapshot();
    let mut twice = bytes.clone();
    twice.extend_from_slice(&bytes[16..]);
    let Restored {
        store: again,
        dropped,
    } = restore(&twice).unwrap();
    again.check_invariants();
    assert_eq!(descriptors(&again), descriptors(&store));
    assert_eq!(dropped.len(), 4);
    let is_double = |dropped: &Dropped| matches!(dropped, Dropped::Duplicate { .. });
    assert!(dropped.iter().all(is_double), "{dropped:?}");
}

#[test]
fn options_can_be_changed_when_a_store_is_restored() {
    let change = |saved: StoreOptions| StoreOptions {
        object_bytes_max: 10,
        ..saved
    };
    let bytes = small_store().snapshot();
    let restored = ObjectStore::restore(&bytes, change, |_| Memory::Remote).unwrap();
    assert!(restored.is_whole());
    assert!(restored.store.put(b"new", &Request::new(11)).is_err());
    assert_eq!(restored.store.options().key_bytes_max, 100);
}

#[test]
fn memory_that_is_too_short_is_named() {
    use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
    let bytes = small_store().snapshot();
    let mapped = PoolOptions::new(4_096)
        .pages(PagePolicy::Off)
        .map()
        .unwrap();
    let memory = Memory::pool(PoolBytes::new(mapped));
    let error = ObjectStore::restore(&bytes, |saved| saved, |_| memory.clone()).unwrap_err();
    assert!(matches!(error, LoadError::Pool(_)), "{error}");
}

#[test]
fn a_saved_file_is_loaded_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let load = |path: &Path| ObjectStore::load(path, |saved| saved, |_| Memory::Remote);
    let absent = load(&path).unwrap_err();
    assert!(absent.to_string().contains("store"), "{absent}");

    let store = small_store();
    store.save(&path).unwrap();
    assert_eq!(load(&path).unwrap().store.stats().objects, 4);
    store.remove(b"pair").unwrap();
    store.save(&path).unwrap();
    let restored = load(&path).unwrap();
    assert!(restored.is_whole());
    assert_eq!(restored.store.stats().objects, 3);

    let elsewhere = directory.path().join("absent/store");
    let error = store.save(&elsewhere).unwrap_err();
    assert!(error.to_string().contains("absent/store"), "{error}");
}

#[test]
fn a_hundred_thousand_objects_take_less_than_a_second() {
    let pool = pool(Strategy::CapacityWeighted, 1);
    for id in 1..=10 {
        let info = info(id, 3 << 30);
        pool.mount(mc_segment::Segment::remote(info)).unwrap();
    }
    let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
    for number in 0..100_000_u32 {
        let request = Request::new(4_096 + u64::from(number % 1_000) * 512);
        put(&store, &number.to_be_bytes(), &request);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let start = Instant::now();
    store.save(&path).unwrap();
    let saved = start.elapsed();
    let restored = ObjectStore::load(&path, |saved| saved, |_| Memory::Remote).unwrap();
    let loaded = start.elapsed() - saved;
    assert!(restored.is_whole());
    assert_eq!(restored.store.stats().objects, 100_000);
    restored.store.check_invariants();
    println!("saved in {saved:?}, loaded in {loaded:?}");
    // Unoptimized code on a busy machine is given ten times as long.
    assert!((saved + loaded).as_secs() < 10, "{saved:?} and {loaded:?}");
}
