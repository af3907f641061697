//! Every subject hands out ranges that lie inside the pool and never overlap.

use std::collections::BTreeMap;

use mc_offset::{CompactAllocation, Fit};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Placement, Pool, Subject, offset_allocator::Scaled};

const POOL: Pool = Pool {
    capacity_bytes: 1 << 16,
    smallest_bytes: 16,
};

/// Runs a seeded program of allocations and frees against a map of the live ranges.
fn check<S: Subject>(mut subject: S) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut shadow = BTreeMap::new();
    let mut live = Vec::new();
    let mut refused = 0;
    for _ in 0..20_000 {
        let size_bytes = rng.random_range(POOL.smallest_bytes..2_048);
        match subject.allocate(size_bytes) {
            Some(token) => {
                let placement = subject.placement(&token);
                assert_eq!(placement.size_bytes, size_bytes);
                insert(&mut shadow, placement);
                live.push(token);
            }
            None => {
                refused += 1;
                let token = live.swap_remove(rng.random_range(0..live.len()));
                shadow.remove(&subject.placement(&token).offset_bytes);
                subject.free(token);
            }
        }
    }
    assert!(refused > 1_000, "the pool never filled up");
}

#[track_caller]
fn insert(shadow: &mut BTreeMap<u64, u64>, placement: Placement) {
    let Placement {
        offset_bytes: start,
        size_bytes,
    } = placement;
    let end = start + size_bytes;
    assert!(end <= POOL.capacity_bytes, "{start}..{end} leaves the pool");
    if let Some((&left, &left_end)) = shadow.range(..=start).next_back() {
        assert!(
            left_end <= start,
            "{start}..{end} overlaps {left}..{left_end}"
        );
    }
    if let Some((&right, _)) = shadow.range(start..).next() {
        assert!(
            end <= right,
            "{start}..{end} overlaps the object at {right}"
        );
    }
    shadow.insert(start, end);
}

#[test]
fn offset_hands_out_disjoint_ranges_under_every_fit() {
    for fit in [Fit::BinExact, Fit::BinCeil, Fit::GOOD, Fit::Adaptive] {
        check(super::offset::Offset::<CompactAllocation>::new(&POOL, fit));
    }
}

#[test]
fn extents_hand_out_disjoint_pieces() {
    let mut subject = super::extents::Pieces::new(&POOL, 4);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut live = Vec::new();
    let mut split = 0;
    for _ in 0..2_000 {
        let size_bytes = rng.random_range(POOL.smallest_bytes..4_096);
        let Some(token) = subject.allocate(size_bytes) else {
            subject.free(live.swap_remove(rng.random_range(0..live.len())));
            continue;
        };
        assert_eq!(subject.placement(&token).size_bytes, size_bytes);
        assert!(token.pieces().len() <= 4);
        split += usize::from(token.pieces().len() > 1);
        live.push(token);
        let mut shadow = BTreeMap::new();
        for piece in live.iter().flat_map(|token| token.pieces()) {
            let (offset_bytes, size_bytes) = (piece.offset(), piece.size());
            insert(
                &mut shadow,
                Placement {
                    offset_bytes,
                    size_bytes,
                },
            );
        }
    }
    assert!(split > 100, "{split} objects lay in several pieces");
}

#[test]
fn slots_hand_out_each_slot_once() {
    let mut slots = super::slots::Slots::new(&POOL);
    let mut shadow = BTreeMap::new();
    while let Some(token) = slots.allocate(POOL.smallest_bytes) {
        insert(&mut shadow, slots.placement(&token));
    }
    assert_eq!(shadow.len() as u64, POOL.objects_max());
}

#[test]
fn visits_what_is_live() {
    let mut subject = super::offset::Offset::<CompactAllocation>::new(&POOL, Fit::Adaptive);
    let tokens: Vec<_> = (16..40).filter_map(|size| subject.allocate(size)).collect();
    let mut expected: Vec<Placement> = tokens
        .iter()
        .map(|token| subject.placement(token))
        .collect();
    expected.sort_by_key(|placement| placement.offset_bytes);
    let mut visited = Vec::new();
    assert!(subject.visit(&mut |placement| visited.push(placement)));
    assert_eq!(visited, expected);
}

#[test]
fn shared_hands_out_disjoint_ranges() {
    check(super::shared::Shared::new(&POOL));
}

#[test]
fn offset_allocator_hands_out_disjoint_ranges() {
    check(Scaled::<::offset_allocator::Allocator>::new(&POOL));
}

#[test]
fn offset_compat_hands_out_disjoint_ranges() {
    check(Scaled::<offset_compat::Allocator>::new(&POOL));
}

#[test]
fn range_alloc_hands_out_disjoint_ranges() {
    check(super::range_alloc::Ranges::new(&POOL));
}

#[test]
fn buddy_hands_out_disjoint_ranges() {
    check(super::buddy::Frames::new(&POOL));
}

#[test]
fn oracle_accepts_a_request_exactly_when_the_sum_fits() {
    let mut oracle = super::Oracle::new(&Pool {
        capacity_bytes: 10,
        smallest_bytes: 1,
    });
    let first = oracle.allocate(6).unwrap();
    assert!(oracle.allocate(5).is_none());
    assert!(oracle.allocate(4).is_some());
    assert!(oracle.allocate(1).is_none());
    oracle.free(first);
    assert!(oracle.allocate(6).is_some());
}
