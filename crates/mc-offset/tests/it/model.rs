//! Seeded random programs against a map of ranges, for every fit.
//!
//! Claims, checked after every step: live ranges are disjoint and inside the
//! capacity; holes are exactly the gaps between them; every sum is right; a
//! request is refused only if no hole fits it (fits that round excepted), and
//! a refusal states the exact free bytes and largest hole; an allocation at an
//! offset is refused only for what is in the way; resizing never moves and is
//! refused only for want of room; objects in pieces have the fewest; the end of
//! the range moves wherever no live range is in the way.

use crate::common::{FITS, Shadowed};
use mc_offset::Options;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// How a program chooses the next request.
#[derive(Clone, Copy, Debug)]
enum Sizes {
    /// Anything from a byte to a quarter of the pool.
    Mixed,
    /// Two sizes that are not bin sizes.
    Paired,
    /// Every magnitude alike.
    LogUniform,
}

fn next_size(sizes: Sizes, capacity: u64, rng: &mut Xoshiro256PlusPlus) -> u64 {
    let size = match sizes {
        Sizes::Mixed => rng.random_range(1..=capacity.div_ceil(4)),
        Sizes::Paired => {
            [capacity.div_ceil(50) + 1, capacity.div_ceil(11) + 1][rng.random_range(0..2)]
        }
        Sizes::LogUniform => {
            rng.random_range(1..=capacity) >> rng.random_range(0..=capacity.ilog2())
        }
    };
    size.max(1)
}

fn run(options: Options, sizes: Sizes, seed: u64, steps: u32) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut shadowed = Shadowed::new(options);
    for step in 0..steps {
        let is_growing = step / 64 % 2 == 0;
        let wants_free = rng.random_ratio(if is_growing { 1 } else { 3 }, 5);
        let some_live = shadowed
            .live
            .keys()
            .copied()
            .nth(rng.random_range(0..shadowed.live.len().max(1)));
        let size = next_size(sizes, options.capacity, &mut rng);
        let align = 1 << (rng.random_range(0..8_u32) >> rng.random_range(0..8));
        match (some_live, rng.random_range(0..8)) {
            (Some(offset), _) if wants_free => shadowed.free(offset),
            (Some(offset), 0) => shadowed.resize(offset, size),
            (_, 1) => {
                let offset = rng.random_range(0..options.capacity);
                let granule_start = offset / options.granule * options.granule;
                shadowed.allocate_at(granule_start, size);
            }
            (_, 2) if step % 8 == 0 => {
                let capacity = rng.random_range(0..=options.capacity);
                let is_granular = rng.random_ratio(7, 8);
                let over = if is_granular {
                    capacity % options.granule
                } else {
                    0
                };
                shadowed.set_capacity(capacity - over);
            }
            (_, 2) => {
                let large = size.saturating_mul(3);
                shadowed.allocate_extents(large, rng.random_range(1..6), align);
            }
            _ => drop(shadowed.allocate(size, align)),
        }
        shadowed.check();
    }
    let offsets: Vec<u64> = shadowed.live.keys().copied().collect();
    for offset in offsets {
        shadowed.free(offset);
    }
    shadowed.check();
    shadowed.set_capacity(options.capacity);
    assert_eq!(shadowed.allocator.free_bytes(), options.capacity);
    assert_eq!(shadowed.allocator.hole_count(), 1);
}

/// Stamps one test per kind of program.
macro_rules! programs {
    ($($name:ident: $sizes:expr, $capacity:expr, $granule:expr;)*) => {$(
        #[test]
        fn $name() {
            for fit in FITS {
                for seed in 0..4 {
                    eprintln!("fit {fit:?}, seed {seed}");
                    let options = Options { fit, granule: $granule, ..Options::new($capacity) };
                    run(options, $sizes, seed, 400);
                }
            }
        }
    )*};
}

programs! {
    mixed_sizes_by_the_byte: Sizes::Mixed, 1000, 1;
    mixed_sizes_in_a_large_range: Sizes::Mixed, (1 << 40) + 12_345, 1;
    mixed_sizes_in_granules: Sizes::Mixed, 64 * 1000, 64;
    mixed_sizes_in_granules_of_no_power_of_two: Sizes::Mixed, 1536 * 1000, 1536;
    two_sizes_in_granules_of_three_bytes: Sizes::Paired, 3 * 3335, 3;
    mixed_sizes_in_the_largest_range: Sizes::Mixed, u64::MAX, 1;
    two_sizes_by_the_byte: Sizes::Paired, 10_007, 1;
    two_sizes_in_granules: Sizes::Paired, 4096 * 999, 4096;
    log_uniform_sizes_by_the_byte: Sizes::LogUniform, 1 << 20, 1;
    log_uniform_sizes_in_the_largest_range: Sizes::LogUniform, u64::MAX, 1;
}
