//! What one call does at most, counted by a policy that is asked.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::common::{
    mount_sizes,
    objects::{EVICTIONS, Hand, all_options, key, left, put, put_as, put_in, refusal, store_of},
    pool,
};
use mc_segment::{SegmentId, Strategy};
use mc_store::{
    ObjectStore, PutError, PutRequest, Quota, Removal, StoreOptions, Watermarks,
    policy::{Chained, Facts, Leaving, Lru, ObjectId, Policy},
};

/// The most visits while the order is locked once.
const VISITS_AT_ONCE: u64 = 600;

/// What a policy was asked for.
#[derive(Debug, Default)]
struct Asked {
    visits: AtomicU64,
    /// The most visits of one call.
    visits_at_once: AtomicU64,
    changes: AtomicU64,
    removed: AtomicU64,
    /// What was removed before an object was hidden last.
    removed_before_hiding: AtomicU64,
}

/// A policy that counts.
#[derive(Debug)]
struct Counting {
    inner: Chained<Lru>,
    asked: Arc<Asked>,
}

impl Counting {
    fn change(&mut self) -> &mut Chained<Lru> {
        self.asked.changes.fetch_add(1, Ordering::Relaxed);
        &mut self.inner
    }
}

impl Policy for Counting {
    fn insert(&mut self, id: ObjectId, facts: &Facts) {
        self.change().insert(id, facts);
    }

    fn used(&mut self, id: ObjectId) {
        self.change().used(id);
    }

    fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        self.asked.removed.fetch_add(1, Ordering::Relaxed);
        self.change().remove(id, key_hash, why);
    }

    fn hide(&mut self, id: ObjectId) {
        let removed = self.asked.removed.load(Ordering::Relaxed);
        self.asked
            .removed_before_hiding
            .store(removed, Ordering::Relaxed);
        self.change().hide(id);
    }

    fn show(&mut self, id: ObjectId) {
        self.change().show(id);
    }

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        let mut visits = 0;
        self.inner.victims(&mut |id| {
            visits += 1;
            visit(id)
        });
        self.asked.visits.fetch_add(visits, Ordering::Relaxed);
        self.asked
            .visits_at_once
            .fetch_max(visits, Ordering::Relaxed);
    }

    fn worth(&self, id: ObjectId) -> f64 {
        self.asked.visits.fetch_add(1, Ordering::Relaxed);
        self.inner.worth(id)
    }
}

/// A store that counts, and what it counts.
struct Counted {
    store: ObjectStore,
    asked: Arc<Asked>,
}

impl Counted {
    fn of(sizes: &[u64], options: StoreOptions) -> Self {
        let pool = pool(Strategy::Random, 1);
        mount_sizes(&pool, sizes);
        let asked = Arc::new(Asked::default());
        let policy = Box::new(Counting {
            inner: Chained::new(Lru::new()),
            asked: Arc::clone(&asked),
        });
        let store = ObjectStore::with_policy(pool, options, policy).unwrap();
        Self { store, asked }
    }

    /// Returns the visits and changes of a call.
    fn during(&self, call: impl FnOnce(&ObjectStore)) -> (u64, u64) {
        let load = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        let before = (load(&self.asked.visits), load(&self.asked.changes));
        call(&self.store);
        assert!(load(&self.asked.visits_at_once) <= VISITS_AT_ONCE);
        (
            load(&self.asked.visits) - before.0,
            load(&self.asked.changes) - before.1,
        )
    }
}

#[track_caller]
fn refuse(store: &ObjectStore, size: u64) {
    let refused = refusal(store, u64::MAX, &PutRequest::new(size));
    assert!(matches!(refused, PutError::NoRoom { .. }), "{refused:?}");
}

/// Returns options of each way of evicting, with few objects and with many.
fn all_ways() -> impl Iterator<Item = (StoreOptions, u64)> {
    let of = |eviction| StoreOptions {
        eviction,
        ..StoreOptions::default()
    };
    EVICTIONS
        .into_iter()
        .flat_map(move |eviction| [1_000, 30_000].map(|count| (of(eviction), count)))
}

#[test]
fn leased_objects_are_passed_over_once() {
    for eviction in EVICTIONS {
        for count in [1_000, 30_000] {
            for is_timed in [true, false] {
                let hand = Hand::default();
                let options = StoreOptions {
                    eviction,
                    ..hand.options()
                };
                let counted = Counted::of(&[count * 10], options);
                (0..count).for_each(|number| put(&counted.store, number, 10));
                let held: Vec<_> = (0..count)
                    .filter_map(|number| {
                        let lease = counted.store.get_for(&key(number), Duration::from_secs(9));
                        lease.filter(|_| !is_timed)
                    })
                    .collect();
                counted.during(|store| refuse(store, 10));
                let (visits, changes) = counted.during(|store| refuse(store, 10));
                assert!(visits <= 64 && changes <= 64, "{visits}, {changes}");
                drop(held);
                hand.pass_seconds(9);
                // Some are offered again with each call that looks for room.
                counted.during(|store| put(store, u64::MAX, 10));
                assert_eq!(counted.store.stats().on_demand.objects, 1);
            }
        }
    }
}

#[test]
fn pinned_objects_are_passed_over_without_a_visit() {
    for (options, count) in all_ways() {
        let counted = Counted::of(&[count * 10], options);
        for number in 0..count {
            put(&counted.store, number, 10);
            assert!(counted.store.pin(&key(number)));
        }
        let (visits, changes) = counted.during(|store| refuse(store, 10));
        assert!(visits <= 64 && changes <= 64, "{visits}, {changes}");
    }
}

#[test]
fn objects_in_closed_segments_are_passed_over_once() {
    for (options, count) in all_ways() {
        let counted = Counted::of(&[count * 10, 100], options);
        (0..count).for_each(|number| put_in(&counted.store, 1, number, 10));
        (0..10).for_each(|number| put_in(&counted.store, 2, count + number, 10));
        counted.store.pool().suspend(SegmentId(1)).unwrap();
        counted.during(|store| put(store, 2 * count, 10));
        for number in 1..20 {
            let (visits, changes) = counted.during(|store| put(store, 2 * count + number, 10));
            assert!(visits <= 128 && changes <= 128, "{visits}, {changes}");
        }
        assert_eq!(counted.store.stats().on_demand.objects, 20);
    }
}

/// Stores objects in two segments, and puts that may not use the first one, until
/// they have passed over all that is in it; returns the number for the next put.
fn exclude_the_oldest(counted: &Counted, count: u64) -> u64 {
    let store = &counted.store;
    (0..count).for_each(|number| put_in(store, 1, number, 10));
    (count..2 * count).for_each(|number| put_in(store, 2, number, 10));
    let puts = 10 + count / 64;
    (0..puts).for_each(|number| put_elsewhere(counted, 2 * count + number));
    2 * count + puts
}

fn put_elsewhere(counted: &Counted, number: u64) {
    let request = PutRequest {
        excluded: &[SegmentId(1)],
        ..PutRequest::new(10)
    };
    counted.during(|store| put_as(store, number, &request).unwrap());
}

#[test]
fn what_a_request_cannot_use_is_passed_over_once() {
    for (options, count) in all_ways() {
        let counted = Counted::of(&[count * 10, count * 10], options);
        let store = &counted.store;
        let first = exclude_the_oldest(&counted, count);
        let events = store.events(1 << 10);
        let oldest = (count..).find(|number| store.exists(&key(*number)));
        for number in first..first + 100 {
            let (visits, changes) = counted.during(|_| put_elsewhere(&counted, number));
            assert!(visits <= 128 && changes <= 128, "{visits}, {changes}");
        }
        let expected: Vec<_> = (oldest.unwrap()..).take(100).collect();
        assert_eq!(left(&events), expected, "of {count}");
        assert!((0..count).all(|number| store.exists(&key(number))));
        store.check_invariants();
    }
}

#[test]
fn what_was_passed_over_leaves_first_for_others_unless_it_was_used() {
    for (options, count) in all_ways() {
        let counted = Counted::of(&[count * 10, count * 10], options);
        let store = &counted.store;
        let first = exclude_the_oldest(&counted, count);
        let held = store.get(&key(2)).unwrap();
        drop(store.get(&key(4)).unwrap());
        assert!(store.pin(&key(6)));
        assert!(store.pin(&key(8)) && store.unpin(&key(8)));
        assert!(store.remove(&key(10), Removal::IfIdle).is_ok());
        let events = store.events(1 << 16);
        let puts = count / 2;
        for number in first..first + puts {
            let (visits, changes) = counted.during(|store| put(store, number, 10));
            assert!(visits <= 512 && changes <= 512, "{visits}, {changes}");
        }
        let in_order = (0..count).filter(|number| ![2, 4, 6, 8, 10].contains(number));
        let expected: Vec<_> = in_order.take(puts as usize).collect();
        let left = left(&events);
        // One place was free.
        assert_eq!(left, expected[..left.len()], "of {count}");
        assert!(left.len() as u64 >= puts - 1);
        drop(held);
        store.check_invariants();
    }
}

#[test]
fn what_was_passed_over_can_be_moved_unmounted_and_removed() {
    for (options, count) in all_ways() {
        let counted = Counted::of(&[count * 10, count * 10], options);
        let store = &counted.store;
        exclude_the_oldest(&counted, count);
        store.pool().drain(SegmentId(1)).unwrap();
        for number in (0..count).filter(|number| number % 2 == 0) {
            store.remove(&key(number), Removal::IfIdle).unwrap();
        }
        let moved = store
            .move_out(SegmentId(1), |_, _| Ok::<_, ()>(()))
            .unwrap();
        assert!(moved.replicas > 0);
        store.check_invariants();
        assert!(store.unmount(SegmentId(1)).is_ok());
        store.check_invariants();
        let room = count * 10;
        put(store, u64::MAX, room);
        assert_eq!(store.stats().objects, 1);
        store.check_invariants();
    }
}

#[test]
fn the_first_object_of_a_tenant_costs_no_more_than_others() {
    for (options, count) in all_ways() {
        let counted = Counted::of(&[count * 10], options);
        let store = &counted.store;
        let quota = Quota {
            guaranteed: count * 5,
            most: None,
        };
        store.tenant("a", quota).unwrap();
        let of_tenant = PutRequest {
            tenant: Some("a"),
            ..PutRequest::new(10)
        };
        (0..count).for_each(|number| put(store, number, 10));
        for number in count..count + count / 2 {
            let (visits, changes) =
                counted.during(|store| put_as(store, number, &of_tenant).unwrap());
            assert!(visits <= 128 && changes <= 128, "{visits}, {changes}");
        }
        // From here on all that the tenant is sure of comes first.
        let used: Vec<_> = (0..count)
            .rev()
            .filter(|n| store.get(&key(*n)).is_some())
            .collect();
        let events = store.events(1 << 16);
        let others = count / 4;
        for number in 2 * count..2 * count + others {
            let (visits, _) = counted.during(|store| put(store, number, 10));
            assert!(visits <= 2 * VISITS_AT_ONCE, "{visits}");
        }
        assert_eq!(left(&events), used[..others as usize], "of {count}");
        store.check_invariants();
    }
}

#[test]
fn a_put_that_replaces_the_oldest_visits_few() {
    for (options, count) in all_ways() {
        let counted = Counted::of(&[count * 10], options);
        (0..count).for_each(|number| put(&counted.store, number, 10));
        for number in count..count + 100 {
            let (visits, changes) = counted.during(|store| put(store, number, 10));
            assert!(visits <= 200 && changes <= 200, "{visits}, {changes}");
        }
    }
}

#[test]
fn a_put_that_finds_neighbors_beside_the_oldest_looks_no_further() {
    for count in [3_000, 30_000] {
        let counted = Counted::of(&[count * 10], StoreOptions::default());
        let store = &counted.store;
        (0..count).for_each(|number| put(store, number, 10));
        // Beside the oldest, which lies far back, is one of the youngest; all others are alone.
        let old = count - 100;
        for number in (0..count).filter(|number| number % 2 == 0 && *number != old) {
            assert!(store.pin(&key(number)));
        }
        for number in (0..count).filter(|number| *number != old + 1) {
            drop(store.get(&key(number)).unwrap());
        }
        let (visits, _) = counted.during(|store| put(store, count, 20));
        assert!(!store.exists(&key(old)) && !store.exists(&key(old + 1)));
        assert!(visits <= 1_000, "{visits} of {count}");
    }
}

#[test]
fn crossing_a_watermark_costs_one_put_no_more_than_a_slice() {
    for options in all_options() {
        for count in [1_000, 30_000] {
            let watermarks = Some(Watermarks {
                high_percent: 95,
                low_percent: 70,
            });
            let options = StoreOptions {
                watermarks,
                ..options.clone()
            };
            let store = store_of(&[count * 10], options);
            let most = count * 95 / 100;
            (0..most).for_each(|number| put(&store, number, 10));
            let events = store.events(1 << 20);
            let mut puts = 0;
            loop {
                put(&store, count + puts, 10);
                puts += 1;
                let evicted = left(&events).len();
                assert!(evicted <= 64, "{evicted} left for one put");
                if evicted < 64 {
                    break;
                }
            }
            let live = store.stats().live_bytes / 10;
            assert!(live <= count * 70 / 100, "{live} are left of {count}");
            put(&store, 10 * count, 10);
            assert!(left(&events).is_empty());
        }
    }
}

/// Pinning an object waits for the lock under which others leave.
#[test]
fn a_put_that_lets_many_go_lets_others_in_between() {
    const OBJECTS: u64 = 50_000;
    let counted = Counted::of(&[OBJECTS * 10, 10], StoreOptions::default());
    let (store, asked) = (&counted.store, &counted.asked);
    put_in(store, 2, OBJECTS, 10);
    (0..OBJECTS).for_each(|number| put_in(store, 1, number, 10));
    let is_over = AtomicBool::new(false);
    let mut seen = BTreeSet::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            put(store, u64::MAX, OBJECTS * 10);
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            assert!(store.pin(&key(OBJECTS)));
            assert!(store.unpin(&key(OBJECTS)));
            seen.insert(asked.removed_before_hiding.load(Ordering::Relaxed));
        }
    });
    let between = seen
        .iter()
        .filter(|removed| (1..OBJECTS).contains(*removed));
    assert!(between.count() > 0, "nobody was let in before all had left");
}

#[test]
fn an_object_is_in_no_more_pieces_than_the_options_allow() {
    for (extents_max, count) in [(4, 50), (1_024, 3_000)] {
        let options = StoreOptions {
            extents_max,
            ..StoreOptions::default()
        };
        let store = store_of(&[20 * count], options);
        (0..2 * count).for_each(|number| put(&store, number, 10));
        // Holes of ten bytes, as many as there are objects.
        (0..count)
            .for_each(|number| assert!(store.remove(&key(2 * number), Removal::IfIdle).is_ok()));
        let request = |size| PutRequest {
            max_extents: u32::MAX,
            ..PutRequest::new(size)
        };
        let fits = 10 * u64::from(extents_max).min(count);
        let before = store.stats().on_demand.objects;
        put_as(&store, u64::MAX, &request(fits)).unwrap();
        assert_eq!(store.stats().on_demand.objects, before);
        let lease = store.get(&key(u64::MAX)).unwrap();
        let pieces = lease.replicas().next().unwrap().extents().len();
        assert!(pieces <= extents_max as usize && pieces > 3);
        put_as(&store, u64::MAX - 1, &request(10 * count / 2)).unwrap();
        let lease = store.get(&key(u64::MAX - 1)).unwrap();
        assert!(lease.replicas().next().unwrap().extents().len() <= extents_max as usize);
        store.check_invariants();
    }
}
