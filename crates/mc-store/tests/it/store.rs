//! Keys, leases, pins and limits of an object store.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::common::{info, mount_sizes, pool};
use mc_segment::{PlacementError, Replicas, Segment, SegmentId, Strategy};
use mc_store::{
    Clock, ObjectStore, PutError, PutRequest, Removal, RemoveError, StoreOptions,
    StoreOptionsError, Watermarks,
};

fn store_with(sizes: &[u64], options: StoreOptions) -> ObjectStore {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, sizes);
    ObjectStore::new(pool, options).unwrap()
}

fn store(sizes: &[u64]) -> ObjectStore {
    store_with(sizes, StoreOptions::default())
}

#[track_caller]
fn put(store: &ObjectStore, key: &str, size: u64) {
    store
        .put(key.as_bytes(), &PutRequest::new(size))
        .unwrap()
        .commit()
        .unwrap();
    store.check_invariants();
}

/// Puts objects of 100 bytes.
#[track_caller]
fn put_all(store: &ObjectStore, keys: &[&str]) {
    keys.iter().for_each(|key| put(store, key, 100));
}

fn keys<'a>(store: &ObjectStore, keys: &[&'a str]) -> Vec<&'a str> {
    let is_stored = |key: &&str| store.exists(key.as_bytes());
    keys.iter().copied().filter(is_stored).collect()
}

/// Returns a clock and the seconds that it shows.
fn clock_by_hand() -> (Clock, Arc<AtomicU64>) {
    let seconds = Arc::new(AtomicU64::new(1_000));
    let shown = Arc::clone(&seconds);
    let clock = Clock::new(move || Duration::from_secs(shown.load(Ordering::Relaxed)));
    (clock, seconds)
}

#[test]
fn objects_are_readable_after_the_commit_and_not_before() {
    let store = store(&[1_000]);
    let put = store.put(b"a", &PutRequest::new(300)).unwrap();
    assert!(store.get(b"a").is_none() && !store.exists(b"a"));
    let address = put.replicas()[0].address();
    put.commit().unwrap();
    let lease = store.get(b"a").unwrap();
    assert_eq!((lease.key(), lease.size()), (&b"a"[..], 300));
    assert_eq!(lease.descriptors()[0].address, address);
    let stats = store.stats();
    assert_eq!(
        (stats.hits, stats.misses, stats.committed_bytes),
        (1, 1, 300)
    );
}

#[test]
fn dropped_puts_give_space_and_key_back() {
    let store = store(&[1_000]);
    for _ in 0..3 {
        let put = store.put(b"a", &PutRequest::new(1_000)).unwrap();
        assert_eq!(store.stats().in_flight, 1);
        drop(put);
    }
    let stats = store.stats();
    assert_eq!((stats.in_flight, stats.abandoned, stats.objects), (0, 3, 0));
    assert_eq!(store.pool().stats().total.free_bytes, 1_000);
    store.check_invariants();
}

#[test]
fn keys_are_put_once() {
    let store = store(&[1_000]);
    let first = store.put(b"a", &PutRequest::new(1)).unwrap();
    let again = || store.put(b"a", &PutRequest::new(1)).map(drop).unwrap_err();
    assert_eq!(again(), PutError::InFlight);
    first.commit().unwrap();
    assert_eq!(again(), PutError::Exists);
    assert_eq!(store.stats().refused.key_taken, 2);
}

#[test]
fn limits_are_errors_with_their_numbers() {
    let options = StoreOptions {
        object_bytes_max: 500,
        key_bytes_max: 3,
        ..StoreOptions::default()
    };
    let store = store_with(&[1_000], options);
    let refusal = |key: &[u8], size| {
        store
            .put(key, &PutRequest::new(size))
            .map(drop)
            .unwrap_err()
    };
    assert_eq!(
        refusal(b"a", 501).to_string(),
        "an object of 501 bytes is larger than the 500 that are allowed"
    );
    assert_eq!(
        refusal(b"abcd", 1).to_string(),
        "a key of 4 bytes is longer than the 3 that are allowed"
    );
    let with_parent = PutRequest {
        parent: Some(b"before"),
        ..PutRequest::new(1)
    };
    let of_parent = store.put(b"a", &with_parent).map(drop).unwrap_err();
    let (key_bytes, key_bytes_max) = (6, 3);
    let too_long = PutError::KeyTooLong {
        key_bytes,
        key_bytes_max,
    };
    assert_eq!(of_parent, too_long);
    assert_eq!(refusal(b"a", 0), PutError::Place(PlacementError::ZeroSize));
    let stats = store.stats();
    assert_eq!((stats.refused.too_large, stats.refused.impossible), (3, 1));
    assert_eq!((stats.in_flight, stats.abandoned), (0, 0));
    put(&store, "abc", 500);
}

#[test]
fn objects_larger_than_every_segment_evict_nothing() {
    let store = store(&[1_000, 1_000]);
    put(&store, "a", 900);
    let refusal = store
        .put(b"b", &PutRequest::new(1_001))
        .map(drop)
        .unwrap_err();
    assert!(matches!(
        refusal,
        PutError::Place(PlacementError::NoSegment { .. })
    ));
    assert_eq!(keys(&store, &["a"]), ["a"]);
}

#[test]
fn the_object_used_longest_ago_leaves_first() {
    let store = store(&[300]);
    put_all(&store, &["a", "b", "c"]);
    drop(store.get(b"a"));
    put(&store, "d", 100);
    assert_eq!(keys(&store, &["a", "b", "c", "d"]), ["a", "c", "d"]);
    // Asking whether a key is stored is no use of it.
    put(&store, "e", 100);
    assert_eq!(keys(&store, &["a", "c", "d", "e"]), ["a", "d", "e"]);
    let evicted = store.stats().on_demand;
    assert_eq!((evicted.objects, evicted.bytes), (2, 200));
}

#[test]
fn held_leases_keep_objects() {
    let store = store(&[300]);
    put_all(&store, &["a", "b", "c"]);
    let lease = store.get(b"a").unwrap();
    let clone = lease.clone();
    drop(lease);
    assert_eq!(
        store.remove(b"a", Removal::IfIdle),
        Err(RemoveError::Leased)
    );
    for key in ["d", "e", "f"] {
        put(&store, key, 100);
    }
    assert_eq!(keys(&store, &["a", "d", "e", "f"]), ["a", "e", "f"]);
    let refusal = store
        .put(b"g", &PutRequest::new(300))
        .map(drop)
        .unwrap_err();
    assert!(matches!(refusal, PutError::NoRoom { .. }));
    drop(clone);
    put(&store, "g", 300);
    assert_eq!(store.stats().refused.no_space, 1);
}

#[test]
fn leases_with_a_time_end_with_it_and_a_clock_set_back_does_not_prolong_them() {
    let (clock, seconds) = clock_by_hand();
    let options = StoreOptions {
        clock,
        ..StoreOptions::default()
    };
    let store = store_with(&[100], options);
    put(&store, "a", 100);
    drop(store.get_for(b"a", Duration::from_secs(60)));
    // A shorter one does not end the longer one.
    drop(store.get_for(b"a", Duration::from_secs(1)));
    let is_leased = || store.remove(b"a", Removal::IfIdle) == Err(RemoveError::Leased);
    let refused = || store.put(b"b", &PutRequest::new(1)).is_err();
    // The 60 seconds are spent in steps of 30, 20 and 10, with the clock set
    // back in between.
    for (reading, leased) in [(1_030, true), (5, true), (25, true), (0, true), (9, true)] {
        seconds.store(reading, Ordering::Relaxed);
        assert_eq!((is_leased(), refused()), (leased, leased), "at {reading}");
    }
    seconds.store(10, Ordering::Relaxed);
    assert_eq!(store.remove(b"a", Removal::IfIdle), Ok(()));
}

#[test]
fn timed_leases_last_no_longer_than_the_options_allow() {
    let (clock, seconds) = clock_by_hand();
    let options = StoreOptions {
        clock,
        lease_max: Duration::from_secs(50),
        ..StoreOptions::default()
    };
    let store = store_with(&[100], options);
    put(&store, "a", 100);
    drop(store.get_for(b"a", Duration::MAX));
    seconds.store(1_049, Ordering::Relaxed);
    assert_eq!(
        store.remove(b"a", Removal::IfIdle),
        Err(RemoveError::Leased)
    );
    seconds.store(1_050, Ordering::Relaxed);
    put(&store, "b", 100);
    assert_eq!(keys(&store, &["a", "b"]), ["b"]);
}

#[test]
fn pinned_objects_stay_until_they_are_unpinned() {
    let store = store(&[300]);
    put_all(&store, &["a", "b", "c"]);
    assert!(store.pin(b"a") && store.pin(b"a") && !store.pin(b"x"));
    assert_eq!(
        store.remove(b"a", Removal::IfIdle),
        Err(RemoveError::Pinned)
    );
    put(&store, "d", 200);
    assert_eq!(keys(&store, &["a", "b", "c", "d"]), ["a", "d"]);
    assert!(store.put(b"e", &PutRequest::new(300)).is_err());
    // What was evicted in vain is gone, what is pinned is not.
    assert_eq!((store.stats().pinned, store.exists(b"a")), (1, true));
    assert!(store.unpin(b"a"));
    put(&store, "e", 300);
    assert_eq!(keys(&store, &["a", "d", "e"]), ["e"]);
}

#[test]
fn puts_in_flight_are_never_evicted() {
    let store = store(&[300]);
    let in_flight = store.put(b"a", &PutRequest::new(100)).unwrap();
    put(&store, "b", 100);
    put(&store, "c", 200);
    assert_eq!(keys(&store, &["b", "c"]), ["c"]);
    assert!(store.put(b"d", &PutRequest::new(201)).is_err());
    in_flight.commit().unwrap();
    put(&store, "e", 300);
    assert_eq!(keys(&store, &["a", "c", "e"]), ["e"]);
}

#[test]
fn removed_objects_are_gone() {
    let store = store(&[100]);
    put(&store, "a", 100);
    assert_eq!(store.remove(b"a", Removal::IfIdle), Ok(()));
    assert_eq!(
        store.remove(b"a", Removal::IfIdle),
        Err(RemoveError::NotStored)
    );
    let in_flight = store.put(b"a", &PutRequest::new(100)).unwrap();
    assert_eq!(
        store.remove(b"a", Removal::IfIdle),
        Err(RemoveError::NotStored)
    );
    drop(in_flight);
    assert_eq!(store.stats().removed, 1);
}

#[test]
fn replicas_are_made_room_for_under_distinct_names() {
    let store = store(&[300, 300, 300]);
    let request = PutRequest {
        replicas: Replicas::exact(2),
        ..PutRequest::new(100)
    };
    for number in 0..40_u32 {
        store
            .put(&number.to_le_bytes(), &request)
            .unwrap()
            .commit()
            .unwrap();
        store.check_invariants();
    }
    let stats = store.stats();
    assert_eq!(stats.refused.no_space, 0);
    // Nine places hold four pairs.
    assert!(stats.objects == 4, "{stats:?}");
    for number in 0..40_u32 {
        let Some(lease) = store.get(&number.to_le_bytes()) else {
            continue;
        };
        let ids: Vec<SegmentId> = lease.replicas().map(|r| r.segment_id()).collect();
        assert_ne!(ids[0], ids[1]);
    }
}

#[test]
fn objects_of_segments_that_went_away_are_dropped() {
    let store = store(&[300]);
    put_all(&store, &["a", "b", "c"]);
    let lease = store.get(b"c").unwrap();
    store.pool().begin_unmount(SegmentId(1)).unwrap();
    assert!(store.get(b"a").is_none());
    assert_eq!(store.drop_unreadable().len(), 2);
    assert!(lease.descriptors().is_empty());
    let stats = store.stats();
    assert_eq!((stats.objects, stats.unreadable.objects), (0, 3));
    store.pool().finish_unmount(SegmentId(1)).unwrap();
    store.pool().mount(Segment::remote(info(1, 300))).unwrap();
    put(&store, "a", 300);
    drop(lease);
    store.check_invariants();
}

#[test]
fn watermarks_keep_room_free() {
    let options = StoreOptions {
        watermarks: Some(Watermarks {
            high_percent: 90,
            low_percent: 50,
        }),
        ..StoreOptions::default()
    };
    let store = store_with(&[600, 400], options);
    let names: Vec<String> = (0..10).map(|number| format!("{number}")).collect();
    names[..9].iter().for_each(|key| put(&store, key, 100));
    assert_eq!(store.stats().by_watermark.objects, 0);
    put(&store, &names[9], 100);
    let stats = store.stats();
    assert_eq!((stats.live_bytes, stats.by_watermark.objects), (500, 5));
    assert!(names[5..].iter().all(|key| store.exists(key.as_bytes())));
}

#[test]
fn watermarks_out_of_order_are_refused() {
    for (low_percent, high_percent) in [(50, 50), (60, 50), (50, 101)] {
        let options = StoreOptions {
            watermarks: Some(Watermarks {
                high_percent,
                low_percent,
            }),
            ..StoreOptions::default()
        };
        let refusal = ObjectStore::new(pool(Strategy::Random, 1), options).unwrap_err();
        assert_eq!(
            refusal,
            StoreOptionsError::Watermarks {
                low_percent,
                high_percent
            }
        );
    }
}

#[test]
fn the_objects_of_a_drained_segment_move_and_keep_their_bytes() {
    use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
    use mc_segment::Memory;
    use mc_store::{Moved, copy_bytes};
    let pool = pool(Strategy::Random, 1);
    for id in 1..=3 {
        let mapped = PoolOptions::new(4_096)
            .pages(PagePolicy::Off)
            .map()
            .unwrap();
        let memory = Memory::pool(PoolBytes::new(mapped));
        pool.mount(Segment::local(info(id, 4_096), memory)).unwrap();
    }
    let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
    let pair = PutRequest {
        replicas: Replicas::exact(2),
        ..PutRequest::new(300)
    };
    for number in 0..9_u8 {
        let mut put = store.put(&[number], &pair).unwrap();
        for replica in put.replicas_mut().iter_mut() {
            replica.write_at(0, &[number; 300]).unwrap();
        }
        put.commit().unwrap();
    }
    store.pool().drain(SegmentId(1)).unwrap();
    let held: Vec<_> = (0..9).filter_map(|number| store.get(&[number])).collect();
    let moved = store.move_out(SegmentId(1), copy_bytes).unwrap();
    assert_eq!(
        (moved.replicas, !moved.left.is_empty()),
        (0, true),
        "all are leased"
    );
    drop(held);
    let moved = store.move_out(SegmentId(1), copy_bytes).unwrap();
    assert_eq!(moved.bytes, moved.replicas * 300);
    assert!(moved.left.is_empty(), "{moved:?}");
    assert!(moved.replicas > 0);
    store.check_invariants();
    store.pool().finish_drain(SegmentId(1)).unwrap();
    for number in 0..9_u8 {
        let lease = store.get(&[number]).unwrap();
        let ids: Vec<SegmentId> = lease.replicas().map(|r| r.segment_id()).collect();
        assert!(ids.len() == 2 && ids[0] != ids[1] && !ids.contains(&SegmentId(1)));
        for replica in lease.replicas() {
            let mut bytes = [0; 300];
            replica.read_at(0, &mut bytes).unwrap();
            assert_eq!(bytes, [number; 300]);
        }
    }
    let nothing = store.move_out(SegmentId(1), copy_bytes).unwrap();
    assert_eq!(nothing, Moved::default());
}

#[test]
fn a_segment_that_comes_back_has_none_of_the_objects_it_had() {
    let store = store(&[1000, 1000]);
    let twice = PutRequest {
        replicas: Replicas::exact(2),
        ..PutRequest::new(100)
    };
    store.put(b"old", &twice).unwrap().commit().unwrap();
    let (pool, id) = (store.pool(), SegmentId(1));
    pool.begin_unmount(id).unwrap();
    pool.finish_unmount(id).unwrap();
    pool.mount(Segment::remote(info(1, 1000))).unwrap();
    let there = PutRequest {
        preferred: &[id],
        ..PutRequest::new(100)
    };
    store.put(b"new", &there).unwrap().commit().unwrap();
    store.check_invariants();
    assert_eq!(store.get(b"old").unwrap().descriptors().len(), 1);
    pool.drain(id).unwrap();
    let moved = store.move_out(id, |from, _| {
        assert!(from.is_readable());
        Ok::<(), ()>(())
    });
    assert_eq!(moved.map(|moved| moved.replicas), Ok(1));
    assert_eq!(store.remove(b"old", Removal::IfIdle), Ok(()));
    store.check_invariants();
    assert_eq!(store.remove(b"new", Removal::IfIdle), Ok(()));
    store.check_invariants();
}

#[test]
fn leases_come_by_use_and_are_none() {
    let (clock, seconds) = clock_by_hand();
    let options = StoreOptions {
        clock,
        ..StoreOptions::default()
    };
    let store = store_with(&[4096], options);
    put_all(&store, &["a", "b", "c"]);
    let tail = PutRequest {
        parent: Some(b"c"),
        ..PutRequest::new(100)
    };
    store.put(b"tail", &tail).unwrap().commit().unwrap();
    for used in ["b", "a"] {
        seconds.fetch_add(1, Ordering::Relaxed);
        drop(store.get(used.as_bytes()).unwrap());
    }
    seconds.fetch_add(1, Ordering::Relaxed);
    let before = store.stats();
    for _ in 0..2 {
        let leases = store.leases_by_use();
        let keys: Vec<_> = leases.iter().map(|lease| lease.key().to_vec()).collect();
        assert_eq!(keys, [&b"a"[..], b"b", b"c", b"tail"]);
        let removed = store.remove(b"a", Removal::IfIdle);
        assert_eq!(removed, Err(RemoveError::Leased));
    }
    assert_eq!(store.stats(), before);
    store.check_invariants();
    store.remove(b"a", Removal::IfIdle).unwrap();
}
