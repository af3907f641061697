//! A small object allocated and freed at once while other threads do the same.
//!
//! For comparing two versions of the shared allocator: criterion keeps the last result. The
//! `mc-bench concurrency` workload measures more scenarios and compares subjects.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mc_offset::SharedAllocator;

const CAPACITY_BYTES: u64 = 1 << 30;
const OBJECT_BYTES: u64 = 4 << 10;

fn allocate_and_drop(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("allocate and drop one handle in each thread");
    for threads in [1, 2, 4] {
        group.throughput(Throughput::Elements(threads as u64));
        group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
            bencher.iter_custom(|iterations| together(threads, iterations));
        });
    }
    group.finish();
}

/// Returns the time from the first operation of the first thread to the last of the last.
fn together(threads: usize, iterations: u64) -> Duration {
    let pool = SharedAllocator::new(CAPACITY_BYTES).expect("valid options");
    let barrier = Barrier::new(threads);
    let work = || {
        barrier.wait();
        let start = Instant::now();
        for _ in 0..iterations {
            drop(black_box(
                pool.allocate(OBJECT_BYTES).expect("the pool is empty"),
            ));
        }
        (start, Instant::now())
    };
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|times| times.expect("no worker panics"))
            .collect()
    });
    let start = times.iter().map(|(start, _)| *start).min();
    let end = times.iter().map(|(_, end)| *end).max();
    start
        .zip(end)
        .map_or(Duration::ZERO, |(start, end)| end - start)
}

criterion_group!(benches, allocate_and_drop);
criterion_main!(benches);
