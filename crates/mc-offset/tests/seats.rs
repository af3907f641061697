//! What a thread decides in one allocator does not depend on the others that it uses.
#![cfg(feature = "std")]

use mc_offset::{Handle, SharedAllocator};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A thread finds the magazines of allocators at once whose numbers differ modulo this.
const SEATS: usize = 16;

const CAPACITY: u64 = 1 << 20;
const SIZES: [u64; 4] = [1_000, 3_000, 5_000, 9_000];

/// Allocates from two allocators in turn and frees at random; returns the offsets.
fn offsets_of(one: &SharedAllocator, other: &SharedAllocator) -> Vec<Option<u64>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut live: Vec<Handle> = Vec::new();
    let offsets = (0..20_000).map(|at| {
        if live.len() > 300 || (random.random() && !live.is_empty()) {
            let place = random.random_range(0..live.len());
            drop(live.swap_remove(place));
        }
        let allocator = if at % 2 == 0 { one } else { other };
        let handle = allocator.allocate(SIZES[random.random_range(0..SIZES.len())]);
        let offset = handle.as_ref().ok().map(Handle::offset);
        live.extend(handle);
        offset
    });
    offsets.collect()
}

#[test]
fn allocators_that_share_a_seat_of_a_thread_decide_as_others_do() {
    let some = || SharedAllocator::new(CAPACITY).unwrap();
    // The other tests of this file would take numbers between, so it has none.
    let made: Vec<SharedAllocator> = (0..=SEATS).map(|_| some()).collect();
    let shared = offsets_of(&made[0], &made[SEATS]);
    drop(made);
    let made: Vec<SharedAllocator> = (0..2).map(|_| some()).collect();
    let apart = offsets_of(&made[0], &made[1]);
    assert!(shared.iter().any(Option::is_some));
    assert!(shared == apart, "the seat decides");
}
