//! What many segments cost: mounting one more, being refused by all, and what is
//! left of them.
//!
//! Times are compared with one another, and the least of several is taken, so
//! that a busy machine does not fail a test.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::time::{Duration, Instant};

use crate::common::{info, pool};
use mc_segment::{
    PlaceRequest, PlacedBuffer, PlacementError, Segment, SegmentId, SegmentPool, Strategy,
};

fn mount(pool: &SegmentPool, id: u128) {
    pool.mount(Segment::remote(info(id, 1 << 20))).unwrap();
}

fn timed(act: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}

#[test]
fn mounting_costs_as_much_beside_a_thousand_segments_as_beside_none() {
    // Allocators that were there before leave memory for those that come.
    let before = pool(Strategy::Random, 1);
    (1..=1300).for_each(|id| mount(&before, id));
    drop(before);

    let pool = pool(Strategy::Random, 1);
    let mut batches = Vec::new();
    for batch in 0..30 {
        batches.push(timed(|| {
            (0..40).for_each(|at| mount(&pool, 1 + batch * 40 + at));
        }));
    }
    let [early, late] = [&batches[..10], &batches[20..]].map(|part| part.iter().min().unwrap());
    println!("40 segments: {early:?} beside none, {late:?} beside 1,000");
    let all: Duration = batches.iter().sum();
    println!("all 1,200: {all:?}");
    assert!(*late < 4 * *early, "{early:?}, {late:?}");
}

/// Returns a pool of full segments, and what fills them.
fn full(segments: u128) -> (SegmentPool, Vec<PlacedBuffer>) {
    let pool = pool(Strategy::Random, 1);
    let mut held = Vec::new();
    for id in 1..=segments {
        mount(&pool, id);
        held.push(pool.place_in(SegmentId(id), 1 << 20, 1).unwrap());
    }
    (pool, held)
}

#[test]
fn a_refusal_by_many_full_segments_costs_little_for_each() {
    let refusal = |segments| {
        let (pool, _held) = full(segments);
        let request = PlaceRequest::new(4096);
        let rounds = (0..20).map(|_| {
            timed(|| {
                for _ in 0..100 {
                    let refused = pool.place(&request);
                    assert!(matches!(refused, Err(PlacementError::NoSpace { .. })));
                }
            })
        });
        rounds.min().unwrap() / 100
    };
    let (one, many) = (refusal(1), refusal(256));
    println!("a refusal: {one:?} by 1 segment, {many:?} by 256");
    assert!(many < Duration::from_micros(100), "{many:?}");
}

#[test]
fn the_one_segment_with_room_is_found_among_many_full_ones() {
    for strategy in Strategy::ALL {
        let pool = pool(strategy, 1);
        let held: Vec<_> = (1..=200)
            .map(|id| {
                mount(&pool, id);
                pool.place_in(SegmentId(id), 1 << 20, 1).unwrap()
            })
            .collect();
        let mut held = held;
        for at in [0, 57, 199] {
            let id = held[at].segment_id();
            held[at] = {
                let (address, size) = (held[at].address(), held[at].size());
                drop(std::mem::replace(&mut held[at], pool_spare()));
                let placed = pool.place(&PlaceRequest::new(size)).unwrap().remove(0);
                assert_eq!((placed.segment_id(), placed.address()), (id, address));
                placed
            };
        }
    }
}

/// Returns a buffer of a pool of its own.
fn pool_spare() -> PlacedBuffer {
    let spare = pool(Strategy::Random, 1);
    mount(&spare, 1);
    spare.place_in(SegmentId(1), 1, 1).unwrap()
}

#[test]
fn placing_goes_on_while_segments_are_mounted() {
    let pool = pool(Strategy::Random, 1);
    (1..=4).for_each(|id| mount(&pool, id));
    let (mut worst, mut placed) = (Duration::ZERO, 0);
    std::thread::scope(|scope| {
        let mounting = scope.spawn(|| (5..=500).for_each(|id| mount(&pool, id)));
        while !mounting.is_finished() {
            let time = timed(|| drop(pool.place(&PlaceRequest::new(100)).unwrap()));
            worst = worst.max(time);
            placed += 1;
        }
    });
    println!("{placed} placements beside 496 mounts, the slowest took {worst:?}");
    assert!(placed > 100);
    assert_eq!(pool.segments().len(), 500);
    assert_eq!(pool.placed_bytes_in_placeable(), 0);
}
