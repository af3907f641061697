//! Answers that have to be right although others use the store at the same moment.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::common::{
    mount_sizes,
    objects::{Hand, key, left, local_store_of, put, put_as, put_in, store_of},
    pool,
};
use mc_segment::{SegmentId, Strategy};
use mc_store::{
    CommitError, Compaction, ObjectStore, PutRequest, Quota, Removal, StoreOptions, Watermarks,
    policy::{Facts, Leaving, ObjectId, Policy},
};

#[test]
fn an_object_whose_timed_lease_has_ended_leaves_though_a_removal_was_refused_meanwhile() {
    const ROUNDS: u64 = 60;
    // More than there are cores, so that some are interrupted on their way.
    let workers = 1 + thread::available_parallelism().unwrap().get();
    let hand = Hand::default();
    let store = store_of(&[1_000], hand.options());
    let one_object = Quota {
        guaranteed: 0,
        most: Some(100),
    };
    store.tenant("a", one_object).unwrap();
    let of_a = PutRequest {
        tenant: Some("a"),
        ..PutRequest::new(100)
    };
    let (round, ready) = (AtomicU64::new(0), Barrier::new(1 + workers));
    let mut refused = Vec::new();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                for number in 1..ROUNDS {
                    ready.wait();
                    while round.load(Ordering::SeqCst) == number {
                        let removed = store.remove(&key(number), Removal::IfIdle);
                        assert!(removed.is_err(), "{number} is leased");
                    }
                    ready.wait();
                }
            });
        }
        for number in 1..ROUNDS {
            put_as(&store, number, &of_a).unwrap();
            drop(store.get_for(&key(number), Duration::from_secs(1)).unwrap());
            round.store(number, Ordering::SeqCst);
            ready.wait();
            thread::sleep(Duration::from_micros(50));
            assert!(store.put(&key(0), &of_a).is_err(), "{number} is leased");
            round.store(0, Ordering::SeqCst);
            ready.wait();
            hand.pass_seconds(2);
            let next = store.put(&key(0), &of_a).map(drop);
            if let Err(error) = next {
                refused.push((number, error));
                store.remove(&key(number), Removal::Now).unwrap();
            }
        }
    });
    assert!(
        refused.is_empty(),
        "those have no lease any more: {refused:?}"
    );
}

#[test]
fn those_who_put_at_once_leave_what_is_below_the_low_watermark() {
    const WORKERS: u64 = 4;
    let options = StoreOptions {
        watermarks: Some(Watermarks {
            high_percent: 80,
            low_percent: 60,
        }),
        ..StoreOptions::default()
    };
    let store = store_of(&[100_000], options);
    for number in 0..800 {
        put(&store, number, 100);
    }
    for round in 1..=20 {
        // Each of them passes the high watermark.
        let (ready, first) = (Barrier::new(4), 10_000 * round);
        thread::scope(|scope| {
            for worker in 0..WORKERS {
                let (store, ready) = (&store, &ready);
                scope.spawn(move || {
                    let number = first + worker;
                    let put = store.put(&key(number), &PutRequest::new(100)).unwrap();
                    ready.wait();
                    put.commit().unwrap();
                });
            }
        });
        let live = store.stats().live_bytes;
        assert!(live >= 60_000 - 100, "{live} bytes are left after {round}");
        // Nothing leaves before the high watermark.
        let more = (80_000 - live) / 100;
        for number in 0..more {
            put(&store, first + 100 + number, 100);
        }
    }
}

#[test]
fn what_shrinking_took_of_a_tenant_is_not_counted_as_on_its_way_out() {
    let store = local_store_of(&[1_000], StoreOptions::default());
    let guaranteed = Quota {
        guaranteed: 200,
        most: None,
    };
    store.tenant("a", guaranteed).unwrap();
    let of_a = PutRequest {
        tenant: Some("a"),
        ..PutRequest::new(100)
    };
    for number in 0..10 {
        put_as(&store, number, &of_a).unwrap();
    }
    let events = store.events(100);
    store.shrink(SegmentId(1), 500).unwrap();
    assert_eq!(left(&events).len(), 5);
    // Five are left, of which two are guaranteed.
    for number in 10..13 {
        put(&store, number, 100);
    }
    assert_eq!(store.stats().tenants["a"].stored.bytes, 200);
}

/// Lets objects leave in the order in which they came, and waits once, when so many are there.
#[derive(Debug)]
struct Waiting {
    order: Vec<ObjectId>,
    waits_at: usize,
    comes: Arc<Barrier>,
    goes_on: Arc<Barrier>,
}

impl Policy for Waiting {
    fn insert(&mut self, id: ObjectId, _facts: &Facts) {
        self.order.push(id);
        if self.order.len() == self.waits_at {
            self.waits_at = 0;
            self.comes.wait();
            self.goes_on.wait();
        }
    }

    fn used(&mut self, _id: ObjectId) {}

    fn remove(&mut self, id: ObjectId, _key_hash: u64, _why: Leaving) {
        self.order.retain(|other| *other != id);
    }

    fn hide(&mut self, _id: ObjectId) {}

    fn show(&mut self, _id: ObjectId) {}

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        let _ = self.order.iter().try_for_each(|id| visit(*id));
    }

    fn worth(&self, _id: ObjectId) -> f64 {
        1.0
    }
}

/// Returns a store of two segments which waits with its lock held when so many objects are there,
/// and what tells that it waits, and lets it go on.
fn waiting_store(waits_at: usize) -> (ObjectStore, Arc<Barrier>, Arc<Barrier>) {
    let (comes, goes_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let policy = Waiting {
        order: Vec::new(),
        waits_at,
        comes: Arc::clone(&comes),
        goes_on: Arc::clone(&goes_on),
    };
    let segments = pool(Strategy::Random, 1);
    mount_sizes(&segments, &[1_000, 1_000]);
    let options = StoreOptions::default();
    let store = ObjectStore::with_policy(segments, options, Box::new(policy)).unwrap();
    (store, comes, goes_on)
}

#[test]
fn a_commit_whose_segment_is_unmounted_meanwhile_says_so() {
    let (store, comes, goes_on) = waiting_store(1);
    let put = |number, id| {
        let preferred = [SegmentId(id)];
        let request = PutRequest {
            preferred: &preferred,
            ..PutRequest::new(100)
        };
        store.put(&key(number), &request).unwrap()
    };
    let (first, second) = (put(1, 1), put(2, 2));
    thread::scope(|scope| {
        // Takes the lock under which objects are entered, and keeps it.
        scope.spawn(|| first.commit().unwrap());
        comes.wait();
        let committed = scope.spawn(|| second.commit());
        while !store.in_flight().is_empty() && !committed.is_finished() {
            thread::yield_now();
        }
        // It is on its way to the lock.
        thread::sleep(Duration::from_millis(20));
        assert_eq!(store.unmount(SegmentId(2)).unwrap().lost.len(), 0);
        goes_on.wait();
        assert_eq!(committed.join().unwrap(), Err(CommitError::Unreadable));
    });
    assert_eq!(store.stats().objects, 1);
    store.check_invariants();
}

#[test]
fn a_key_whose_object_is_dead_is_never_said_to_be_stored() {
    let (store, comes, goes_on) = waiting_store(2);
    put_in(&store, 2, 7, 100);
    store.pool().begin_unmount(SegmentId(2)).unwrap();
    let request = PutRequest::new(100);
    let other = store.put(&key(1), &request).unwrap();
    thread::scope(|scope| {
        // Takes the lock under which objects leave, and keeps it.
        scope.spawn(|| other.commit().unwrap());
        comes.wait();
        let reader = scope.spawn(|| store.get(&key(7)).is_some());
        // It is on its way to the lock.
        thread::sleep(Duration::from_millis(20));
        let put = scope.spawn(|| put_as(&store, 7, &request));
        thread::sleep(Duration::from_millis(20));
        goes_on.wait();
        assert!(!reader.join().unwrap());
        assert_eq!(put.join().unwrap(), Ok(()));
    });
    store.check_invariants();
}

#[test]
fn whoever_looks_for_victims_keeps_no_places_of_those_who_leave_meanwhile() {
    // Each of the threads has one put in flight, and the victims of one in hand.
    const WORKERS: u64 = 8;
    const SIZES: [u64; 2] = [100, 200];
    for compaction in [Compaction::OFF, Compaction::moving(1.0)] {
        let options = StoreOptions {
            compaction,
            ..StoreOptions::default()
        };
        let store = local_store_of(&[6 * WORKERS * 200], options);
        thread::scope(|scope| {
            for worker in 0..WORKERS {
                let store = &store;
                scope.spawn(move || {
                    for number in 0..2_000 {
                        let size = SIZES[usize::from(number % 5 == 0)];
                        put(store, worker << 32 | number, size);
                    }
                });
            }
        });
        store.check_invariants();
    }
}
