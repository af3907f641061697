//! One slice out of an arena, with statistics over many short samples.
//!
//! The `mc-bench` command measures bursts and several threads; this target is for comparing two
//! versions of the code: criterion keeps the last result and tells whether a difference is noise.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mc_arena::{Arena, PagePolicy, PoolOptions, Population};

/// A lazily populated pool is emptied by one system call, so that criterion may ask for any number of
/// slices.
const POOL_BYTES: u64 = 4 << 30;

/// Bytes taken between two resets, outside the pool's last 64th.
const BURST_BYTES: usize = 3 << 30;

const CHUNK_BYTES: usize = 1 << 20;

const SIZES: [usize; 3] = [64, 4 << 10, 64 << 10];

fn slices(criterion: &mut Criterion) {
    let mut arena = empty_arena();
    let mut group = criterion.benchmark_group("one slice");
    for size_bytes in SIZES {
        group.bench_function(BenchmarkId::new("arena", size_bytes), |bencher| {
            bencher.iter_custom(|slices| {
                in_bursts(slices, size_bytes, |slices| {
                    arena.reset();
                    let start = Instant::now();
                    for _ in 0..slices {
                        let slice = arena.allocate(size_bytes);
                        black_box(slice.expect("a burst fits").as_ptr());
                    }
                    start.elapsed()
                })
            });
        });
        group.bench_function(BenchmarkId::new("thread-chunk", size_bytes), |bencher| {
            bencher.iter_custom(|slices| {
                in_bursts(slices, size_bytes, |slices| {
                    arena.reset();
                    let mut chunk = arena.thread_chunk(CHUNK_BYTES).expect("a valid size");
                    let start = Instant::now();
                    for _ in 0..slices {
                        let slice = chunk.allocate(size_bytes);
                        black_box(slice.expect("a burst fits").as_ptr());
                    }
                    start.elapsed()
                })
            });
        });
    }
    group.finish();
}

fn refusals(criterion: &mut Criterion) {
    let arena = empty_arena();
    while arena.allocate(1 << 20).is_ok() {}
    criterion.bench_function("refuse one slice", |bencher| {
        bencher.iter(|| black_box(arena.allocate(1 << 20)).is_err());
    });
}

fn empty_arena() -> Arena {
    let options = PoolOptions::new(POOL_BYTES).pages(PagePolicy::Off);
    let pool = options.population(Population::Lazy).map();
    Arena::new(pool.expect("address space is there")).expect("the pool holds many units")
}

/// Divides a number of slices into bursts and returns the sum of their times.
fn in_bursts(slices: u64, size_bytes: usize, mut burst: impl FnMut(usize) -> Duration) -> Duration {
    let burst_max = (BURST_BYTES / size_bytes) as u64;
    let mut left = slices;
    let mut time = Duration::ZERO;
    while left > 0 {
        let slices = left.min(burst_max);
        time += burst(usize::try_from(slices).expect("a burst fits the address space"));
        left -= slices;
    }
    time
}

criterion_group!(benches, slices, refusals);
criterion_main!(benches);
