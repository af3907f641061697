//! One store operation of a full pool, with statistics over many short samples.
//!
//! The `mc-bench` command measures whole workloads; this target is for comparing two versions of
//! the code: criterion keeps the last result and tells whether a difference is noise.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mc_offset::{Allocation, Fit, OffsetAllocator, Options, SharedAllocator};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const CAPACITY_BYTES: u64 = 2 << 30;

/// Sizes just above a bin: few objects, and more objects than the caches hold nodes.
const SIZES: [u64; 3] = [33_554_449, 131_089, 8_209];

const SEED: u64 = 42;

fn steady_state(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replace one object of a full pool");
    for size_bytes in SIZES {
        for (name, fit) in [("bin-ceil", Fit::BinCeil), ("good-fit", Fit::GOOD)] {
            let options = Options {
                fit,
                ..Options::new(CAPACITY_BYTES)
            };
            let mut pool = OffsetAllocator::with_options(options).expect("valid options");
            let mut live = filled(&mut pool, size_bytes);
            let mut victims = Xoshiro256PlusPlus::seed_from_u64(SEED);
            group.bench_function(BenchmarkId::new(name, size_bytes), |bencher| {
                bencher.iter(|| {
                    let victim = victims.random_range(0..live.len());
                    pool.free(live[victim]).expect("the victim is live");
                    live[victim] = pool
                        .allocate(size_bytes)
                        .expect("a hole has just been made");
                });
            });
        }
    }
    group.finish();
}

fn handles(criterion: &mut Criterion) {
    let pool = SharedAllocator::new(CAPACITY_BYTES).expect("valid options");
    criterion.bench_function("allocate and drop one handle", |bencher| {
        bencher.iter(|| black_box(pool.allocate(131_089).expect("the pool is empty")));
    });
}

fn refusals(criterion: &mut Criterion) {
    let mut pool = OffsetAllocator::new(CAPACITY_BYTES).expect("valid options");
    let _live = filled(&mut pool, 131_089);
    criterion.bench_function("refuse one object", |bencher| {
        bencher.iter(|| black_box(pool.allocate(131_089)).is_err());
    });
}

/// Allocates until the pool refuses.
fn filled(pool: &mut OffsetAllocator, size_bytes: u64) -> Vec<Allocation> {
    std::iter::from_fn(|| pool.allocate(size_bytes).ok()).collect()
}

criterion_group!(benches, steady_state, handles, refusals);
criterion_main!(benches);
