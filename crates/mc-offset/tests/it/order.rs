//! In which order an untouched range is filled.
//!
//! Claims, for every fit: allocating the gaps and the objects of a layout in
//! address order, on an empty range, puts every one of them where it was, for
//! layouts that the same fit produced; while a tenth of the range is live, the
//! high three quarters of it stay untouched; a range that has grown is filled
//! on from where it ended.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use crate::common::{FITS, largest_request};
use mc_offset::{Allocation, Fit, OffsetAllocator, Options};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const CAPACITY: u64 = 4 << 30;
const OPERATIONS: usize = 4000;
/// Of a store whose layout has many gaps of a few bytes.
const OPERATIONS_LONG: usize = 16_000;

/// How a store chooses the sizes of its objects.
#[derive(Clone, Copy, Debug)]
enum Sizes {
    Equal,
    Paired,
    Uniform,
    LogUniform,
    MetadataAndPayloads,
}

/// Those whose small objects are in order under every fit.
const SIZES: [Sizes; 4] = [
    Sizes::Equal,
    Sizes::Paired,
    Sizes::Uniform,
    Sizes::LogUniform,
];

impl Sizes {
    fn draw(self, rng: &mut Xoshiro256PlusPlus) -> u64 {
        match self {
            Self::Equal => 3_274_752,
            Self::Paired => [3_274_752, 643 << 10][rng.random_range(0..2)],
            Self::Uniform => rng.random_range(1024..=64 << 20),
            Self::LogUniform => (1 << rng.random_range(10..26)) + rng.random_range(0..1024),
            Self::MetadataAndPayloads => {
                let payload = rng.random_range(10 << 20..12 << 20);
                [rng.random_range(256..10 << 10), payload][rng.random_range(0..2)]
            }
        }
    }
}

/// Stores and evicts at random with at most `live_max` bytes live; returns the
/// allocator and the highest offset that was ever in use.
fn churned(
    fit: Fit,
    sizes: Sizes,
    seed: u64,
    live_max: u64,
    operations: usize,
) -> (OffsetAllocator, u64) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let options = Options {
        fit,
        ..Options::new(CAPACITY)
    };
    let mut allocator = OffsetAllocator::with_options(options).unwrap();
    let mut live: Vec<Allocation> = Vec::new();
    let mut highest_end = 0;
    for _ in 0..operations {
        let size = sizes.draw(&mut rng);
        while allocator.live_bytes() + size > live_max {
            let victim = live.swap_remove(rng.random_range(0..live.len()));
            allocator.free(victim).unwrap();
        }
        while !live.is_empty() && rng.random_ratio(1, 8) {
            let victim = live.swap_remove(rng.random_range(0..live.len()));
            allocator.free(victim).unwrap();
        }
        match allocator.allocate(size) {
            Ok(token) => live.push(token),
            Err(_) => {
                let victim = live.swap_remove(rng.random_range(0..live.len()));
                allocator.free(victim).unwrap();
            }
        }
        highest_end = highest_end.max(allocator.highest_end());
    }
    (allocator, highest_end)
}

/// Allocates a gap, in as few requests as are charged exactly its bytes;
/// returns whether all of it is where it should be.
fn fill_gap(allocator: &mut OffsetAllocator, gap: std::ops::Range<u64>) -> bool {
    let mut at = gap.start;
    while at < gap.end {
        let size = largest_request(allocator.options(), gap.end - at);
        if !allocator
            .allocate(size)
            .is_ok_and(|token| token.offset() == at)
        {
            return false;
        }
        at += size;
    }
    true
}

/// Returns whether every object of a layout is where it was after allocating
/// gaps and objects in address order.
fn is_restored(layout: &OffsetAllocator) -> bool {
    let mut rebuilt = OffsetAllocator::with_options(*layout.options()).unwrap();
    let mut end = 0;
    layout.allocations().all(|object| {
        let is_gap_filled = fill_gap(&mut rebuilt, end..object.offset());
        end = object.offset() + layout.charged_size(object.size()).unwrap();
        let again = rebuilt.allocate(object.size());
        is_gap_filled && again.is_ok_and(|again| again.offset() == object.offset())
    })
}

#[test]
fn gaps_and_objects_in_address_order_restore_every_layout() {
    for fit in FITS {
        let mut restored = 0;
        for sizes in SIZES {
            for (seed, part) in (0..20).zip([1, 2, 4, 10].into_iter().cycle()) {
                let live_max = CAPACITY / part;
                let (layout, _) = churned(fit, sizes, seed, live_max, OPERATIONS);
                restored += u32::from(is_restored(&layout));
            }
        }
        // A hole that is hardly larger than a request is invisible to it under
        // this fit, also where it is the rest of the range.
        let least = if fit == Fit::BinExact { 60 } else { 80 };
        assert!(restored >= least, "{restored} of 80 under {fit:?}");
    }
}

#[test]
fn tiny_gaps_between_objects_do_not_lead_adaptive_fit_to_the_far_end() {
    for sizes in [Sizes::LogUniform, Sizes::MetadataAndPayloads] {
        for (seed, part) in (0..48).zip([1, 2].into_iter().cycle()) {
            let live_max = CAPACITY / part;
            let (layout, _) = churned(Fit::Adaptive, sizes, seed, live_max, OPERATIONS_LONG);
            assert!(is_restored(&layout), "seed {seed} of {sizes:?}");
        }
    }
}

#[test]
fn the_high_end_stays_untouched_while_a_tenth_is_live() {
    for fit in FITS {
        for sizes in SIZES {
            for seed in 0..5 {
                let (_, highest_end) = churned(fit, sizes, seed, CAPACITY / 10, OPERATIONS);
                let share = highest_end as f64 / CAPACITY as f64;
                assert!(share <= 0.25, "{share:.3} under {fit:?}, {sizes:?}");
            }
        }
    }
}

#[test]
fn a_range_that_has_grown_is_filled_on_from_its_end() {
    for fit in FITS {
        let options = Options {
            fit,
            ..Options::new(1 << 20)
        };
        let mut allocator = OffsetAllocator::with_options(options).unwrap();
        while allocator.allocate(1 << 10).is_ok() {}
        allocator.grow(1 << 21).unwrap();
        for number in 0..512 {
            let token = allocator.allocate(1 << 10).unwrap();
            assert_eq!(token.offset(), (1 << 20) + (number << 10), "{fit:?}");
        }
        allocator.check_invariants();
    }
}
