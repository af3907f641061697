//! Which neighbors leave where the next in order make no hole together.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use std::ops::Range;

use common::objects::{Hand, key, local_store_of, numbers, put, put_in, refusal, store_of};
use mc_store::{Compaction, ObjectStore, PolicyKind, PutError, PutRequest, Removal, StoreOptions};

const BLOCK: u64 = 10;

/// Returns a full segment of blocks in the order of their numbers. Of those outside of `free` every
/// other one is pinned, so that none of them makes a hole for more than one block; those inside were
/// used last.
fn store_with_one_window(blocks: u64, free: &Range<u64>, search_blocks_max: usize) -> ObjectStore {
    let options = StoreOptions {
        policy: PolicyKind::Lru,
        search_blocks_max,
        ..StoreOptions::default()
    };
    let store = store_of(&[blocks * BLOCK], options);
    for number in 0..blocks {
        put(&store, number, BLOCK);
    }
    for number in 0..blocks {
        let is_beside = number + 1 == free.start || number == free.end;
        if !free.contains(&number) && (number % 2 == 0 || is_beside) {
            assert!(store.pin(&key(number)));
        }
    }
    for number in free.clone() {
        drop(store.get(&key(number)).unwrap());
    }
    store
}

#[test]
fn the_only_window_is_found_wherever_it_is() {
    // Blocks are looked at a thousand or so at once.
    let starts = [
        1, 500, 1000, 1015, 1022, 1023, 1024, 1025, 2040, 2047, 2048, 2980,
    ];
    for start in starts {
        // A part of a block takes all of it.
        for (len, size) in [(2, 15), (2, 20), (10, 91), (15, 150)] {
            let window = start..start + len;
            let store = store_with_one_window(3_000, &window, 100);
            put(&store, u64::MAX, size);
            let is_gone = |number: &u64| !store.exists(&key(*number));
            let inside = window.clone().filter(is_gone).count() as u64;
            assert_eq!(inside, len, "{len} blocks from {start} on");
            // Those whose turn has come leave with a plan, of twice the bytes at most.
            let gone = (0..3_000).filter(is_gone).count() as u64;
            assert!(gone <= len + 8.min(2 * len), "{gone} left for {len}");
            store.check_invariants();
        }
    }
}

#[test]
fn nobody_leaves_where_a_window_is_short_by_one_block() {
    for start in [1, 1015, 1023, 2047] {
        let store = store_with_one_window(3_000, &(start..start + 8), 100);
        let before = numbers(&store);
        let refused = refusal(&store, u64::MAX, &PutRequest::new(9 * BLOCK));
        assert!(matches!(refused, PutError::NoRoom { .. }));
        assert!(numbers(&store) == before, "somebody left");
    }
}

#[test]
fn of_two_windows_the_one_used_longest_ago_leaves() {
    // Far behind the next in order, so that neither is near them.
    for (old, young) in [
        (200, 1_500),
        (1_500, 200),
        (1_020, 2_500),
        (2_500, 1_020),
        // Both are looked at together.
        (200, 900),
        (900, 200),
    ] {
        let store = store_with_one_window(3_000, &(young..young + 6), 4_096);
        for number in old - 1..old + 7 {
            let is_inside = (old..old + 6).contains(&number);
            assert!(if is_inside {
                store.unpin(&key(number))
            } else {
                store.pin(&key(number))
            });
        }
        for number in (old..old + 6).chain(young..young + 6) {
            drop(store.get(&key(number)).unwrap());
        }
        put(&store, u64::MAX, 6 * BLOCK);
        let left = |from: u64| (from..from + 6).filter(|&number| !store.exists(&key(number)));
        assert_eq!((left(old).count(), left(young).count()), (6, 0));
    }
}

const SEGMENT: u64 = 1 << 20;

/// Returns options of a store in which objects may move.
fn moving_options() -> StoreOptions {
    StoreOptions {
        policy: PolicyKind::Lru,
        compaction: Compaction {
            moved_per_placed: 1.0,
            bytes_per_call_max: u64::MAX,
        },
        ..StoreOptions::default()
    }
}

/// Returns a full segment in which objects may move, with objects of these sizes in this order.
fn moving(sizes: impl IntoIterator<Item = u64>) -> ObjectStore {
    let sizes: Vec<u64> = sizes.into_iter().collect();
    let store = local_store_of(&[sizes.iter().sum()], moving_options());
    for (number, size) in (0..).zip(sizes) {
        put(&store, number, size);
    }
    store
}

/// Returns which objects of the first `count` a put of some bytes lets go.
fn gone_for(store: &ObjectStore, count: u64, size: u64) -> Vec<u64> {
    put(store, u64::MAX, size);
    (0..count)
        .filter(|number| !store.exists(&key(*number)))
        .collect()
}

#[test]
fn of_the_next_in_order_the_one_leaves_that_fits_best() {
    let size = SEGMENT / 32;
    let others = || (0..28).map(|_| size + size / 4);
    // The next with an eighth of all bytes leave in any order, three of these; what is left over of
    // one that fits is less than a part in 64.
    let exact = moving(
        [size - 1_000, size + size / 8, size]
            .into_iter()
            .chain(others()),
    );
    assert_eq!(gone_for(&exact, 31, size), [2]);
    let close = [size + size / 8, size + size / 100, size + size / 200];
    let close = moving(close.into_iter().chain(others()));
    assert_eq!(gone_for(&close, 31, size), [2]);
    let first = [size + size / 200, size + size / 100, size + size / 8];
    let first = moving(first.into_iter().chain(others()));
    assert_eq!(gone_for(&first, 31, size), [0]);
    assert_eq!(exact.stats().moved.objects, 0);
}

#[test]
fn one_that_fits_does_not_leave_before_its_turn_is_near() {
    let size = SEGMENT / 32;
    let others = (0..28).map(|_| size + size / 4);
    let late = moving(others.chain([size]));
    let gone = gone_for(&late, 29, size);
    assert!(!gone.is_empty() && !gone.contains(&28), "{gone:?}");
}

#[test]
fn two_that_are_old_leave_and_the_young_one_between_them_moves() {
    let (size, hand) = (SEGMENT / 32, Hand::default());
    let policies = [PolicyKind::Lru, PolicyKind::Gdsf];
    let all = policies.map(|policy| [[0, 2], [10, 12], [29, 31]].map(|old| (policy, old)));
    for (policy, old) in all.into_iter().flatten() {
        let options = StoreOptions {
            policy,
            clock: hand.clock(),
            ..moving_options()
        };
        let store = local_store_of(&[SEGMENT], options);
        for number in 0..32 {
            put(&store, number, size);
        }
        hand.pass_seconds(100);
        for number in (0..32).filter(|number| !old.contains(number)) {
            drop(store.get(&key(number)).unwrap());
        }
        hand.pass_seconds(1);
        assert_eq!(gone_for(&store, 32, 2 * size), old, "{policy:?}");
        assert_eq!(store.stats().moved.objects, 1, "{policy:?}");
    }
}

#[test]
fn of_two_segments_the_hole_is_made_where_less_moves() {
    let size = SEGMENT / 10;
    // Free places of ten: one move makes a hole of three, or two do.
    let (near, far) = ([0, 2, 8], [0, 3, 6]);
    for free in [[near, far], [far, near]] {
        let store = local_store_of(&[10 * size; 2], moving_options());
        for number in 0..20 {
            put_in(&store, 1 + u128::from(number / 10), number, size);
        }
        for (first, places) in [0, 10].into_iter().zip(free) {
            for place in places {
                store.remove(&key(first + place), Removal::Now).unwrap();
            }
        }
        put(&store, 100, 3 * size);
        let stats = store.stats();
        assert_eq!((stats.on_demand.objects, stats.moved.objects), (0, 1));
    }
}

#[test]
fn a_huge_object_leaves_for_small_ones_when_eight_times_its_bytes_were_placed_instead() {
    let small = SEGMENT / 64;
    let huge = 16 * small;
    let store = moving([huge].into_iter().chain((0..48).map(|_| small)));
    let mut placed = 0;
    while store.exists(&key(0)) {
        assert!(placed < 20 * huge, "it never leaves");
        // Of sizes that add up to no multiple of its bytes.
        put(&store, 1_000 + placed, small - 24);
        placed += small - 24;
    }
    assert!((8 * huge..9 * huge).contains(&placed), "{placed} of {huge}");
    // One that is a little smaller is not huge, and leaves in its turn.
    let store = moving([huge - 64].into_iter().chain((0..48).map(|_| small)));
    put(&store, 1_000, small);
    assert!(!store.exists(&key(0)));
}
