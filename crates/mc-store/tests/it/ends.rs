//! Everything ends: leases, objects that are in use, and puts that are lost.

use std::time::Duration;

use crate::common::objects::{
    EVICTIONS, Hand, assert_all_space_is_of_objects, key, left, local_store_of, numbers,
    placed_bytes, put, put_as, refusal, store_of,
};
use mc_segment::SegmentId;
use mc_store::{
    CommitError, Eviction, ObjectStore, PolicyKind, PutError, PutRequest, Removal, RemoveError,
    StoreOptions,
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn by_hand(sizes: &[u64], options: StoreOptions) -> (ObjectStore, Hand) {
    let hand = Hand::default();
    let clock = hand.clock();
    (store_of(sizes, StoreOptions { clock, ..options }), hand)
}

fn is_refused(store: &ObjectStore, size: u64) -> bool {
    let put = store.put(b"is refused", &PutRequest::new(size));
    matches!(put.map(drop), Err(PutError::NoRoom { .. }))
}

#[test]
fn no_timed_lease_outlasts_the_longest_that_is_allowed() {
    for (most, asked) in [(50, u64::MAX), (1, 2), (3_600, 86_400), (7, 7)] {
        let options = StoreOptions {
            lease_max: seconds(most),
            ..StoreOptions::default()
        };
        let (store, hand) = by_hand(&[100], options);
        put(&store, 0, 100);
        drop(store.get_for(&key(0), seconds(asked)));
        hand.pass(seconds(most) - Duration::from_millis(1));
        let removed = store.remove(&key(0), Removal::IfIdle);
        assert_eq!(removed, Err(RemoveError::Leased));
        assert!(is_refused(&store, 1));
        hand.pass(Duration::from_millis(1));
        assert_eq!(store.remove(&key(0), Removal::IfIdle), Ok(()));
    }
}

#[test]
fn whoever_is_done_ends_a_timed_lease() {
    for eviction in EVICTIONS {
        for count in [1, 150] {
            let options = StoreOptions {
                eviction,
                ..StoreOptions::default()
            };
            let (store, hand) = by_hand(&[count * 10], options);
            (0..count).for_each(|number| put(&store, number, 10));
            for number in 0..count {
                drop(store.get_for(&key(number), seconds(300)));
            }
            hand.pass_seconds(1);
            assert!(is_refused(&store, 10));
            for number in 0..count {
                assert!(store.end_lease(&key(number)));
                assert!(!store.end_lease(&key(number)));
            }
            put(&store, 1_000, count * 10);
            assert_eq!(store.stats().on_demand.objects, count);
            assert!(!store.end_lease(&key(0)) && !store.end_lease(b"never"));
        }
    }
}

#[test]
fn ending_a_timed_lease_leaves_those_that_are_held() {
    let (store, _) = by_hand(&[100], StoreOptions::default());
    put(&store, 0, 100);
    let held = store.get_for(&key(0), seconds(300)).unwrap();
    assert!(store.end_lease(&key(0)));
    assert_eq!(
        store.remove(&key(0), Removal::IfIdle),
        Err(RemoveError::Leased)
    );
    assert!(is_refused(&store, 1));
    drop(held);
    put(&store, 1, 100);
}

/// Returns a store with an object of all its bytes.
fn full(size: u64) -> (ObjectStore, Hand) {
    let (store, hand) = by_hand(&[size], StoreOptions::default());
    put(&store, 0, size);
    (store, hand)
}

#[test]
fn an_idle_object_leaves_whichever_way_it_is_removed() {
    for size in [1, 1_000] {
        for removal in [Removal::IfIdle, Removal::Detach, Removal::Now] {
            let (store, _) = full(size);
            let events = store.events(10);
            assert_eq!(store.remove(&key(0), removal), Ok(()));
            assert_eq!(left(&events), [0]);
            assert_eq!(store.remove(&key(0), removal), Err(RemoveError::NotStored));
            assert_eq!(
                (placed_bytes(store.pool()), store.stats().lingering),
                (0, 0)
            );
            assert_eq!(store.stats().removed, 1);
            assert_all_space_is_of_objects(&store);
        }
    }
}

#[test]
fn a_held_object_is_gone_and_its_bytes_stay_as_long_as_it_is_held() {
    for size in [1, 1_000] {
        for removal in [Removal::Detach, Removal::Now] {
            let (store, _) = full(size);
            let held = store.get(&key(0)).unwrap();
            let again = held.clone();
            assert_eq!(
                store.remove(&key(0), Removal::IfIdle),
                Err(RemoveError::Leased)
            );
            assert_eq!(store.remove(&key(0), removal), Ok(()));
            assert!(!store.exists(&key(0)) && store.keys().is_empty());
            assert!(is_refused(&store, size), "the bytes are read");
            drop(held);
            assert!(is_refused(&store, size), "the bytes are read");
            assert_eq!(again.descriptors().len(), 1);
            drop(again);
            put(&store, 0, size);
            assert_all_space_is_of_objects(&store);
        }
    }
}

#[test]
fn a_timed_lease_keeps_the_bytes_of_what_is_detached_and_not_of_what_goes_now() {
    for size in [1, 1_000] {
        for time in [1, 300] {
            let (store, hand) = full(size);
            drop(store.get_for(&key(0), seconds(time)));
            assert_eq!(
                store.remove(&key(0), Removal::IfIdle),
                Err(RemoveError::Leased)
            );
            assert_eq!(store.remove(&key(0), Removal::Detach), Ok(()));
            assert!(!store.exists(&key(0)));
            assert_eq!(store.stats().lingering, 1);
            hand.pass(seconds(time) - Duration::from_millis(1));
            assert!(is_refused(&store, 1));
            hand.pass(Duration::from_millis(1));
            put(&store, 0, size);
            assert_eq!(store.stats().lingering, 0);

            let (store, _) = full(size);
            drop(store.get_for(&key(0), seconds(time)));
            assert_eq!(store.remove(&key(0), Removal::Now), Ok(()));
            put(&store, 0, size);
        }
    }
}

#[test]
fn a_pinned_object_goes_only_now() {
    for size in [1, 1_000] {
        let (store, _) = full(size);
        assert!(store.pin(&key(0)));
        for removal in [Removal::IfIdle, Removal::Detach] {
            assert_eq!(store.remove(&key(0), removal), Err(RemoveError::Pinned));
        }
        assert_eq!(store.remove(&key(0), Removal::Now), Ok(()));
        assert_eq!(store.stats().pinned, 0);
        put(&store, 0, size);
        assert_all_space_is_of_objects(&store);
    }
}

/// A way for a put not to be ended by its owner.
fn lose(put: mc_store::Put, is_forgotten: bool) -> Option<mc_store::Put> {
    if is_forgotten {
        #[expect(clippy::mem_forget, reason = "so a caller may lose it")]
        std::mem::forget(put);
        return None;
    }
    Some(put)
}

#[test]
fn a_lost_put_gives_back_its_key_at_the_deadline_and_its_space_after_the_margin() {
    for eviction in EVICTIONS {
        for is_forgotten in [true, false] {
            for (deadline, margin, has_own) in [(5, 2, true), (600, 60, false), (1, 0, true)] {
                let options = StoreOptions {
                    eviction,
                    put_deadline: seconds(if has_own { 10_000 } else { deadline }),
                    put_margin: seconds(margin),
                    ..StoreOptions::default()
                };
                let (store, hand) = by_hand(&[100, 10], options);
                let request = PutRequest {
                    deadline: has_own.then_some(seconds(deadline)),
                    ..PutRequest::new(100)
                };
                let lost = lose(store.put(&key(0), &request).unwrap(), is_forgotten);
                hand.pass(seconds(deadline) - Duration::from_millis(1));
                let small = PutRequest {
                    preferred: &[SegmentId(2)],
                    ..PutRequest::new(10)
                };
                assert_eq!(refusal(&store, 0, &small), PutError::InFlight);
                hand.pass(Duration::from_millis(1));
                // The key is free, and the space is not.
                put_as(&store, 0, &small).unwrap();
                let stats = store.stats();
                assert_eq!((stats.in_flight, stats.expired), (0, 1));
                assert_eq!(stats.lingering, u64::from(margin > 0));
                if margin > 0 {
                    assert!(is_refused(&store, 100));
                    hand.pass_seconds(margin);
                }
                put(&store, 2, 100);
                if let Some(lost) = lost {
                    assert!(lost.descriptors().is_empty() && lost.replicas().is_empty());
                    assert_eq!(lost.left(), Duration::ZERO);
                    assert_eq!(lost.commit(), Err(CommitError::Expired));
                }
                assert_eq!(numbers(&store), [0, 2].into());
                assert_all_space_is_of_objects(&store);
            }
        }
    }
}

#[test]
fn space_is_not_taken_back_from_a_writer_at_work() {
    for (deadline, margin) in [(5, 2), (1, 0)] {
        let options = StoreOptions {
            put_margin: seconds(margin),
            ..StoreOptions::default()
        };
        let (store, hand) = by_hand(&[100], options);
        let request = PutRequest {
            deadline: Some(seconds(deadline)),
            ..PutRequest::new(100)
        };
        let mut late = store.put(&key(0), &request).unwrap();
        let writing = late.replicas_mut();
        hand.pass_seconds(deadline + margin + 1);
        assert!(is_refused(&store, 100));
        assert_eq!(refusal(&store, 0, &request), PutError::InFlight);
        assert_eq!(store.in_flight().len(), 1);
        assert_eq!(writing.len(), 1);
        drop(writing);
        put(&store, 0, 100);
        assert_eq!(late.commit(), Err(CommitError::Expired));
        assert!(store.exists(&key(0)));
    }
}

#[test]
fn puts_in_flight_are_listed_with_their_ages() {
    for count in [2, 40] {
        let (store, hand) = by_hand(&[10_000], StoreOptions::default());
        let mut puts = Vec::new();
        for number in 0..count {
            let request = PutRequest {
                deadline: Some(seconds(1_000 - 10 * number)),
                ..PutRequest::new(10)
            };
            puts.push(store.put(&key(number), &request).unwrap());
            hand.pass_seconds(3);
        }
        put(&store, 1_000, 10);
        let listed = store.in_flight();
        assert_eq!(listed.len() as u64, count);
        // The last one has the least time left.
        for (number, put) in (0..count).rev().zip(&listed) {
            assert_eq!(*put.key, key(number));
            let age = 3 * (count - number);
            assert_eq!(put.age, seconds(age));
            assert_eq!(put.left, seconds(1_000 - 10 * number - age));
            assert_eq!(put.descriptors[0].segment, SegmentId(1));
        }
        puts.pop().unwrap().commit().unwrap();
        drop(puts.pop());
        assert_eq!(store.in_flight().len() as u64, count - 2);
        hand.pass_seconds(10_000);
        assert!(store.in_flight().is_empty());
        assert_eq!(store.stats().expired, count - 2);
        drop(puts);
        assert_eq!(store.stats().abandoned, 1);
    }
}

/// Ways to keep an object when it is its turn; what is returned ends it.
type Keep = fn(&ObjectStore, &Hand) -> Box<dyn FnOnce(&ObjectStore, &Hand)>;

const KEEPS: [(&str, Keep); 3] = [
    ("held", |store, _| {
        let held = store.get(&key(0));
        Box::new(|_, _| drop(held))
    }),
    ("leased for a time", |store, _| {
        drop(store.get_for(&key(0), seconds(50)));
        Box::new(|_, hand| hand.pass_seconds(50))
    }),
    ("leased until that is ended", |store, _| {
        drop(store.get_for(&key(0), seconds(50)));
        Box::new(|store, _| assert!(store.end_lease(&key(0))))
    }),
];

#[test]
fn leased_objects_that_were_passed_over_keep_their_age() {
    for eviction in [Eviction::Window, Eviction::InOrder] {
        for policy in [PolicyKind::Lru, PolicyKind::TailFirst] {
            for (name, keep) in KEEPS {
                for (count, passed) in [(3, 1), (20, 10), (200, 130)] {
                    let options = StoreOptions {
                        eviction,
                        policy,
                        ..StoreOptions::default()
                    };
                    let (store, hand) = by_hand(&[count * 10], options);
                    (0..count).for_each(|number| put(&store, number, 10));
                    let end = keep(&store, &hand);
                    (1..count).for_each(|number| drop(store.get(&key(number))));
                    let events = store.events(1_000);
                    (0..passed).for_each(|number| put(&store, 1_000 + number, 10));
                    assert!(left(&events).into_iter().eq(1..=passed), "{name}");
                    end(&store, &hand);
                    (0..2).for_each(|number| put(&store, 2_000 + number, 10));
                    assert_eq!(left(&events), [0, passed + 1], "{name}, {eviction:?}");
                    store.check_invariants();
                }
            }
        }
    }
}

#[test]
fn a_deadline_that_passes_while_room_is_made_ends_the_put() {
    for eviction in EVICTIONS {
        let options = StoreOptions {
            eviction,
            ..StoreOptions::default()
        };
        let (store, _) = by_hand(&[100], options);
        put(&store, 0, 100);
        let request = PutRequest {
            deadline: Some(Duration::ZERO),
            ..PutRequest::new(100)
        };
        for _ in 0..3 {
            // Looking for room ends puts whose deadlines have passed, this one among them.
            let late = store.put(&key(1), &request).unwrap();
            assert!(late.descriptors().is_empty());
            store.check_invariants();
            assert_eq!(late.commit(), Err(CommitError::Expired));
            store.check_invariants();
            put(&store, 0, 100);
        }
    }
}

#[test]
fn a_timed_lease_keeps_the_bytes_of_what_is_found_damaged() {
    let hand = Hand::default();
    let options = hand.with(StoreOptions {
        has_checksums: true,
        ..StoreOptions::default()
    });
    let store = local_store_of(&[100], options);
    let mut damaged = store.put(&key(0), &PutRequest::new(100)).unwrap();
    damaged.write(0, &[7; 100]).unwrap();
    damaged.set_checksum(7);
    damaged.commit().unwrap();
    drop(store.get_for(&key(0), seconds(60)));
    assert_eq!(store.read(&key(0)).unwrap(), None);
    assert!(!store.exists(&key(0)));
    assert_eq!(store.stats().lingering, 1);
    assert!(is_refused(&store, 1));
    hand.pass_seconds(60);
    put(&store, 1, 100);
    assert_all_space_is_of_objects(&store);
}
