//! `BinExact` and `BinCeil` place every object where the published allocator
//! does, before and after its optimization.
//!
//! The crate `offset-allocator` is a port of the allocator before. Driven with
//! sizes that are rounded up to bins it is the one after.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use mc_offset::{Fit, OffsetAllocator, Options};
use offset_allocator::Allocator;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

fn compare(fit: Fit, capacity: u32, largest: u32, seed: u64) {
    let options = Options {
        fit,
        ..Options::new(capacity.into())
    };
    let mut ours = OffsetAllocator::with_options(options).unwrap();
    let mut published: Allocator = Allocator::with_max_allocs(capacity, 4096);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut live = Vec::new();
    for step in 0..20_000 {
        let size = rng.random_range(1..=largest);
        let charged = ours.charged_size(size.into());
        let theirs = charged.and_then(|size| published.allocate(size.try_into().unwrap()));
        match (ours.allocate(size.into()), theirs) {
            (Ok(ours), Some(theirs)) => {
                assert_eq!(
                    ours.offset(),
                    u64::from(theirs.offset),
                    "step {step} of seed {seed}"
                );
                live.push((ours, theirs));
            }
            (Err(_), None) => {
                let index = rng.random_range(0..live.len());
                let (mine, theirs) = live.swap_remove(index);
                ours.free(mine).unwrap();
                published.free(theirs);
            }
            (ours, theirs) => panic!(
                "step {step} of seed {seed}, {size} bytes: {ours:?} but published {}",
                theirs.is_some()
            ),
        }
    }
    ours.check_invariants();
}

#[test]
fn bin_exact_places_as_published_before() {
    for seed in 0..5 {
        compare(Fit::BinExact, 1 << 31, 1 << 26, seed);
        compare(Fit::BinExact, 1_000_003, 5_000, seed);
    }
}

#[test]
fn bin_ceil_places_as_published_after() {
    for seed in 0..5 {
        compare(Fit::BinCeil, 1 << 31, 1 << 26, seed);
        compare(Fit::BinCeil, 1_000_003, 5_000, seed);
    }
}
