//! The terms of a put hold for every place that the object is ever in.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::collections::BTreeSet;

use crate::common::{
    info, memory, mount_local,
    objects::{
        EVICTIONS, assert_all_space_is_of_objects, assert_all_space_is_of_replicas, key,
        local_store_of, numbers, put, put_as, put_in, segments_of, store_of,
    },
    pool,
};
use mc_segment::{
    BufferDescriptor, Memory, ReplicaPolicy, Replicas, Segment, SegmentId, SegmentInfo, Strategy,
};
use mc_store::{ObjectStore, PutRequest, StoreOptions, copy_bytes};

const MIB: u64 = 1 << 20;
const FIRST: SegmentId = SegmentId(1);

fn with_eviction(eviction: mc_store::Eviction) -> StoreOptions {
    StoreOptions {
        eviction,
        ..StoreOptions::default()
    }
}

fn places(store: &ObjectStore, number: u64) -> Vec<BufferDescriptor> {
    store.get(&key(number)).unwrap().descriptors()
}

fn copy_nothing(
    _: &mc_segment::PlacedBuffer,
    _: &mut mc_segment::PlacedBuffer,
) -> Result<(), std::convert::Infallible> {
    Ok(())
}

fn move_out(store: &ObjectStore, id: SegmentId) -> mc_store::Moved {
    store.pool().drain(id).unwrap();
    let Ok(moved) = store.move_out(id, copy_nothing);
    moved
}

#[test]
fn moved_objects_keep_their_alignment() {
    for eviction in EVICTIONS {
        for (align, odd, count) in [(4_096, 100, 8), (64, 1, 50), (1 << 20, 5, 6)] {
            let size = |number: u64| align * (number + 1) + odd;
            let bytes: u64 = (0..count).map(|number| size(number) + align).sum();
            let store = store_of(&[bytes, 3 * bytes], with_eviction(eviction));
            // What is there makes holes begin anywhere.
            put_in(&store, 2, 1_000, odd);
            for number in 0..count {
                let request = PutRequest {
                    align,
                    preferred: &[FIRST],
                    ..PutRequest::new(size(number))
                };
                put_as(&store, number, &request).unwrap();
            }
            let moved = move_out(&store, FIRST);
            assert_eq!((moved.replicas, moved.left.len()), (count, 0));
            for number in 0..count {
                let place = &places(&store, number)[0];
                assert_eq!(place.segment, SegmentId(2));
                assert_eq!(place.address % align, 0, "{number} of {align}");
            }
            assert_all_space_is_of_objects(&store);
        }
    }
}

#[test]
fn moved_objects_may_be_in_pieces_as_their_puts_allowed() {
    for eviction in EVICTIONS {
        for (unit, extents, is_moved) in [(MIB, 4, true), (7, 2, true), (MIB, 1, false)] {
            let store = store_of(&[48 * unit, 90 * unit], with_eviction(eviction));
            let request = PutRequest {
                max_extents: extents,
                preferred: &[FIRST],
                ..PutRequest::new(48 * unit)
            };
            put_as(&store, 0, &request).unwrap();
            // Two holes of 30 with a pinned object in between.
            (1..=3).for_each(|number| put_in(&store, 2, number, 30 * unit));
            assert!(store.pin(&key(2)));
            for number in [1, 3] {
                store
                    .remove(&key(number), mc_store::Removal::IfIdle)
                    .unwrap();
            }
            let moved = move_out(&store, FIRST);
            let expected = if is_moved { (1, 0) } else { (0, 1) };
            assert_eq!((moved.replicas, moved.left.len() as u64), expected);
            let place = &places(&store, 0)[0];
            assert_eq!(place.segment == SegmentId(2), is_moved);
            assert!(place.extents.len() <= extents as usize);
            assert_all_space_is_of_objects(&store);
        }
    }
}

#[test]
fn objects_never_move_to_segments_that_their_puts_excluded() {
    for eviction in EVICTIONS {
        for unit in [1, 5_000] {
            let store = store_of(&[10 * unit, 10 * unit, 5 * unit], with_eviction(eviction));
            let excluded = [SegmentId(2)];
            let request = PutRequest {
                preferred: &[FIRST],
                excluded: &excluded,
                ..PutRequest::new(unit)
            };
            for number in 0..10 {
                put_as(&store, number, &request).unwrap();
            }
            let moved = move_out(&store, FIRST);
            assert_eq!((moved.replicas, moved.left.len()), (5, 5));
            let added = store.add_replica(&key(0), copy_nothing).unwrap();
            // A replica may be added in the last segment only.
            assert!(added.is_err() || segments_of(&store, 0).contains(&3));
            for number in numbers(&store) {
                assert!(!segments_of(&store, number).contains(&2));
            }
        }
    }
}

/// Returns a store of segments on hosts, as many on each.
fn store_on_hosts(hosts: u64, each: u64, size: u64, strategy: Strategy, seed: u64) -> ObjectStore {
    let pool = pool(strategy, seed);
    for number in 0..hosts * each {
        let info = SegmentInfo {
            host: format!("host-{}", number / each),
            ..info(u128::from(number + 1), size)
        };
        pool.mount(Segment::remote(info)).unwrap();
    }
    ObjectStore::new(pool, StoreOptions::default()).unwrap()
}

fn hosts(store: &ObjectStore, number: u64) -> BTreeSet<String> {
    let lease = store.get(&key(number)).unwrap();
    let readable = lease.replicas().filter(|replica| replica.is_readable());
    readable
        .map(|replica| replica.segment().host.clone())
        .collect()
}

#[test]
fn replicas_are_on_distinct_hosts_as_long_as_there_are_any() {
    for strategy in Strategy::ALL {
        for (host_count, each, copies) in [(3, 2, 2), (2, 5, 2), (4, 3, 3), (2, 2, 3)] {
            let store = store_on_hosts(host_count, each, 100_000, strategy, 7);
            let request = PutRequest {
                replicas: Replicas::exact(copies),
                host: "host-1",
                ..PutRequest::new(100)
            };
            for number in 0..600 {
                put_as(&store, number, &request).unwrap();
                let expected = u64::from(copies).min(host_count);
                let found = hosts(&store, number).len() as u64;
                assert_eq!(found, expected, "{strategy:?}, {host_count} hosts");
            }
        }
    }
}

#[test]
fn moved_and_added_replicas_are_on_distinct_hosts() {
    for strategy in Strategy::ALL {
        for (host_count, each) in [(3, 2), (4, 4)] {
            let store = store_on_hosts(host_count, each, 100_000, strategy, 3);
            for number in 0..200 {
                let request = PutRequest {
                    replicas: Replicas::exact(1 + u32::try_from(number % 2).unwrap()),
                    ..PutRequest::new(100)
                };
                put_as(&store, number, &request).unwrap();
            }
            // Some strategies have placed nothing there.
            assert!(move_out(&store, FIRST).left.is_empty());
            for number in 0..200 {
                if number % 2 == 0 {
                    let added = store.add_replica(&key(number), copy_nothing).unwrap();
                    assert_eq!(added, Ok(()));
                }
                assert_eq!(hosts(&store, number).len(), 2, "{strategy:?}: {number}");
            }
        }
    }
}

#[test]
fn a_moved_object_stays_with_its_writers_host() {
    for each in [2, 3] {
        let store = store_on_hosts(3, each, 100_000, Strategy::LocalFirst, 3);
        let request = PutRequest {
            host: "host-1",
            ..PutRequest::new(100)
        };
        for number in 0..100 {
            put_as(&store, number, &request).unwrap();
        }
        let id = SegmentId(u128::from(each) + 1);
        let moved = move_out(&store, id);
        assert!(moved.replicas > 0 && moved.left.is_empty());
        for number in 0..100 {
            assert_eq!(hosts(&store, number), BTreeSet::from(["host-1".to_owned()]));
        }
    }
}

#[test]
fn replicas_never_share_the_name_of_a_segment() {
    for copies in [2, 3] {
        // Two segments have one name.
        let pool = pool(Strategy::Random, 1);
        for (id, name) in [(1, "a"), (2, "a"), (3, "b"), (4, "c")] {
            let info = SegmentInfo {
                name: name.into(),
                ..info(id, 1_000)
            };
            pool.mount(Segment::remote(info)).unwrap();
        }
        let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
        let request = PutRequest {
            replicas: Replicas::exact(copies),
            ..PutRequest::new(100)
        };
        for number in 0..7 {
            put_as(&store, number, &request).unwrap();
        }
        let moved = move_out(&store, SegmentId(3));
        for number in numbers(&store) {
            let lease = store.get(&key(number)).unwrap();
            let names = lease
                .replicas()
                .map(|replica| replica.segment().name.clone());
            assert_eq!(names.collect::<BTreeSet<_>>().len(), copies as usize);
        }
        // With three copies there is no name that is free.
        assert_eq!(moved.replicas == 0, copies == 3);
    }
}

#[test]
fn who_lost_a_replica_is_named_and_can_have_one_again() {
    for (copies, size) in [(2, 300), (3, 4_000)] {
        let store = local_store_of(&[64_000; 5], StoreOptions::default());
        for number in 0..12 {
            let request = PutRequest {
                replicas: Replicas {
                    count: copies,
                    policy: ReplicaPolicy::BestEffort,
                },
                ..PutRequest::new(size)
            };
            let mut put = store.put(&key(number), &request).unwrap();
            for replica in put.replicas_mut().iter_mut() {
                let bytes = vec![u8::try_from(number).unwrap(); usize::try_from(size).unwrap()];
                replica.write_at(0, &bytes).unwrap();
            }
            put.commit().unwrap();
        }
        put_in(&store, 1, 100, 1);
        assert!(store.under_replicated().is_empty());
        let inside: BTreeSet<u64> = (0..12)
            .filter(|&number| segments_of(&store, number).contains(&1))
            .collect();
        let unmounted = store.unmount(FIRST).unwrap();
        assert_eq!(unmounted.lost, [key(100).into()]);
        let named = |all: &[mc_store::UnderReplicated]| -> BTreeSet<u64> {
            assert!(
                all.iter()
                    .all(|one| (one.readable, one.wanted) == (copies - 1, copies))
            );
            let numbers = all
                .iter()
                .map(|one| crate::common::objects::number_of(&one.key));
            numbers.collect()
        };
        assert_eq!(named(&unmounted.survivors), inside);
        assert_eq!(named(&store.under_replicated()), inside);
        for &number in &inside {
            let added = store.add_replica(&key(number), copy_bytes).unwrap();
            assert_eq!(added, Ok(()));
        }
        assert!(store.under_replicated().is_empty());
        for number in 0..12 {
            let lease = store.get(&key(number)).unwrap();
            assert_eq!(lease.descriptors().len(), copies as usize);
            for replica in lease.replicas().filter(|replica| replica.is_readable()) {
                let mut bytes = vec![0; usize::try_from(size).unwrap()];
                replica.read_at(0, &mut bytes).unwrap();
                assert!(bytes.iter().all(|&byte| u64::from(byte) == number));
            }
        }
        store.check_invariants();
    }
}

#[test]
fn a_restarted_hosts_epoch_replaces_the_older_one() {
    for (copies, count) in [(1, 10), (2, 40)] {
        let pool = pool(Strategy::Random, 1);
        mount_local(&pool, &[100_000, 100_000]);
        let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
        for number in 0..count {
            let request = PutRequest {
                replicas: Replicas::exact(copies),
                preferred: &[FIRST],
                ..PutRequest::new(50)
            };
            put_as(&store, number, &request).unwrap();
        }
        let restarted = || {
            let info = SegmentInfo {
                epoch: 5,
                ..info(1, 100_000)
            };
            Segment::local(info, Memory::pool(memory(100_000)))
        };
        store.pool().mount(restarted()).unwrap();
        let expected = if copies == 1 { 0 } else { count };
        assert_eq!(numbers(&store).len() as u64, expected);
        for number in 0..count {
            assert_eq!(store.exists(&key(number)), copies == 2);
        }
        if copies == 2 {
            assert_eq!(store.under_replicated().len() as u64, count);
            assert_eq!(segments_of(&store, 0), [2]);
        }
        // What is put now is of the new epoch, which descriptors say.
        put_in(&store, 1, 1_000, 50);
        assert_eq!(places(&store, 1_000)[0].epoch, 5);
        let older = SegmentInfo {
            epoch: 4,
            ..info(1, 100_000)
        };
        let refused = store
            .pool()
            .mount(Segment::local(older, Memory::pool(memory(100_000))));
        assert!(refused.is_err());
        assert!(store.exists(&key(1_000)));
        put(&store, 1_001, 50);
        assert_all_space_is_of_replicas(&store);
    }
}
