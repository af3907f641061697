//! Allocators that churn has fragmented.

use mc_offset::{Allocation, OffsetAllocator, Options};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

pub(crate) fn churned(
    options: Options,
    rng: &mut Xoshiro256PlusPlus,
) -> (OffsetAllocator, Vec<Allocation>) {
    let mut allocator = OffsetAllocator::with_options(options).expect("tests give valid options");
    let mut live = Vec::new();
    for _ in 0..200 {
        match allocator.allocate(rng.random_range(1..300)) {
            Ok(block) => live.push(block),
            Err(_) => allocator
                .free(live.swap_remove(rng.random_range(0..live.len())))
                .expect("it is live"),
        }
    }
    (allocator, live)
}
