//! Which neighbors leave where the next in order make no hole together, and what moves instead.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{ops::Range, time::Duration};

use crate::common::{
    info,
    objects::{Hand, key, local_store_of, numbers, put, put_as, put_in, refusal, store_of},
    pool,
};
use mc_segment::{RegistrationLimit, Segment, SegmentInfo, Strategy};
use mc_store::{Compaction, ObjectStore, PolicyKind, PutError, PutRequest, Removal, StoreOptions};

const BLOCK: u64 = 10;

/// Returns a full segment of blocks in the order of their numbers. Of those outside of `free` every
/// other one is pinned, so that none of them makes a hole for more than one block; those inside were
/// used last.
fn store_with_one_window(blocks: u64, free: &Range<u64>, search_blocks_max: usize) -> ObjectStore {
    segment_with_one_window(info(1, blocks * BLOCK), free, search_blocks_max)
}

/// As [`store_with_one_window`], in a segment of a host.
fn segment_with_one_window(
    segment: SegmentInfo,
    free: &Range<u64>,
    search_blocks_max: usize,
) -> ObjectStore {
    let options = StoreOptions {
        policy: PolicyKind::Lru,
        search_blocks_max,
        ..StoreOptions::default()
    };
    let blocks = segment.size / BLOCK;
    let pool = pool(Strategy::default(), 1);
    pool.mount(Segment::remote(segment)).unwrap();
    let store = ObjectStore::new(pool, options).unwrap();
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
fn a_window_at_the_end_of_a_registration_is_found() {
    const BLOCKS: u64 = 2_900;
    // Larger than what is looked at at once, so that it is looked at in parts.
    let window = BLOCKS - 1_400..BLOCKS;
    let mut two = info(1, 2 * BLOCKS * BLOCK);
    two.options.registration = Some(RegistrationLimit {
        max_bytes: BLOCKS * BLOCK,
        align: 8,
    });
    let store = segment_with_one_window(two, &window, 100);
    put(&store, u64::MAX, 1_400 * BLOCK);
    assert!(window.into_iter().all(|number| !store.exists(&key(number))));
    store.check_invariants();
}

#[test]
fn a_window_is_found_in_a_full_segment_that_may_have_no_more() {
    for (start, len) in [(1_000, 2), (2_000, 10)] {
        let mut full = info(1, 3_000 * BLOCK);
        full.options.max_allocations = Some(3_000);
        let store = segment_with_one_window(full, &(start..start + len), 100);
        put(&store, u64::MAX, len * BLOCK);
        let gone = (0..3_000).filter(|number| !store.exists(&key(*number)));
        // One alone would not make the hole, and leaves with none in vain.
        let gone: Vec<u64> = gone.collect();
        assert!(gone.len() as u64 <= len + 8.min(2 * len), "{gone:?}");
        assert!((start..start + len).all(|number| gone.contains(&number)));
    }
}

#[test]
fn neighbors_of_the_oldest_leave_before_a_window_elsewhere() {
    let (old, young) = (2_001..2_007, 101..107);
    let store = store_with_one_window(3_000, &old, 100);
    for number in young.clone() {
        store.unpin(&key(number));
    }
    // None of the next few is beside another of them; the first is in one of the windows.
    let others = (0..3_000).filter(|number| *number != old.start && !young.contains(number));
    for number in others.chain(young.clone()) {
        drop(store.get(&key(number)).unwrap());
    }
    put(&store, u64::MAX, 6 * BLOCK);
    let left = |window: Range<u64>| window.filter(|&number| !store.exists(&key(number))).count();
    assert_eq!((left(old), left(young)), (6, 0));
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
    // Of two that fit equally well, the first in order.
    let equal = [size + size / 8, size, size];
    let equal = moving(equal.into_iter().chain(others()));
    assert_eq!(gone_for(&equal, 31, size), [1]);
    assert_eq!(exact.stats().moved.objects, 0);
}

#[test]
fn where_nothing_may_move_the_first_in_order_leaves_however_well_others_fit() {
    let size = SEGMENT / 32;
    let sizes = [size + size / 8, size]
        .into_iter()
        .chain((0..28).map(|_| size + size / 4));
    let sizes: Vec<u64> = sizes.collect();
    let all = [sizes.iter().sum()];
    let still = StoreOptions {
        compaction: Compaction::OFF,
        ..moving_options()
    };
    // Without a budget, and without a copier.
    for store in [
        local_store_of(&all, still),
        store_of(&all, moving_options()),
    ] {
        for (number, &size) in (0..).zip(&sizes) {
            put(&store, number, size);
        }
        assert_eq!(gone_for(&store, 30, size), [0]);
    }
}

#[test]
fn one_that_fits_leaves_with_a_small_move_before_a_large_one_alone() {
    let size = SEGMENT / 32;
    let sizes = [2 * size, size - 1_000, 1_000, 1_000];
    let store = moving(sizes.into_iter().chain((0..28).map(|_| size + size / 4)));
    store.remove(&key(3), Removal::Now).unwrap();
    drop(store.get(&key(2)).unwrap());
    assert_eq!(gone_for(&store, 3, size), [1]);
    assert_eq!(store.stats().moved.bytes, 1_000);
}

#[test]
fn the_more_may_move_the_less_leaves_instead() {
    let part = |percent: u64| SEGMENT / 32 * percent / 100;
    // The oldest makes the hole alone, with what is free beside it. One that has a little less would do
    // if another moved there. Elsewhere are holes like the one that the oldest would leave over.
    let first = [16, 86, 15, 125, 15];
    let percents = first.into_iter().chain([125, 2].repeat(5)).chain([125; 17]);
    let sizes: Vec<u64> = percents.map(part).collect();
    let holes = [1, 6, 8, 10, 12, 14];
    for policy in [PolicyKind::Lru, PolicyKind::Gdsf] {
        for (moved_per_placed, expected) in [(1.0, 0), (4.0, 4)] {
            let options = StoreOptions {
                policy,
                compaction: Compaction::moving(moved_per_placed),
                ..moving_options()
            };
            let store = local_store_of(&[sizes.iter().sum()], options);
            for (number, &size) in (0..).zip(&sizes) {
                // All bytes are worth the same, and that is little.
                let request = PutRequest {
                    cost: Duration::from_nanos(size),
                    ..PutRequest::new(size)
                };
                put_as(&store, number, &request).unwrap();
            }
            for number in holes {
                store.remove(&key(number), Removal::Now).unwrap();
            }
            // Often, so that the two others are as good as equally old.
            for _ in 0..20 {
                for number in [3].into_iter().chain(5..32).chain([2, 2]) {
                    drop(store.get(&key(number)));
                }
            }
            let before = numbers(&store);
            put(&store, 100, part(100));
            let gone: Vec<u64> = before.difference(&numbers(&store)).copied().collect();
            assert_eq!(gone, [expected], "{policy:?}, {moved_per_placed}");
        }
    }
}

#[test]
fn many_that_are_old_leave_and_the_young_between_them_move() {
    let (size, hand) = (SEGMENT / 512, Hand::default());
    let options = hand.with(moving_options());
    let store = local_store_of(&[SEGMENT], options);
    for number in 0..512 {
        put(&store, number, size);
    }
    hand.pass_seconds(100);
    let is_young = |number: &u64| number % 2 == 1;
    for number in (0..512).filter(is_young) {
        drop(store.get(&key(number)).unwrap());
    }
    let gone = gone_for(&store, 512, 100 * size);
    assert!(!gone.iter().any(is_young), "{gone:?}");
    assert_eq!(gone.len(), 100);
    assert!(store.stats().moved.objects > 0);
}

#[test]
fn the_old_leave_and_the_young_move_though_emptier_segments_can_make_no_hole() {
    let size = SEGMENT / 10;
    let store = local_store_of(&[10 * size; 5], moving_options());
    for number in 0..50 {
        put_in(&store, 1 + u128::from(number / 10), number, size);
    }
    // In four segments, every other place is free, and all else is pinned.
    for number in 0..40 {
        match number % 2 {
            0 => assert!(store.pin(&key(number))),
            _ => store.remove(&key(number), Removal::Now).map(drop).unwrap(),
        }
    }
    let old = [43, 45];
    for number in (40..50).filter(|number| !old.contains(number)) {
        drop(store.get(&key(number)).unwrap());
    }
    let before = numbers(&store);
    put(&store, 100, 2 * size);
    let gone: Vec<u64> = before.difference(&numbers(&store)).copied().collect();
    assert_eq!((gone, store.stats().moved.objects), (old.to_vec(), 1));
}

#[test]
fn a_hole_that_is_made_by_moves_is_aligned_as_asked() {
    let size = SEGMENT / 10;
    let store = moving(std::iter::once(1_000).chain((0..10).map(|_| size)));
    for number in (1..11).step_by(2) {
        store.remove(&key(number), Removal::Now).unwrap();
    }
    let request = PutRequest {
        align: 1 << 16,
        ..PutRequest::new(3 * size)
    };
    put_as(&store, 100, &request).unwrap();
    let address = store.get(&key(100)).unwrap().descriptors()[0].address;
    assert!(address.is_multiple_of(1 << 16), "{address:#x}");
    let stats = store.stats();
    assert_eq!(stats.on_demand.objects, 0);
    assert!(stats.moved.objects > 0);
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
            ..hand.with(moving_options())
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
