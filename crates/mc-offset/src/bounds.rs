//! What calls take at most, counted in [steps](crate::steps), on the inputs
//! that make each of them look the longest.

use alloc::vec::Vec;

use crate::{
    BlockCost, Fit, HoleOptions, allocation::Allocation, allocator::OffsetAllocator,
    error::AllocError, options::Options, steps,
};

/// Holes, from a thousand to a million, in those that count them.
const HOLES: [u64; 3] = [1_000, 100_000, 1_000_000];

/// Bytes from one hole of a [`comb`] to the next.
const PITCH: u64 = 2048;

/// Returns an allocator with as many holes as asked for, of sizes drawn from a
/// range, each between two allocations, and the allocation behind each.
fn comb(fit: Fit, holes: u64, size: impl Fn(u64) -> u64) -> (OffsetAllocator, Vec<Allocation>) {
    let options = Options {
        fit,
        ..Options::new(holes * PITCH)
    };
    let walls = (0..holes).map(|hole| {
        let size = size(hole);
        (hole * PITCH + size, PITCH - size)
    });
    OffsetAllocator::restore_from(options, walls).unwrap()
}

/// Checks that the steps of a call grow no faster than the logarithm of the
/// number of holes.
#[track_caller]
fn check_steps(holes: u64, steps: u64, call: &str) {
    let bound = 40 + 12 * u64::from(holes.ilog2());
    assert!(
        steps <= bound,
        "{call} takes {steps} steps of {bound} at {holes} holes"
    );
}

#[test]
fn a_size_of_the_highest_bin_does_not_read_the_bin() {
    // Holes of 1056 to 1087 bytes share a bin; the probes meet small ones.
    for holes in HOLES {
        for fit in [Fit::GOOD, Fit::Adaptive] {
            let (mut allocator, walls) = comb(fit, holes, |hole| {
                if hole == holes / 2 {
                    1087
                } else {
                    1056 + hole % 10
                }
            });
            for wall in walls.into_iter().take(4) {
                let (placed, taken) = steps::of(|| allocator.allocate(1080));
                let token = placed.unwrap();
                check_steps(holes, taken, "allocate");
                let (freed, taken) = steps::of(|| {
                    allocator.free(token)?;
                    allocator.free(wall)
                });
                assert_eq!(freed, Ok(()));
                check_steps(holes, taken, "free");
                let (refused, taken) = steps::of(|| allocator.allocate(PITCH * holes / 2));
                assert!(matches!(refused, Err(AllocError::NoHole { .. })));
                check_steps(holes, taken, "a refusal");
                let size = 1100;
                let _ = allocator.allocate_at(wall.offset(), size);
            }
            allocator.check_invariants();
        }
    }
}

#[test]
fn a_block_freed_and_asked_for_smaller_does_not_read_its_bin() {
    for holes in HOLES {
        let (mut allocator, walls) = comb(Fit::Adaptive, holes, |_| 1070);
        for wall in walls.into_iter().take(4) {
            // The largest is taken by its size, and the next request is hardly
            // smaller.
            allocator.free(wall).unwrap();
            let (placed, taken) =
                steps::of(|| [1100, 1050, 1069].map(|size| allocator.allocate(size).is_ok()));
            assert!(placed.iter().all(|&is_placed| is_placed));
            check_steps(holes, taken, "allocate");
        }
    }
}

#[test]
fn an_aligned_request_is_refused_or_served_without_a_second_walk() {
    for holes in HOLES {
        // Every hole begins 10 bytes behind a multiple of 1024 but one, which
        // is no larger.
        let (mut allocator, walls) = comb(Fit::Adaptive, holes, |hole| {
            if hole == holes / 2 { 1030 } else { 1033 }
        });
        // Frees that make holes where none served before.
        for (turn, wall) in walls.into_iter().enumerate().take(20) {
            let (_, taken) = steps::of(|| allocator.allocate_aligned(1030, 1 << 20));
            if turn > 0 {
                check_steps(holes, taken, "allocate_aligned");
            }
            let ((), taken) = steps::of(|| allocator.free(wall).unwrap());
            check_steps(holes, taken, "free with an alignment followed");
            let (refused, taken) = steps::of(|| allocator.allocate_aligned(5000, 1 << 20));
            assert!(matches!(refused, Err(AllocError::NoHole { .. })));
            check_steps(holes, taken, "an aligned refusal");
        }
        allocator.check_invariants();
    }
}

#[test]
fn small_objects_among_widely_spread_sizes_find_the_last_hole() {
    for holes in HOLES {
        let (mut allocator, walls) = comb(Fit::Adaptive, holes, |hole| 10 + hole % 1000);
        for size in [10, 10, 10, 1000].into_iter().cycle().take(2000) {
            allocator.chooser_mut().trend_mut().record(size, false);
        }
        for wall in walls.iter().take(10) {
            let (placed, taken) = steps::of(|| allocator.allocate(100));
            assert!(placed.is_ok());
            check_steps(holes, taken, "allocate");
            let ((), taken) = steps::of(|| allocator.free(*wall).unwrap());
            check_steps(holes, taken, "free");
        }
    }
}

#[test]
fn an_offset_is_found_without_reading_holes_or_nodes() {
    for holes in HOLES {
        let (mut allocator, _) = comb(Fit::Adaptive, holes, |_| 1000);
        let middle = holes / 2 * PITCH;
        let (placed, taken) = steps::of(|| allocator.allocate_at(middle + 10, 20));
        check_steps(holes, taken, "allocate_at");
        let (resized, taken) = steps::of(|| allocator.resize_in_place(placed.unwrap(), 500));
        assert!(resized.is_ok());
        check_steps(holes, taken, "resize_in_place");
        let (refused, taken) = steps::of(|| allocator.allocate_at(middle + 1500, 20));
        assert!(refused.is_err());
        check_steps(holes, taken, "allocate_at that is refused");
        let (grown, taken) = steps::of(|| {
            let capacity = allocator.capacity();
            allocator.grow(2 * capacity).unwrap();
            allocator.shrink(capacity)
        });
        assert!(grown.is_ok());
        check_steps(holes, taken, "grow and shrink");
    }
}

#[test]
fn an_occupant_is_walked_to_once() {
    for objects in HOLES {
        let entries = (0..objects).map(|object| (10 * object, 10));
        let options = Options::new(10 * objects);
        let (mut allocator, tokens) = OffsetAllocator::restore_from(options, entries).unwrap();
        // In two walks, of which the second goes on where the first ended.
        for at in [objects / 4, objects - 1] {
            let _ = allocator.allocate_at(10 * at + 5, 1);
        }
        for at in [objects / 2, objects / 3, objects - 1, 0] {
            let (refused, taken) = steps::of(|| allocator.allocate_at(10 * at + 5, 1));
            assert_eq!(
                refused,
                Err(crate::PlaceError::Occupied {
                    by: tokens[usize::try_from(at).unwrap()]
                })
            );
            assert!(taken <= 80, "{taken} steps at {objects} objects");
        }
    }
}

#[test]
fn pieces_take_a_few_steps_each() {
    for holes in [1_000, 10_000, 100_000] {
        for align in [1, 64] {
            let (mut allocator, _) = comb(Fit::Adaptive, holes, |hole| 1000 + hole % 24);
            let pieces = holes / 2;
            let size = pieces * 900;
            let (refused, taken) = steps::of(|| allocator.allocate_extents(size, 3, align));
            assert!(refused.is_err());
            // The first request of an alignment reads all holes once.
            assert!(align > 1 || taken <= 300, "{taken} steps for a refusal");
            let (placed, taken) =
                steps::of(|| allocator.allocate_extents(size, u32::MAX, align).unwrap());
            let pieces = placed.pieces().len() as u64;
            let bound = pieces * (40 + 12 * u64::from(holes.ilog2()));
            assert!(
                taken <= bound,
                "{taken} steps of {bound} for {pieces} pieces"
            );
            allocator.free_extents(placed).unwrap();
        }
    }
}

#[test]
fn a_plan_visits_no_more_than_it_may() {
    for holes in HOLES {
        let (allocator, _) = comb(Fit::Adaptive, holes, |hole| 1000 + hole % 24);
        let options = HoleOptions::new(20_000);
        let mut asked = 0;
        let (_, taken) = steps::of(|| {
            allocator.plan_hole(&options, |_| {
                asked += 1;
                BlockCost::movable()
            })
        });
        let bound = 20 * u64::from(options.nodes_visited_max);
        assert!(taken <= bound, "{taken} steps at {holes} holes");
        assert!(asked <= bound, "{asked} asked at {holes} holes");
    }
}
