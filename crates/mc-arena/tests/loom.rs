//! Models of the lock-free protocols, explored by loom.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p mc-arena --release --test loom`.
//!
//! Claims, one test each:
//!
//! 1. Claims granted at the same time never overlap, by whichever path they come.
//! 2. A request that fits is granted, also while a larger one overshoots the end.
//! 3. The position that others read never exceeds the capacity, and at rest position and count agree
//!    with what was granted.
//! 4. Two overshoots at once are both repaired.
//! 5. Aligned claims, leases and small claims share the end without overlap.
//! 6. A leased chunk handed to another thread is that thread's alone.
//! 7. After a reset the same units are granted again, ordered after their first use.
//! 8. A value is published once, whole, to all; a failed making publishes nothing and is tried again.
//! 9. The explorer can tell: undoing an overshoot by subtraction is caught.
#![cfg(test)]
#![cfg(loom)]

use std::num::NonZeroU64;

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};
use mc_arena::model::{Claim, Cursor, Exhausted, PublishOnce};

fn units(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).unwrap()
}

/// A cursor and one cell per unit; loom reports two threads in one cell without an order.
struct Region {
    cursor: Cursor,
    cells: Vec<UnsafeCell<u8>>,
}

impl Region {
    fn new(capacity_units: u64, fence_units: u64, fetch_add_units_max: u64) -> Self {
        let cells = (0..capacity_units).map(|_| UnsafeCell::new(0)).collect();
        Self {
            cursor: Cursor::with_fence(0, capacity_units, fence_units, fetch_add_units_max),
            cells,
        }
    }

    /// Writes to every unit of a claim; returns how many that are, 0 for a refusal.
    fn write(&self, claim: Result<Claim, Exhausted>) -> u64 {
        let Ok(claim) = claim else { return 0 };
        for unit in claim.start_units()..claim.start_units() + claim.units() {
            self.cells[usize::try_from(unit).unwrap()].with_mut(|_| ());
        }
        claim.units()
    }
}

type Job = fn(&Region) -> u64;

/// Runs the jobs at once, the last on the model's own thread, and returns what each was granted.
fn run<const N: usize>(region: &Arc<Region>, jobs: [Job; N]) -> Vec<u64> {
    let (last, others) = jobs.split_last().unwrap();
    let threads: Vec<_> = others
        .iter()
        .map(|&job| {
            let region = Arc::clone(region);
            thread::spawn(move || job(&region))
        })
        .collect();
    let mut granted = vec![last(region)];
    granted.splice(
        0..0,
        threads.into_iter().map(|thread| thread.join().unwrap()),
    );
    granted
}

#[track_caller]
fn check_rest(region: &Region, granted: &[u64]) {
    assert_eq!(region.cursor.position_units(), granted.iter().sum());
    assert_eq!(
        region.cursor.claims(),
        granted.iter().filter(|&&units| units > 0).count() as u64
    );
}

#[test]
fn claims_never_overlap() {
    loom::model(|| {
        let region = Arc::new(Region::new(8, 4, 2));
        let granted = run(
            &region,
            [
                |region| {
                    region.write(region.cursor.claim(units(2)))
                        + region.write(region.cursor.claim(units(2)))
                },
                |region| {
                    region.write(region.cursor.claim(units(2)))
                        + region.write(region.cursor.claim(units(2)))
                },
            ],
        );
        assert_eq!(granted, [4, 4]);
        assert_eq!(
            (region.cursor.position_units(), region.cursor.claims()),
            (8, 4)
        );
    });
}

#[test]
fn fitting_request_is_granted_while_another_overshoots() {
    loom::model(|| {
        let region = Arc::new(Region::new(4, 4, 3));
        let granted = run(
            &region,
            [
                |region| region.write(region.cursor.claim(units(3))),
                |region| region.write(region.cursor.claim(units(3))),
                |region| region.write(region.cursor.claim(units(1))),
            ],
        );
        assert_eq!(
            granted[2], 1,
            "one unit always fits beside one claim of three: {granted:?}"
        );
        assert_eq!(
            granted[0] + granted[1],
            3,
            "exactly one claim of three fits: {granted:?}"
        );
        check_rest(&region, &granted);
    });
}

#[test]
fn position_never_exceeds_the_capacity() {
    loom::model(|| {
        let region = Arc::new(Region::new(3, 3, 2));
        let granted = run(
            &region,
            [
                |region| region.write(region.cursor.claim(units(2))),
                |region| region.write(region.cursor.claim(units(2))),
                |region| {
                    assert!(region.cursor.position_units() <= 3);
                    0
                },
            ],
        );
        assert_eq!(granted.iter().sum::<u64>(), 2);
        check_rest(&region, &granted);
    });
}

#[test]
fn two_overshoots_are_both_repaired() {
    // Two waiters beside the crosser would hand the explorer's processor to each other for ever, so
    // the third request comes after the two.
    loom::model(|| {
        let region = Arc::new(Region::new(3, 3, 3));
        region.cursor.claim(units(1)).unwrap();
        let granted = run(
            &region,
            [
                |region| region.write(region.cursor.claim(units(3))),
                |region| region.write(region.cursor.claim(units(3))),
            ],
        );
        assert_eq!(granted, [0, 0]);
        assert_eq!(region.write(region.cursor.claim(units(2))), 2);
        assert_eq!(
            (region.cursor.position_units(), region.cursor.claims()),
            (3, 2)
        );
    });
}

#[test]
fn all_paths_share_the_end() {
    loom::model(|| {
        let region = Arc::new(Region::new(6, 5, 2));
        let granted = run(
            &region,
            [
                |region| region.write(region.cursor.claim(units(2))),
                |region| region.write(region.cursor.claim_aligned(units(1), 2)),
                |region| region.write(region.cursor.lease(units(2))),
            ],
        );
        assert_eq!(granted, [2, 1, 2], "padding takes at most one unit");
        assert_eq!(region.cursor.claims(), 2, "leases are not counted");
        assert!(region.cursor.position_units() <= 6);
    });
}

#[test]
fn handed_over_chunk_has_one_owner() {
    loom::model(|| {
        let region = Arc::new(Region::new(6, 6, 2));
        let mailbox = Arc::new(Mutex::new(None));
        let receiver = {
            let (region, mailbox) = (Arc::clone(&region), Arc::clone(&mailbox));
            thread::spawn(move || {
                region.write(region.cursor.claim(units(2)));
                let handed_over = mailbox.lock().unwrap().take();
                handed_over.map(|claim: Claim| region.write(Ok(claim)))
            })
        };
        let chunk = region.cursor.lease(units(3)).unwrap();
        // The first unit is used before the chunk changes hands; the lock orders the two uses.
        region.cells[usize::try_from(chunk.start_units()).unwrap()].with_mut(|_| ());
        *mailbox.lock().unwrap() = Some(chunk);
        region.write(region.cursor.claim(units(1)));
        assert!(matches!(receiver.join().unwrap(), None | Some(3)));
        assert_eq!(
            (region.cursor.position_units(), region.cursor.claims()),
            (6, 2)
        );
    });
}

#[test]
fn reset_grants_the_same_units_again() {
    loom::model(|| {
        let mut region = Arc::new(Region::new(4, 4, 3));
        let granted = run(
            &region,
            [
                |region| region.write(region.cursor.claim(units(3))),
                |region| region.write(region.cursor.claim(units(3))),
            ],
        );
        assert_eq!(granted.iter().sum::<u64>(), 3);
        Arc::get_mut(&mut region).unwrap().cursor.reset();
        check_rest(&region, &[]);
        let granted = run(
            &region,
            [
                |region| region.write(region.cursor.claim(units(2))),
                |region| region.write(region.cursor.claim(units(2))),
            ],
        );
        assert_eq!(granted, [2, 2]);
        check_rest(&region, &granted);
    });
}

#[test]
fn value_is_published_once_and_whole() {
    loom::model(|| {
        let cell = Arc::new(PublishOnce::<UnsafeCell<u32>>::new());
        let makings = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (cell, makings) = (Arc::clone(&cell), Arc::clone(&makings));
                thread::spawn(move || {
                    let made = cell.get_or_try_make(|| {
                        makings.fetch_add(1, Ordering::Relaxed);
                        let value = UnsafeCell::new(0);
                        value.with_mut(|_| ());
                        Ok::<_, ()>(value)
                    });
                    made.unwrap().with(|_| ());
                })
            })
            .collect();
        if let Some(value) = cell.get() {
            value.with(|_| ());
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(makings.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn failed_making_is_tried_again() {
    loom::model(|| {
        let cell = Arc::new(PublishOnce::<u64>::new());
        let makings = Arc::new(AtomicU64::new(0));
        let attempt = |cell: &PublishOnce<u64>, makings: &AtomicU64| {
            // The first making of all fails, whoever runs it.
            let make = || match makings.fetch_add(1, Ordering::Relaxed) {
                0 => Err(()),
                making => Ok(making),
            };
            cell.get_or_try_make(make).copied()
        };
        let other = {
            let (cell, makings) = (Arc::clone(&cell), Arc::clone(&makings));
            thread::spawn(move || attempt(&cell, &makings))
        };
        let results = [attempt(&cell, &makings), other.join().unwrap()];
        assert_eq!(
            results.iter().filter(|result| result.is_err()).count(),
            1,
            "{results:?}"
        );
        assert_eq!(attempt(&cell, &makings), Ok(1));
        assert_eq!(makings.load(Ordering::Relaxed), 2);
    });
}

#[test]
#[should_panic(expected = "overlap")]
fn undo_by_subtraction_is_caught() {
    const CAPACITY: u64 = 5;
    /// Adds, and on overshoot subtracts again: the repair that `Cursor` avoids.
    fn claim_and_undo(position: &AtomicU64, units: u64) -> Option<u64> {
        let start = position.fetch_add(units, Ordering::Relaxed);
        if start + units <= CAPACITY {
            return Some(start);
        }
        position.fetch_sub(units, Ordering::Relaxed);
        None
    }

    loom::model(|| {
        let position = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = [6, 3]
            .map(|units| {
                let position = Arc::clone(&position);
                thread::spawn(move || claim_and_undo(&position, units).map(|start| start + units))
            })
            .into();
        let own_end = claim_and_undo(&position, 2).map(|start| start + 2);
        let others = threads.into_iter().map(|thread| thread.join().unwrap());
        let end = others.chain([own_end]).flatten().max().unwrap_or(0);
        assert!(
            position.load(Ordering::Relaxed) >= end,
            "the next claim would overlap the last one"
        );
    });
}
