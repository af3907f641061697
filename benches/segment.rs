//! A buffer placed and dropped in a pool of 100 segments, by strategy.
//!
//! For comparing two versions of a strategy: criterion keeps the last result. The
//! `mc-bench strategies` workload measures pools that fill and churn.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mc_segment::{
    PlaceRequest, Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions, Strategy,
};

const SEGMENTS: u64 = 100;
const SEGMENT_BYTES: u64 = 1 << 30;
const OBJECT_BYTES: u64 = 512 << 10;

fn place_and_drop(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place and drop in 100 segments");
    for strategy in Strategy::ALL {
        let pool = pool(strategy);
        let request = PlaceRequest {
            host: "host-5",
            ..PlaceRequest::new(OBJECT_BYTES)
        };
        group.bench_function(BenchmarkId::from_parameter(strategy), |bencher| {
            bencher.iter(|| drop(black_box(pool.place(&request).expect("the pool is empty"))));
        });
    }
    group.finish();
}

fn pool(strategy: Strategy) -> SegmentPool {
    let pool = SegmentPool::new(SegmentPoolOptions {
        strategy,
        ..SegmentPoolOptions::default()
    });
    for index in 0..SEGMENTS {
        let info = SegmentInfo {
            host: format!("host-{}", index % 10),
            ..SegmentInfo::new(
                SegmentId(index.into()),
                format!("segment-{index}"),
                index * SEGMENT_BYTES,
                SEGMENT_BYTES,
            )
        };
        pool.mount(Segment::remote(info))
            .expect("the ranges are disjoint");
    }
    pool
}

criterion_group!(benches, place_and_drop);
criterion_main!(benches);
