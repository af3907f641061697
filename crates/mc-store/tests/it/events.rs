//! Events name every key that came or left, in order, with its cause; equal
//! programs on one thread tell equal events.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use crate::common::{
    info, memory,
    objects::{EVICTIONS, Hand, all_options, key, number_of, numbers, put, put_in, store_of},
    pool,
};
use mc_segment::{BufferDescriptor, Memory, Replicas, Segment, SegmentId, Strategy};
use mc_store::{
    Cause, Counted, Event, EventKind, ObjectStore, PolicyKind, PutError, PutRequest, Removal,
    StoreOptions, Watermarks,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What became of the objects of a store, as its events say.
#[derive(Debug, Default)]
struct Told {
    stored: BTreeMap<u64, u64>,
    left: BTreeMap<&'static str, Counted>,
}

impl Told {
    /// Follows events; fails if something leaves that is not there, or comes
    /// twice.
    #[track_caller]
    fn follow(&mut self, events: &[Event]) {
        for event in events {
            let number = number_of(&event.key);
            match event.kind {
                EventKind::Committed => {
                    let before = self.stored.insert(number, event.bytes);
                    assert_eq!(before, None, "{number} came twice");
                }
                EventKind::Left(cause) => {
                    assert_eq!(
                        self.stored.remove(&number),
                        Some(event.bytes),
                        "{number} left"
                    );
                    let sum = self.left.entry(name(cause)).or_default();
                    sum.objects += 1;
                    sum.bytes += event.bytes;
                }
                _ => assert!(self.stored.contains_key(&number), "{number} moved"),
            }
        }
    }

    fn of(&self, cause: Cause) -> Counted {
        self.left.get(name(cause)).copied().unwrap_or_default()
    }

    #[track_caller]
    fn check(&self, store: &ObjectStore) {
        let stored: BTreeSet<u64> = self.stored.keys().copied().collect();
        assert_eq!(stored, numbers(store));
        let stats = store.stats();
        assert_eq!(stats.on_demand, self.of(Cause::OnDemand));
        assert_eq!(stats.by_watermark, self.of(Cause::Watermark));
        assert_eq!(stats.unreadable, self.of(Cause::Unreadable));
        assert_eq!(stats.corrupt, self.of(Cause::Corrupt));
        assert_eq!(stats.removed, self.of(Cause::Removed).objects);
        assert_eq!(stats.live_bytes, self.stored.values().sum::<u64>());
        store.check_invariants();
    }
}

const fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::OnDemand => "on demand",
        Cause::Watermark => "watermark",
        Cause::Removed => "removed",
        Cause::Unreadable => "unreadable",
        Cause::Corrupt => "corrupt",
        _ => "another",
    }
}

#[test]
fn objects_that_make_room_leave_on_demand() {
    for options in all_options() {
        for (count, unit) in [(10, 100), (500, 3)] {
            let store = store_of(&[count * unit], options.clone());
            let events = store.events(10_000);
            let mut told = Told::default();
            (0..3 * count).for_each(|number| put(&store, number, unit));
            put(&store, 10_000, count * unit);
            told.follow(&events.drain());
            assert_eq!(told.of(Cause::OnDemand).objects, 3 * count);
            told.check(&store);
        }
    }
}

#[test]
fn objects_above_a_watermark_leave_for_it() {
    for options in all_options() {
        for (count, unit) in [(20, 100), (1_000, 3)] {
            let watermarks = Some(Watermarks {
                high_percent: 80,
                low_percent: 20,
            });
            let options = StoreOptions {
                watermarks,
                ..options.clone()
            };
            let store = store_of(&[count * unit], options);
            let events = store.events(10_000);
            let mut told = Told::default();
            for number in 0..3 * count {
                put(&store, number, unit);
                told.follow(&events.drain());
            }
            assert!(told.of(Cause::Watermark).objects > count);
            assert_eq!(told.of(Cause::OnDemand).objects, 0);
            told.check(&store);
        }
    }
}

#[test]
fn removed_objects_are_told_whichever_way_they_went() {
    for count in [3, 300] {
        let store = store_of(&[10_000], StoreOptions::default());
        let events = store.events(10_000);
        let mut told = Told::default();
        (0..count).for_each(|number| put(&store, number, 10));
        for (number, removal) in (0..count).zip(
            [Removal::IfIdle, Removal::Detach, Removal::Now]
                .into_iter()
                .cycle(),
        ) {
            let _held = (removal != Removal::IfIdle).then(|| store.get(&key(number)));
            assert_eq!(store.remove(&key(number), removal), Ok(()));
        }
        told.follow(&events.drain());
        assert_eq!(told.of(Cause::Removed).objects, count);
        told.check(&store);
    }
}

#[test]
fn objects_whose_bytes_are_damaged_are_misses_and_told() {
    for size in [1_usize, 3_000, 2_500_000] {
        let pool = pool(Strategy::Random, 1);
        let bytes = memory(8 << 20);
        let local = Segment::local(info(1, 8 << 20), Memory::pool(bytes.clone()));
        pool.mount(local).unwrap();
        let options = StoreOptions {
            has_checksums: true,
            ..StoreOptions::default()
        };
        let store = ObjectStore::new(pool, options).unwrap();
        let events = store.events(10);
        let mut told = Told::default();
        let mut places = Vec::new();
        for number in 0..2 {
            let mut put = store
                .put(&key(number), &PutRequest::new(size as u64))
                .unwrap();
            put.replicas_mut()[0].write_at(0, &vec![7; size]).unwrap();
            places.push(put.replicas()[0].address() - (1 << 40));
            put.commit().unwrap();
        }
        let last = usize::try_from(places[0]).unwrap() + size - 1;
        bytes.write(last..last + 1).unwrap()[0] ^= 1;
        assert!(store.read(&key(0)).unwrap().is_none());
        assert!(!store.exists(&key(0)));
        assert_eq!(store.read(&key(1)).unwrap(), Some(vec![7; size]));
        told.follow(&events.drain());
        assert_eq!(told.of(Cause::Corrupt).objects, 1);
        let stats = store.stats();
        assert_eq!((stats.hits, stats.misses), (1, 1));
        told.check(&store);
    }
}

#[test]
fn moves_are_told_with_both_segments() {
    for count in [1, 50] {
        let store = store_of(&[10_000, 10_000], StoreOptions::default());
        (0..count).for_each(|number| put_in(&store, 1, number, 10));
        let events = store.events(1_000);
        store.pool().drain(SegmentId(1)).unwrap();
        store
            .move_out(SegmentId(1), |_, _| Ok::<(), ()>(()))
            .unwrap();
        let mut moved = BTreeSet::new();
        for event in events.drain() {
            let expected = EventKind::Moved {
                from: SegmentId(1),
                to: SegmentId(2),
            };
            assert_eq!((event.kind, event.bytes), (expected, 10));
            moved.insert(number_of(&event.key));
        }
        assert_eq!(moved, (0..count).collect());
    }
}

#[test]
fn moves_of_several_replicas_are_told_with_the_bytes_of_all() {
    let store = store_of(&[10_000, 10_000, 10_000], StoreOptions::default());
    put_in(&store, 1, 0, 10);
    let events = store.events(10);
    let add = || store.add_replica(&key(0), |_, _| Ok::<(), ()>(()));
    let add = || add().unwrap().unwrap();
    let told = || {
        let [event] = <[Event; 1]>::try_from(events.drain()).unwrap();
        let EventKind::Moved { from, to } = event.kind else {
            panic!("{event:?}");
        };
        (event.bytes, from, to)
    };
    add();
    let (bytes, from, second) = told();
    assert_eq!((bytes, from), (20, second), "it is one more");
    store.pool().drain(SegmentId(1)).unwrap();
    let moved = store.move_out(SegmentId(1), |_, _| Ok::<(), ()>(()));
    moved.unwrap();
    let (bytes, from, third) = told();
    assert_eq!((bytes, from), (20, SegmentId(1)));
    store.unmount(second).unwrap();
    let resumed = store.pool().resume(SegmentId(1));
    resumed.unwrap();
    add();
    assert_eq!(told(), (20, SegmentId(1), SegmentId(1)));
    assert_ne!(third, SegmentId(1));
    store.remove(&key(0), Removal::IfIdle).unwrap();
    assert_eq!(events.try_next().unwrap().bytes, 20);
}

#[test]
fn a_queue_that_is_full_forgets_the_oldest_and_counts_them() {
    for capacity in [1, 7] {
        let store = store_of(&[10_000], StoreOptions::default());
        let (small, none) = (store.events(capacity), store.events(0));
        (0..20).for_each(|number| put(&store, number, 10));
        assert_eq!(small.missed(), 20 - capacity as u64);
        assert_eq!(none.missed(), 19);
        let told = small.drain();
        let first = 20 - capacity as u64;
        assert!(told.iter().map(|event| number_of(&event.key)).eq(first..20));
    }
}

#[test]
fn events_of_a_key_are_in_order_whoever_causes_them() {
    for (seed, eviction) in (0..).zip(EVICTIONS) {
        let options = StoreOptions {
            eviction,
            ..StoreOptions::default()
        };
        let store = store_of(&[400, 300], options);
        let events = store.events(1 << 20);
        thread::scope(|scope| {
            for number in 0..4_u64 {
                let store = &store;
                scope.spawn(move || {
                    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed << 8 | number);
                    for _ in 0..20_000 {
                        let number = random.random_range(0..12);
                        match store.put(&key(number), &PutRequest::new(100)) {
                            Ok(put) => put.commit().unwrap(),
                            Err(PutError::Exists) if random.random_range(0..2) == 0 => {
                                let _ = store.remove(&key(number), Removal::IfIdle);
                            }
                            Err(_) => {}
                        }
                    }
                });
            }
        });
        assert_eq!(events.missed(), 0);
        let mut told = Told::default();
        told.follow(&events.drain());
        told.check(&store);
    }
}

/// What a program on one thread has shown.
#[derive(Debug, Default, PartialEq)]
struct Shown {
    places: Vec<BufferDescriptor>,
    events: Vec<Event>,
    refused: Vec<String>,
}

/// Runs a program in which everything happens that may.
fn run(options: &StoreOptions, strategy: Strategy, seed: u64) -> Shown {
    let hand = Hand::default();
    let pool = pool(strategy, seed);
    crate::common::mount_sizes(&pool, &[60_000, 40_000, 50_000, 20_000]);
    let options = hand.with(options.clone());
    let store = ObjectStore::new(pool, options).unwrap();
    let events = store.events(1 << 20);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut shown = Shown::default();
    for round in 0..1_500_u64 {
        hand.pass_seconds(1);
        let number = random.random_range(0..400);
        match random.random_range(0..20) {
            0..12 => {
                let request = PutRequest {
                    replicas: Replicas::exact(random.random_range(1..=2)),
                    max_extents: random.random_range(1..=3),
                    ..PutRequest::new(random.random_range(1..=4_000))
                };
                match store.put(&key(number), &request) {
                    Ok(put) => {
                        shown.places.extend(put.descriptors());
                        put.commit().unwrap();
                    }
                    Err(error) => shown.refused.push(error.to_string()),
                }
            }
            12..16 => drop(store.get(&key(number))),
            16 => drop(store.get_for(&key(number), Duration::from_secs(30))),
            17 => drop(store.remove(&key(number), Removal::Detach)),
            18 if round % 4 == 0 => {
                let id = SegmentId(random.random_range(1..=4));
                store.pool().drain(id).unwrap();
                store.move_out(id, |_, _| Ok::<(), ()>(())).unwrap();
                store.pool().resume(id).unwrap();
            }
            19 if round % 8 == 0 => {
                let id = SegmentId(random.random_range(1..=4));
                let info = store.pool().info(id).unwrap();
                store.unmount(id).unwrap();
                store.pool().mount(Segment::remote(info)).unwrap();
            }
            _ => {}
        }
    }
    shown.events = events.drain();
    store.check_invariants();
    shown
}

#[test]
fn equal_programs_on_one_thread_place_and_evict_and_tell_the_same() {
    let mut left = BTreeSet::new();
    for (seed, strategy) in (0..).zip(Strategy::ALL) {
        for eviction in EVICTIONS {
            for policy in PolicyKind::ALL {
                let options = StoreOptions {
                    eviction,
                    policy,
                    ..StoreOptions::default()
                };
                let [first, second] = [(); 2].map(|()| run(&options, strategy, seed));
                assert_eq!(first.refused, second.refused, "{policy:?}, {eviction:?}");
                for (a, b) in first.events.iter().zip(&second.events) {
                    assert_eq!(a, b, "{policy:?}, {eviction:?}");
                }
                assert_eq!(first, second);
                for event in &first.events {
                    if let EventKind::Left(cause) = event.kind {
                        left.insert(name(cause));
                    }
                }
            }
        }
    }
    assert_eq!(left, BTreeSet::from(["on demand", "removed", "unreadable"]));
}
