//! Heap that a store takes and gives back.
//!
//! Claims: an object costs a bounded number of bytes of heap; when all objects
//! have left, whichever way, nearly all of it is back; a store that is dropped leaves
//! nothing, and neither do segments that come and go.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use std::{alloc::System, time::Duration};

use cap::Cap;
use common::{
    info,
    objects::{Hand, POLICIES, key, numbers, put, refusal, store_of},
    pool,
};
use mc_segment::{Segment, SegmentId, Strategy};
use mc_store::{ObjectStore, PutRequest, Removal, StoreOptions};

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
    for policy in POLICIES {
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
                kept <= full / 20,
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

fn main() {
    a_dropped_store_leaves_nothing();
    segments_that_come_and_go_leave_nothing();
    objects_cost_little_and_give_back_what_they_cost();
}
