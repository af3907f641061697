//! The cheapest window against an exhaustive search over all windows.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use crate::churned::churned;
use mc_offset::{Allocation, OffsetAllocator, Options, Window};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A pool that churn has fragmented.
fn fragmented(seed: u64, rng: &mut Xoshiro256PlusPlus) -> (OffsetAllocator, Vec<Allocation>) {
    let granule = if seed.is_multiple_of(3) { 8 } else { 1 };
    let options = Options {
        granule,
        ..Options::new(4096)
    };
    churned(options, rng)
}

/// Returns the least cost of a run of neighbors that makes room.
fn least_cost(
    allocator: &OffsetAllocator,
    size: u64,
    align: u64,
    cost: impl Fn(&Allocation) -> Option<u64>,
) -> Option<u128> {
    let charge = allocator.charged_size(size)?;
    let blocks: Vec<Allocation> = allocator.allocations().collect();
    let bounds = |from: usize, to: usize| {
        let end_of =
            |block: &Allocation| block.offset() + allocator.charged_size(block.size()).unwrap();
        let start = if from == 0 {
            0
        } else {
            end_of(&blocks[from - 1])
        };
        let end = blocks
            .get(to)
            .map_or(allocator.capacity(), Allocation::offset);
        (start, end)
    };
    let mut best = None;
    for from in 0..=blocks.len() {
        for to in from..=blocks.len() {
            let (start, end) = bounds(from, to);
            let cost = blocks[from..to]
                .iter()
                .map(|b| cost(b).map(u128::from))
                .sum::<Option<u128>>();
            if let Some(cost) = cost
                && start.next_multiple_of(align) + charge <= end
                && best.is_none_or(|least| cost < least)
            {
                best = Some(cost);
            }
        }
    }
    best
}

/// Evicts the window and checks that the hole is there as promised.
fn check_window(mut allocator: OffsetAllocator, window: &Window, size: u64, align: u64) {
    for &victim in &window.victims {
        allocator.free(victim).unwrap();
    }
    let hole = allocator
        .holes()
        .find(|hole| hole.offset == window.offset)
        .unwrap();
    assert_eq!(hole.size, window.size);
    let placed = allocator.allocate_aligned(size, align).unwrap();
    assert!(placed.offset().is_multiple_of(align));
}

#[test]
fn the_window_is_the_cheapest_and_leaves_the_hole_it_promises() {
    for seed in 0..60 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (allocator, live) = fragmented(seed, &mut rng);
        let pinned: Vec<Allocation> = live.iter().copied().step_by(5).collect();
        let cost = |block: &Allocation| (!pinned.contains(block)).then(|| block.size() * 7 % 101);
        for _ in 0..20 {
            let size = rng.random_range(1..1500);
            let align = 1 << rng.random_range(0..9);
            let window = allocator.cheapest_window(size, align, cost);
            let least = least_cost(&allocator, size, align, cost);
            assert_eq!(
                window.as_ref().map(|w| w.cost),
                least,
                "seed {seed}, {size} at {align}"
            );
            let Some(window) = window else { continue };
            assert!(!window.victims.iter().any(|victim| pinned.contains(victim)));
            let total: u64 = window.victims.iter().filter_map(cost).sum();
            assert_eq!(window.cost, u128::from(total));
            let copy = rebuilt(&allocator);
            let victims = window
                .victims
                .iter()
                .map(|victim| copy.twin(victim))
                .collect();
            check_window(copy.allocator, &Window { victims, ..window }, size, align);
        }
    }
}

/// A copy of an allocator, whose tokens are its own.
struct Copy {
    allocator: OffsetAllocator,
}

fn rebuilt(original: &OffsetAllocator) -> Copy {
    let mut allocator = OffsetAllocator::with_options(*original.options()).unwrap();
    for block in original.allocations() {
        let _twin = allocator.allocate_at(block.offset(), block.size()).unwrap();
    }
    Copy { allocator }
}

impl Copy {
    fn twin(&self, block: &Allocation) -> Allocation {
        self.allocator
            .allocations()
            .find(|twin| twin.offset() == block.offset())
            .unwrap()
    }
}

#[test]
fn every_candidate_near_gives_the_same_window_as_the_whole_search() {
    for seed in 0..40 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (allocator, live) = fragmented(seed, &mut rng);
        let cost = |block: &Allocation| Some(block.size() * 7 % 101 + 1);
        for size in [10, 200, 900] {
            let whole = allocator.cheapest_window(size, 1, cost).unwrap();
            let near = allocator
                .cheapest_window_near(live.iter().copied(), size, 1, cost)
                .unwrap();
            assert_eq!(near.cost, whole.cost);
            let few = live.iter().copied().take(3);
            let bounded = allocator.cheapest_window_near(few, size, 1, cost).unwrap();
            assert!(bounded.cost >= whole.cost);
        }
    }
}

#[test]
fn windows_that_cannot_be_are_none() {
    let mut allocator = OffsetAllocator::new(1000).unwrap();
    let block = allocator.allocate(1000).unwrap();
    let free_of_charge = |_: &Allocation| Some(0);
    assert_eq!(allocator.cheapest_window(0, 1, free_of_charge), None);
    assert_eq!(allocator.cheapest_window(1001, 1, free_of_charge), None);
    assert_eq!(allocator.cheapest_window(10, 3, free_of_charge), None);
    assert_eq!(allocator.cheapest_window(10, 1, |_| None), None);
    allocator.free(block).unwrap();
    assert_eq!(
        allocator.cheapest_window_near([block], 10, 1, free_of_charge),
        None
    );
    let hole = allocator.cheapest_window(10, 1, |_| None).unwrap();
    assert_eq!((hole.offset, hole.size, hole.victims.len()), (0, 1000, 0));
}

#[test]
fn windows_near_a_candidate_are_sought_as_far_as_the_request_reaches() {
    let mut allocator = OffsetAllocator::new(100).unwrap();
    let blocks: Vec<_> = (0..10).map(|_| allocator.allocate(10).unwrap()).collect();
    let near = |cost: fn(&Allocation) -> Option<u64>| {
        let window = allocator.cheapest_window_near([blocks[5]], 29, 1, cost);
        window.map(|window| (window.offset, window.size, window.cost))
    };
    // The candidate has the bytes from 50 to 60; 30 bytes on either side of it are looked at.
    assert_eq!(near(|block| Some(block.offset())), Some((20, 30, 90)));
    assert_eq!(near(|block| Some(90 - block.offset())), Some((60, 30, 60)));
    // Of equal windows it is the first.
    assert_eq!(near(|_| Some(1)), Some((20, 30, 3)));
}
