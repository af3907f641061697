//! Heap that a store takes and gives back.
//!
//! Claims: an object costs a bounded number of bytes of heap; when all objects
//! have left, whichever way, nearly all of it is back; a store that is dropped leaves
//! nothing, and neither do segments that come and go; an object that was passed over
//! or is kept costs the same however often it is read, leased or put again; a segment
//! that comes costs the next put no more where many objects were passed over.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

#[expect(dead_code, reason = "it uses some of the helpers")]
#[path = "it/common/mod.rs"]
mod common;

use std::{alloc::System, ops::Range, time::Duration};

use cap::Cap;
use common::{
    info,
    objects::{Hand, key, numbers, put, put_as, put_in, refusal, store_of},
    pool,
};
use mc_segment::{Segment, SegmentId, Strategy};
use mc_store::{ObjectStore, PolicyKind, PutRequest, Removal, StoreOptions};

/// Counted for all threads, so that this file does without the test harness.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

const OBJECTS: u64 = 100_000;

/// Bytes of heap for each object with a key of 8 bytes, all in.
const BYTES_PER_OBJECT: usize = 260;

type Leave = fn(&ObjectStore, &Hand);

/// Ways for all objects of a store to leave.
const LEAVE: [(&str, Leave); 5] = [
    ("removed", |store, _| {
        for number in 0..OBJECTS {
            store.remove(&key(number), Removal::IfIdle).unwrap();
        }
    }),
    ("evicted", |store, _| {
        put(store, u64::MAX, OBJECTS * 10);
        store.remove(&key(u64::MAX), Removal::IfIdle).unwrap();
    }),
    ("unmounted", |store, _| {
        assert_eq!(
            store.unmount(SegmentId(1)).unwrap().lost.len() as u64,
            OBJECTS
        );
    }),
    ("leased, detached and over", |store, hand| {
        for number in 0..OBJECTS {
            drop(store.get_for(&key(number), Duration::from_secs(9)));
            store.remove(&key(number), Removal::Detach).unwrap();
        }
        hand.pass_seconds(9);
        while store.stats().lingering > 0 {}
    }),
    ("leased, passed over and removed", |store, hand| {
        for number in 0..OBJECTS {
            drop(store.get_for(&key(number), Duration::from_secs(9)));
        }
        refusal(store, u64::MAX, &PutRequest::new(OBJECTS * 10));
        hand.pass_seconds(9);
        for number in numbers(store) {
            store.remove(&key(number), Removal::IfIdle).unwrap();
        }
    }),
];

fn objects_cost_little_and_give_back_what_they_cost() {
    for policy in PolicyKind::ALL {
        for (name, leave) in LEAVE {
            let hand = Hand::default();
            let options = StoreOptions {
                policy,
                ..hand.options()
            };
            let store = store_of(&[OBJECTS * 10], options);
            let empty = HEAP.allocated();
            (0..OBJECTS).for_each(|number| put(&store, number, 10));
            let full = HEAP.allocated() - empty;
            let each = full / usize::try_from(OBJECTS).unwrap();
            assert!(each <= BYTES_PER_OBJECT, "{each} bytes with {policy:?}");
            leave(&store, &hand);
            assert_eq!(store.stats().objects, 0);
            let kept = HEAP.allocated().saturating_sub(empty);
            assert!(
                kept <= full / 10,
                "{kept} of {full} kept: {name}, {policy:?}"
            );
        }
    }
}

/// Returns the heap that is in use after something was done for the second and
/// the sixth time: what is kept by the process is there after the first.
fn after_two_and_six(run: impl Fn()) -> (usize, usize) {
    let after = |times| {
        (0..times).for_each(|_| run());
        HEAP.allocated()
    };
    (after(2), after(4))
}

fn a_dropped_store_leaves_nothing() {
    let (early, late) = after_two_and_six(|| {
        let store = store_of(&[100_000, 100_000], StoreOptions::default());
        let events = store.events(100);
        (0..5_000).for_each(|number| put(&store, number, 50));
        drop(store.put(&key(9_999), &PutRequest::new(10)));
        drop((store, events));
    });
    assert!(late <= early + 4_096, "{early} and then {late} bytes");
}

fn segments_that_come_and_go_leave_nothing() {
    let store = ObjectStore::new(pool(Strategy::Random, 1), StoreOptions::default()).unwrap();
    let (early, late) = after_two_and_six(|| {
        for id in 1..=300 {
            let segment = Segment::remote(info(id, 1_000));
            store.pool().mount(segment).unwrap();
        }
        (0..3_000).for_each(|number| put(&store, number, 50));
        (1..=300).for_each(|id| drop(store.unmount(SegmentId(id)).unwrap()));
    });
    assert!(late <= early + 16_384, "{early} and then {late} bytes");
}

fn a_segment_that_comes_costs_the_next_put_no_more_where_many_were_passed_over() {
    let store = store_of(&[OBJECTS * 10, 1_000], StoreOptions::default());
    (0..OBJECTS).for_each(|number| put_in(&store, 1, number, 10));
    (0..100).for_each(|number| put_in(&store, 2, OBJECTS + number, 10));
    store.pool().suspend(SegmentId(1)).unwrap();
    put(&store, 2 * OBJECTS, 10);
    for id in 3..10 {
        store.pool().mount(Segment::remote(info(id, 1))).unwrap();
        let before = HEAP.total_allocated();
        put(&store, 2 * OBJECTS + u64::try_from(id).unwrap(), 10);
        let taken = HEAP.total_allocated() - before;
        assert!(taken <= 1 << 16, "{taken} bytes beside segment {id}");
    }
    store.check_invariants();
}

type Again = fn(&ObjectStore, &Hand, u64);

/// What is done again and again to a store with two places, one of whose objects, number 0, is
/// leased and was passed over.
const AGAIN: [(&str, Again); 4] = [
    ("read", |store, _, _| drop(store.get(&key(0)).unwrap())),
    ("leased for a time, beside puts", |store, hand, round| {
        hand.pass_seconds(1);
        drop(store.get_for(&key(0), Duration::from_secs(3_000)).unwrap());
        put(store, round, 10);
    }),
    (
        "read beside puts, its segment suspended",
        |store, _, round| {
            drop(store.get(&key(0)).unwrap());
            store.pool().suspend(SegmentId(1)).unwrap();
            refusal(store, round, &PutRequest::new(10));
            store.pool().resume(SegmentId(1)).unwrap();
        },
    ),
    ("kept, and others for a time each", |store, _, round| {
        let request = PutRequest {
            keep_until: Some(Duration::from_secs(3_000)),
            ..PutRequest::new(10)
        };
        put_as(store, round, &request).unwrap();
        store.remove(&key(round), Removal::Now).unwrap();
    }),
];

fn what_was_passed_over_or_is_kept_costs_the_same_however_often_it_is_used() {
    const ROUNDS: u64 = 20_000;
    for (name, again) in AGAIN {
        let hand = Hand::default();
        let options = StoreOptions {
            keep_percent: 100,
            lease_max: Duration::from_secs(3_000),
            ..hand.options()
        };
        let store = store_of(&[20], options);
        let kept = PutRequest {
            keep_until: Some(Duration::from_secs(3_000)),
            ..PutRequest::new(10)
        };
        put_as(&store, 0, &kept).unwrap();
        let lease = store.get_for(&key(0), Duration::from_secs(3_000)).unwrap();
        put(&store, 1, 10);
        put(&store, 2, 10);
        drop(lease);
        let rounds = |numbers: Range<u64>| {
            numbers.for_each(|round| again(&store, &hand, round));
            HEAP.allocated()
        };
        let early = rounds(10..5_000);
        let late = rounds(5_000..ROUNDS);
        assert!(
            late <= early + 4_096,
            "{early} and then {late} bytes: {name}"
        );
        store.check_invariants();
    }
}

fn main() {
    a_segment_that_comes_costs_the_next_put_no_more_where_many_were_passed_over();
    what_was_passed_over_or_is_kept_costs_the_same_however_often_it_is_used();
    a_dropped_store_leaves_nothing();
    segments_that_come_and_go_leave_nothing();
    objects_cost_little_and_give_back_what_they_cost();
}
