//! The claims of `holes`, each by itself.

use super::*;
use crate::bins::MANTISSA_BITS_GOOD;

/// The index of the hole that is added first.
const FIRST: u32 = NO_HOLE + 1;

/// Returns holes of some sizes with ascending indices.
fn holes(sizes: &[u64]) -> Holes {
    let mut holes = Holes::new(BinScale::new(MANTISSA_BITS_GOOD), 1 << 20).unwrap();
    for (at, &size) in (0..).zip(sizes) {
        holes.reserve_one().unwrap();
        let index = holes.insert(1000 * u64::from(at), size, at);
        assert_eq!(index, FIRST + at);
    }
    holes.check_invariants();
    holes
}

#[test]
fn the_bound_is_exact_again_when_a_larger_hole_comes() {
    let mut holes = holes(&[100, 50]);
    holes.remove(FIRST);
    assert!(!holes.is_bound_exact);
    holes.insert(0, 200, 0);
    assert!(holes.is_bound_exact);
    assert_eq!(holes.largest_bound(), 200);
}

#[cfg(feature = "std")]
#[test]
fn a_lone_hole_in_the_highest_bin_is_learned_to_be_the_largest() {
    for (sizes, bound) in [(&[100, 50][..], 50), (&[100, 50, 50], 100)] {
        let mut holes = holes(sizes);
        holes.remove(FIRST);
        holes.tighten_bound_at_once();
        assert_eq!(holes.largest_bound(), bound, "{sizes:?} without the first");
        assert_eq!(holes.is_bound_exact, bound == 50);
    }
}

#[test]
fn the_index_of_few_holes_counts_as_memory_until_it_is_idle() {
    let mut holes = holes(&[100, 50]);
    let records = holes.heap_bytes();
    let _ = holes.by_address().unwrap().last_fit(1);
    let by_address = holes.by_address().unwrap().heap_bytes();
    assert!(by_address > 0);
    let first = FIRST;
    for change in 0..62 {
        assert_eq!(holes.heap_bytes(), records + by_address, "change {change}");
        holes.reshape(first, 0, 100 + change);
    }
    for _ in 0..5 {
        holes.reshape(first, 0, 100);
    }
    assert_eq!(holes.heap_bytes(), records);
}

#[test]
fn many_holes_are_always_indexed() {
    let holes = holes(&[10; 300]);
    assert!(holes.by_address.is_some());
    assert_eq!(holes.largest(), 10);
}

#[test]
fn memory_of_holes_that_are_gone_is_given_back() {
    let mut holes = holes(&[10; 8000]);
    let full_bytes = holes.heap_bytes();
    assert!(!holes.is_mostly_vacant());
    for index in FIRST..FIRST + 8000 {
        holes.remove(index);
    }
    assert!(holes.is_mostly_vacant());
    holes.trim();
    assert!(holes.heap_bytes() * 4 < full_bytes);
    holes.check_invariants();
}

#[test]
#[should_panic(expected = "is wrong")]
fn a_bin_whose_bit_is_wrong_is_noticed() {
    let mut holes = holes(&[100]);
    let bin = holes.bins.last().unwrap();
    holes.bins.remove(bin);
    holes.check_invariants();
}
