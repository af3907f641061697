//! An object that nobody can read does not exist: at once, for every call.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{convert::Infallible, time::Duration};

use crate::common::objects::{key, numbers, put, put_as, put_in, store_of};
use mc_segment::{Replicas, Segment, SegmentId, SegmentInfo};
use mc_store::{
    AddReplicaError, Cause, EventKind, Lease, ObjectStore, PutRequest, Removal, RemoveError,
    StoreOptions,
};

const FIRST: SegmentId = SegmentId(1);

type Death = fn(&ObjectStore);
type Call = fn(&ObjectStore, &[u8]);
type Hold = fn(&ObjectStore) -> Option<Lease>;

/// Ways for the objects of the first segment to die.
const DEATHS: [(&str, Death); 4] = [
    ("half unmounted", |store| {
        store.pool().begin_unmount(FIRST).unwrap();
    }),
    ("unmounted", |store| {
        store.pool().begin_unmount(FIRST).unwrap();
        store.pool().finish_unmount(FIRST).unwrap();
    }),
    ("drained and unmounted by the store", |store| {
        store.pool().drain(FIRST).unwrap();
        store.unmount(FIRST).unwrap();
    }),
    ("replaced", |store| {
        let info = store.pool().info(FIRST).unwrap();
        let info = SegmentInfo { epoch: 9, ..info };
        store.pool().mount(Segment::remote(info)).unwrap();
    }),
];

/// What a call does for a key that is not stored.
const CALLS: [(&str, Call); 19] = [
    ("exists", |store, key| assert!(!store.exists(key))),
    ("get", |store, key| assert!(store.get(key).is_none())),
    ("get_for", |store, key| {
        assert!(store.get_for(key, Duration::from_secs(1)).is_none());
    }),
    ("get_many", |store, key| {
        assert!(store.get_many(&[key]).is_empty());
    }),
    ("read", |store, key| {
        assert!(store.read(key).unwrap().is_none());
    }),
    ("put", |store, key| {
        let put = store.put(key, &PutRequest::new(1)).unwrap();
        put.commit().unwrap();
        assert!(store.exists(key));
        store.remove(key, Removal::IfIdle).unwrap();
    }),
    ("put without a commit", |store, key| {
        drop(store.put(key, &PutRequest::new(1)).unwrap());
    }),
    ("remove if idle", |store, key| {
        let removed = store.remove(key, Removal::IfIdle);
        assert_eq!(removed, Err(RemoveError::NotStored));
    }),
    ("detach", |store, key| {
        let removed = store.remove(key, Removal::Detach);
        assert_eq!(removed, Err(RemoveError::NotStored));
    }),
    ("remove now", |store, key| {
        let removed = store.remove(key, Removal::Now);
        assert_eq!(removed, Err(RemoveError::NotStored));
    }),
    ("remove_many", |store, key| {
        let removed = store.remove_many(&[key, b"no other"], Removal::Now);
        assert_eq!(removed, [Err(RemoveError::NotStored); 2]);
    }),
    ("pin", |store, key| assert!(!store.pin(key))),
    ("unpin", |store, key| assert!(!store.unpin(key))),
    ("end_lease", |store, key| assert!(!store.end_lease(key))),
    ("keys", |store, key| {
        assert!(store.keys().iter().all(|other| **other != *key));
    }),
    ("stats", |store, _| {
        let stats = store.stats();
        assert_eq!((stats.objects, stats.pinned, stats.live_bytes), (1, 0, 10));
    }),
    ("add_replica", |store, key| {
        let Ok(added) = store.add_replica(key, |_, _| Ok::<(), Infallible>(()));
        assert_eq!(added, Err(AddReplicaError::NotStored));
    }),
    ("under_replicated", |store, _| {
        assert!(store.under_replicated().is_empty());
    }),
    ("move_out", |store, _| {
        let Ok(moved) = store.move_out(FIRST, |_, _| Ok::<(), Infallible>(()));
        assert_eq!((moved.replicas, moved.left.len()), (0, 0));
    }),
];

/// What else holds for the objects that die.
const HOLDS: [(&str, Hold); 4] = [
    ("idle", |_| None),
    ("held", |store| store.get(&key(0))),
    ("leased", |store| {
        drop(store.get_for(&key(0), Duration::from_secs(100)));
        None
    }),
    ("pinned", |store| {
        assert!(store.pin(&key(0)));
        None
    }),
];

fn store_with_two(copies: u32) -> ObjectStore {
    let store = store_of(&[100, 100], StoreOptions::default());
    let request = PutRequest {
        replicas: Replicas {
            count: copies,
            policy: mc_segment::ReplicaPolicy::BestEffort,
        },
        preferred: &[FIRST],
        ..PutRequest::new(10)
    };
    put_as(&store, 0, &request).unwrap();
    put_in(&store, 2, 1, 10);
    store
}

#[test]
fn no_call_finds_an_object_without_a_readable_replica() {
    for (death, die) in DEATHS {
        for (call, ask) in CALLS {
            for (hold, take) in HOLDS {
                let store = store_with_two(1);
                let held = take(&store);
                die(&store);
                let ask = || ask(&store, &key(0));
                let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
                assert!(asked.is_ok(), "{call}, {hold}, {death}");
                store.check_invariants();
                drop(held);
                assert_eq!(store.stats().objects, 1, "{call}, {hold}, {death}");
                assert_eq!(numbers(&store).len(), 1);
                store.check_invariants();
            }
        }
    }
}

#[test]
fn an_object_with_another_replica_exists_for_every_call() {
    for (death, die) in DEATHS {
        let store = store_with_two(2);
        die(&store);
        assert!(store.exists(&key(0)), "{death}");
        assert_eq!(store.get(&key(0)).unwrap().descriptors().len(), 1);
        assert_eq!(store.get_many(&[key(0), key(1)]).len(), 2);
        assert_eq!((store.keys().len(), store.stats().objects), (2, 2));
        assert!(store.put(&key(0), &PutRequest::new(1)).is_err());
        assert!(store.pin(&key(0)) && store.unpin(&key(0)));
        assert_eq!(store.remove(&key(0), Removal::IfIdle), Ok(()));
        store.check_invariants();
    }
}

#[test]
fn get_many_ends_before_the_first_that_is_dead() {
    for (death, die) in DEATHS {
        let store = store_of(&[1_000, 1_000], StoreOptions::default());
        for number in 0..10 {
            put_in(&store, if number == 6 { 1 } else { 2 }, number, 10);
        }
        let keys: Vec<_> = (0..10).map(key).collect();
        assert_eq!(store.get_many(&keys).len(), 10);
        die(&store);
        assert_eq!(store.get_many(&keys).len(), 6, "{death}");
    }
}

#[test]
fn a_held_lease_of_a_dead_object_says_that_it_is_dead() {
    for (death, die) in DEATHS {
        let store = store_with_two(1);
        let held = store.get(&key(0)).unwrap();
        die(&store);
        assert!(
            held.descriptors().is_empty() && held.read().is_err(),
            "{death}"
        );
        put_in(&store, 2, 0, 20);
        assert_eq!(store.get(&key(0)).unwrap().size(), 20);
        assert_eq!((held.key(), held.size()), (&key(0)[..], 10));
        drop(held);
        assert!(store.exists(&key(0)));
        store.check_invariants();
    }
}

#[test]
fn a_put_whose_segment_died_is_not_committed() {
    for (death, die) in DEATHS {
        for count in [1, 5] {
            let store = store_of(&[100, 100], StoreOptions::default());
            let request = PutRequest {
                preferred: &[FIRST],
                ..PutRequest::new(10)
            };
            let put_one = |number| store.put(&key(number), &request).unwrap();
            let puts: Vec<_> = (0..count).map(put_one).collect();
            die(&store);
            for put in puts {
                assert!(put.commit().is_err(), "{death}");
            }
            assert_eq!((store.stats().in_flight, store.keys().len()), (0, 0));
            (0..count).for_each(|number| put(&store, number, 10));
            store.check_invariants();
        }
    }
}

#[test]
fn the_dead_are_told_and_counted_once() {
    for (death, die) in DEATHS {
        for count in [3, 100] {
            let store = store_of(&[1_000, 1_000], StoreOptions::default());
            (0..count).for_each(|number| put_in(&store, 1, number, 10));
            put_in(&store, 2, 1_000, 10);
            let events = store.events(1_000);
            die(&store);
            assert!(store.get(&key(1)).is_none());
            let dropped = store.drop_unreadable().len();
            assert!(dropped < usize::try_from(count).unwrap(), "{death}");
            assert!(store.drop_unreadable().is_empty());
            let mut told = events.drain();
            told.sort_by(|a, b| a.key.cmp(&b.key));
            assert_eq!(told.len() as u64, count);
            for (number, event) in (0..).zip(&told) {
                assert_eq!((*event.key).to_vec(), key(number));
                let expected = (10, EventKind::Left(Cause::Unreadable));
                assert_eq!((event.bytes, event.kind), expected);
            }
            let stats = store.stats();
            assert_eq!(stats.unreadable.objects, count);
            assert_eq!(stats.unreadable.bytes, 10 * count);
            store.check_invariants();
        }
    }
}
