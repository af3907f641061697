//! Threads that place and drop while segments come, drain and go.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use crate::common::{info, mount_sizes, pool};
use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
use mc_segment::{
    Memory, PlaceRequest, PlacedBuffer, ReplicaPolicy, Replicas, Segment, SegmentId, SegmentInfo,
    SegmentPool, SegmentState, Strategy,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SEGMENT_BYTES: u64 = 1 << 16;
const WORKERS: u64 = 4;

/// Says that a test is over when it is dropped, so that a thread that panics ends the others, too.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

fn segment(id: u128) -> Segment {
    let pool = PoolOptions::new(SEGMENT_BYTES).pages(PagePolicy::Off).map();
    let memory = Memory::pool(PoolBytes::new(pool.unwrap()));
    Segment::local(info(id, SEGMENT_BYTES), memory)
}

/// Places buffers of random sizes, marks their bytes, and checks the marks of
/// some before dropping them.
fn work(pool: &SegmentPool, seed: u64, is_over: &AtomicBool, placed: &AtomicU64) {
    let mut rng = rng(seed);
    let mut live: Vec<(u64, PlacedBuffer)> = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let request = PlaceRequest {
            max_extents: 1 + rng.next_u32() % 3,
            align: 1 << (rng.next_u32() % 6),
            replicas: Replicas {
                count: 1 + rng.next_u32() % 2,
                policy: ReplicaPolicy::BestEffort,
            },
            ..PlaceRequest::new(8 + rng.next_u64() % 2000)
        };
        for mut buffer in pool.place(&request).unwrap_or_default() {
            placed.fetch_add(1, Ordering::Relaxed);
            let mark = rng.next_u64();
            let last = buffer.size() - 8;
            let is_marked = buffer.write_at(0, &mark.to_le_bytes()).is_ok()
                && buffer.write_at(last, &mark.to_le_bytes()).is_ok();
            if is_marked {
                live.push((mark, buffer));
            }
        }
        while live.len() > 60 || !live.is_empty() && rng.next_u32().is_multiple_of(3) {
            let victim = rng.next_u64() % live.len() as u64;
            check(live.swap_remove(usize::try_from(victim).unwrap()));
        }
    }
    live.into_iter().for_each(check);
}

/// Checks the mark at the end of a buffer, unless its segment is gone.
fn check((mark, buffer): (u64, PlacedBuffer)) {
    let mut read = [0; 8];
    let outcome = buffer.read_at(buffer.size() - 8, &mut read);
    if outcome.is_ok() {
        assert_eq!(u64::from_le_bytes(read), mark, "{buffer:?} was overwritten");
    } else {
        assert!(!buffer.is_readable(), "{outcome:?}");
    }
}

/// Mounts, drains, resumes and unmounts segments.
fn disturb(pool: &SegmentPool, rounds: u32) {
    let mut rng = rng(99);
    for round in 0..rounds {
        let id = SegmentId(2 + u128::from(rng.next_u32() % 5));
        match rng.next_u32() % 6 {
            0 | 1 => {
                let _ = pool.mount(segment(id.0));
            }
            2 => {
                let _ = pool.drain(id);
            }
            3 => {
                let _ = pool.resume(id);
            }
            4 => {
                let _ = pool.unmount_gracefully(id);
            }
            _ => {
                if pool.begin_unmount(id).is_ok() {
                    thread::yield_now();
                    pool.finish_unmount_within(id, Duration::from_secs(60))
                        .unwrap();
                }
            }
        }
        if round.is_multiple_of(16) {
            thread::yield_now();
        }
    }
}

#[test]
fn nothing_is_lost_or_overwritten_while_segments_come_and_go() {
    for strategy in Strategy::ALL {
        let pool = pool(strategy, 1);
        for id in 1..=4 {
            pool.mount(segment(id)).unwrap();
        }
        let (is_over, placed) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for seed in 0..WORKERS {
                let (pool, is_over, placed) = (&pool, &is_over, &placed);
                scope.spawn(move || {
                    let _over = Over(is_over);
                    work(pool, seed, is_over, placed);
                });
            }
            let _over = Over(&is_over);
            disturb(&pool, 1500);
            while placed.load(Ordering::Relaxed) < 10_000 && !is_over.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        });
        let total = pool.stats().total;
        assert_eq!((total.live_bytes, total.allocations), (0, 0), "{strategy}");
        assert_eq!(total.free_bytes, total.capacity, "{strategy}");
        for segment in pool.segments() {
            if segment.state == SegmentState::Ok {
                drop(pool.place_in(segment.id, SEGMENT_BYTES, 1).unwrap());
            }
        }
    }
}

#[test]
fn nothing_is_placed_in_a_segment_once_it_is_closed() {
    let pool = pool(Strategy::Random, 2);
    for id in 1..=3 {
        pool.mount(segment(id)).unwrap();
    }
    let (is_over, id) = (AtomicBool::new(false), SegmentId(2));
    // Odd from when the segment was closed to just before it is opened again.
    let epoch = AtomicU64::new(0);
    thread::scope(|scope| {
        for seed in 0..WORKERS {
            let (pool, is_over, epoch) = (&pool, &is_over, &epoch);
            scope.spawn(move || {
                let mut rng = rng(seed);
                while !is_over.load(Ordering::Relaxed) {
                    let before = epoch.load(Ordering::SeqCst);
                    let buffers = pool.place(&PlaceRequest::new(1 + rng.next_u64() % 100));
                    let was_closed = before % 2 == 1 && epoch.load(Ordering::SeqCst) == before;
                    let placed = buffers.unwrap().remove(0);
                    assert!(!(was_closed && placed.segment_id() == id));
                }
            });
        }
        let _over = Over(&is_over);
        for _ in 0..300 {
            pool.drain(id).unwrap();
            epoch.fetch_add(1, Ordering::SeqCst);
            while pool.finish_drain(id).is_err() {
                thread::yield_now();
            }
            thread::yield_now();
            epoch.fetch_add(1, Ordering::SeqCst);
            pool.resume(id).unwrap();
            thread::yield_now();
        }
    });
}

#[test]
fn a_placement_that_reaches_a_segment_after_it_was_closed_goes_elsewhere() {
    let pool = pool(Strategy::Random, 3);
    let (full, closing) = (SegmentId(1), SegmentId(2));
    for id in [full, closing] {
        pool.mount(segment(id.0)).unwrap();
    }
    let _all = pool.place_in(full, SEGMENT_BYTES, 1).unwrap();
    // Most of a request is spent on the way to the segment, so that it is often closed meanwhile.
    let mut preferred = vec![full; 20_000];
    preferred.push(closing);
    let request = PlaceRequest {
        preferred: &preferred,
        ..PlaceRequest::new(100)
    };
    let (is_over, placed) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let held = pool.place(&request);
                    if held.is_ok() {
                        // Drained means empty, and this buffer would be in it.
                        assert_ne!(pool.state(closing), Some(SegmentState::Drained));
                        placed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let _over = Over(&is_over);
        for _ in 0..100 {
            pool.drain(closing).unwrap();
            while pool.finish_drain(closing).is_err() {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(1));
            pool.resume(closing).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(placed.into_inner() > 0);
}

/// Mounts ever newer epochs of a segment, each in the place of the one before.
fn renew(pool: &SegmentPool, id: u128, epochs: std::ops::Range<u64>) {
    for epoch in epochs {
        let info = SegmentInfo {
            epoch,
            ..info(id, SEGMENT_BYTES)
        };
        pool.mount(Segment::remote(info)).unwrap();
    }
}

/// Calls `change` while two threads place, which always find room.
fn while_two_place(pool: &SegmentPool, change: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    drop(pool.place(&PlaceRequest::new(100)).unwrap());
                }
            });
        }
        let _over = Over(&is_over);
        change();
    });
}

#[test]
fn a_placement_finds_room_while_one_epoch_gives_way_to_the_next() {
    let pool = pool(Strategy::Random, 4);
    renew(&pool, 1, 0..1);
    while_two_place(&pool, || renew(&pool, 1, 1..2_000));
    assert_eq!(pool.stats().requests.impossible, 0);
}

#[test]
fn a_placement_that_saw_a_segment_close_goes_to_one_that_opened_before() {
    let pool = pool(Strategy::Random, 5);
    let ids = [SegmentId(1), SegmentId(2)];
    for id in ids {
        pool.mount(segment(id.0)).unwrap();
    }
    pool.drain(ids[1]).unwrap();
    while_two_place(&pool, || {
        for round in 0..5_000 {
            // One of them is open at every moment.
            let opened = ids[(round + 1) % 2];
            pool.resume(opened).unwrap();
            pool.drain(ids[round % 2]).unwrap();
        }
    });
}

#[test]
fn whoever_finds_a_segment_that_came_finds_it_counted_among_the_changes() {
    let pool = pool(Strategy::Random, 6);
    // With many, a change takes long enough to be seen on its way.
    mount_sizes(&pool, &[1 << 10; 200]);
    let (before, id) = (pool.placeable_bytes(), SegmentId(1));
    pool.drain(id).unwrap();
    let (turn, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let wait_for = |round| {
        while turn.load(Ordering::SeqCst) < round && !is_over.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..500 {
                wait_for(2 * round + 1);
                pool.resume(id).unwrap();
                wait_for(2 * round + 2);
                pool.drain(id).unwrap();
            }
        });
        let _over = Over(&is_over);
        for _ in 0..500 {
            while pool.state(id) == Some(SegmentState::Ok) {
                thread::yield_now();
            }
            let changes = pool.changes();
            turn.fetch_add(1, Ordering::SeqCst);
            while pool.placeable_bytes() < before {}
            assert_ne!(pool.changes(), changes, "{id} came");
            turn.fetch_add(1, Ordering::SeqCst);
        }
    });
}

#[test]
fn a_buffer_is_adopted_while_a_drain_is_not_finished() {
    let pool = pool(Strategy::Random, 7);
    let id = SegmentId(1);
    pool.mount(segment(id.0)).unwrap();
    let _held = pool
        .place_at(id, info(id.0, SEGMENT_BYTES).base, 100)
        .unwrap();
    let other = pool.place_in(id, 100, 1).unwrap().descriptor();
    pool.drain(id).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                assert!(pool.finish_drain(id).is_err());
            }
        });
        let _over = Over(&is_over);
        for _ in 0..100_000 {
            drop(pool.adopt(std::slice::from_ref(&other)).unwrap());
        }
    });
}

#[test]
fn a_drain_is_finished_whoever_is_refused_meanwhile() {
    let pool = pool(Strategy::Random, 8);
    let id = SegmentId(1);
    pool.mount(segment(id.0)).unwrap();
    let start = info(id.0, SEGMENT_BYTES).base;
    pool.drain(id).unwrap();
    let (is_over, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(pool.place_in(id, 100, 1).is_err());
                    assert!(pool.place_at(id, start, 100).is_err());
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _over = Over(&is_over);
        while refused.load(Ordering::Relaxed) < 50_000 {
            pool.finish_drain(id).unwrap();
            pool.suspend(id).unwrap();
            pool.drain(id).unwrap();
        }
    });
}
