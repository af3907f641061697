//! Random programs on small pools: what is refused, what is placed where.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::ops::Range;

use crate::common::{info, pool};
use mc_segment::{
    PlaceRequest, PlacedBuffer, RegistrationLimit, ReplicaPolicy, Replicas, Segment, SegmentId,
    SegmentPool, Strategy, registration_chunks,
};
use proptest::{prelude::*, strategy::Strategy as _};

/// What a step of a random program does.
#[derive(Clone, Debug)]
enum Op {
    Place {
        size: u64,
        align_log2: u32,
        max_extents: u32,
        replicas: u32,
        excluded: usize,
    },
    Drop(usize),
    Close(usize),
    Resume(usize),
}

fn ops() -> impl proptest::strategy::Strategy<Value = Vec<Op>> {
    let place = (1..80_u64, 0..4_u32, 1..4_u32, 1..4_u32, 0..10_usize).prop_map(
        |(size, align_log2, max_extents, replicas, excluded)| Op::Place {
            size,
            align_log2,
            max_extents,
            replicas,
            excluded,
        },
    );
    let op = prop_oneof![
        8 => place,
        5 => (0..1000_usize).prop_map(Op::Drop),
        1 => (1..6_usize).prop_map(Op::Close),
        1 => (1..6_usize).prop_map(Op::Resume),
    ];
    prop::collection::vec(op, 1..200)
}

/// Segments of a few sizes, bases, hosts and names, one of them in chunks.
fn small_pool(strategy: Strategy, seed: u64) -> SegmentPool {
    let pool = pool(strategy, seed);
    for (id, size) in (1..).zip([64, 96, 128, 200, 256]) {
        let mut info = info(id, size);
        info.host = ["", "a", "b"][usize::try_from(id).unwrap() % 3].to_owned();
        info.base += u64::try_from(id).unwrap() % 2 * 4;
        if id == 5 {
            info.name = "segment-4".to_owned();
            info.options.registration = Some(RegistrationLimit {
                max_bytes: 100,
                align: 16,
            });
        }
        pool.mount(Segment::remote(info)).unwrap();
    }
    pool
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// After a refusal each segment by itself refuses the request too; buffers
    /// never overlap, and never straddle a registration; in the end every byte
    /// is free again.
    #[test]
    fn a_request_is_refused_only_if_no_segment_can_take_it(ops in ops(), seed: u64) {
        for strategy in Strategy::ALL {
            run(&small_pool(strategy, seed), &ops);
        }
    }
}

fn run(pool: &SegmentPool, ops: &[Op]) {
    let mut live: Vec<PlacedBuffer> = Vec::new();
    for op in ops {
        match *op {
            Op::Place {
                size,
                align_log2,
                max_extents,
                replicas,
                excluded,
            } => {
                let excluded = [SegmentId(excluded as u128)];
                let request = PlaceRequest {
                    align: 1 << align_log2,
                    max_extents,
                    replicas: Replicas {
                        count: replicas,
                        policy: ReplicaPolicy::BestEffort,
                    },
                    excluded: &excluded,
                    host: "a",
                    key_hash: Some(size),
                    ..PlaceRequest::new(size)
                };
                let placed = pool.place(&request).unwrap_or_default();
                check_shortfall(pool, &request, &placed);
                live.extend(placed);
            }
            Op::Drop(index) if !live.is_empty() => drop(live.swap_remove(index % live.len())),
            Op::Drop(_) => {}
            Op::Close(id) => {
                let _ = pool.drain(SegmentId(id as u128));
            }
            Op::Resume(id) => {
                let _ = pool.resume(SegmentId(id as u128));
            }
        }
        check_disjoint(&live);
    }
    drop(live);
    for segment in pool.segments() {
        let _ = pool.resume(segment.id);
        for chunk in chunks(segment.id, segment.capacity) {
            drop(
                pool.place_at(segment.id, chunk.start, chunk.end - chunk.start)
                    .unwrap(),
            );
        }
    }
}

/// Checks that no name without a replica could have taken one.
fn check_shortfall(pool: &SegmentPool, request: &PlaceRequest<'_>, placed: &[PlacedBuffer]) {
    if placed.len() == request.replicas.count as usize {
        return;
    }
    let all: Vec<_> = pool.segments();
    for segment in &all {
        let has_replica = placed
            .iter()
            .any(|one| *one.segment().name == *segment.name);
        if has_replica || request.excluded.contains(&segment.id) {
            continue;
        }
        let others: Vec<_> = all
            .iter()
            .map(|one| one.id)
            .filter(|&id| id != segment.id)
            .collect();
        let alone = PlaceRequest {
            excluded: &others,
            replicas: Replicas::exact(1),
            ..*request
        };
        assert!(pool.place(&alone).is_err(), "{} had room", segment.id);
        assert!(
            !segment.state.is_placeable()
                || pool
                    .place_in(segment.id, request.size, request.align)
                    .is_err(),
            "{} had room",
            segment.id
        );
    }
}

fn check_disjoint(live: &[PlacedBuffer]) {
    let mut extents: Vec<_> = live
        .iter()
        .flat_map(|buffer| buffer.extents().map(|extent| (buffer.segment_id(), extent)))
        .collect();
    extents.sort_by_key(|(id, extent)| (*id, extent.address));
    for pair in extents.windows(2) {
        let ((id, low), (next_id, high)) = (pair[0], pair[1]);
        assert!(id != next_id || low.address + low.size <= high.address);
    }
    for (id, extent) in extents {
        let mut chunks = chunks(id, 256).into_iter();
        let is_within = |chunk: &Range<u64>| {
            chunk.contains(&extent.address) && extent.address + extent.size <= chunk.end
        };
        assert!(chunks.any(|chunk| is_within(&chunk)), "{id}: {extent:?}");
    }
}

/// Returns the registrations of a segment of [`small_pool`].
fn chunks(id: SegmentId, size: u64) -> Vec<Range<u64>> {
    let base = (u64::try_from(id.0).unwrap() << 32) + u64::try_from(id.0).unwrap() % 2 * 4;
    if id.0 != 5 {
        return std::iter::once(base..base + size).collect();
    }
    let limit = RegistrationLimit {
        max_bytes: 100,
        align: 16,
    };
    registration_chunks(base, size, limit).unwrap()
}
