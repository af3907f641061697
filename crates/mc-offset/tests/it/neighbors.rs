//! Walks over the range: they tile it, agree with each other in both
//! directions, and begin at nothing that is not live.

use crate::churned::churned;
use mc_offset::{Allocation, Fit, Neighbor, OffsetAllocator, Options, PlaceError};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

const CAPACITY: u64 = 4096;

fn each_churned(mut check: impl FnMut(&mut OffsetAllocator, &[Allocation])) {
    for fit in [Fit::BinExact, Fit::BinCeil, Fit::GOOD, Fit::Adaptive] {
        for (granule, seed) in [(1, 1), (8, 2), (1, 3), (64, 4)] {
            let options = Options {
                fit,
                granule,
                ..Options::new(CAPACITY)
            };
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let (mut allocator, live) = churned(options, &mut rng);
            check(&mut allocator, &live);
        }
    }
}

#[test]
fn stretches_tile_the_range_and_name_every_allocation() {
    each_churned(|allocator, live| {
        let stretches: Vec<Neighbor> = allocator.stretches().collect();
        let mut offset = 0;
        for stretch in &stretches {
            assert_eq!(stretch.offset, offset);
            if let Some(allocation) = stretch.allocation {
                assert!(allocator.is_live(allocation));
                assert_eq!(allocation.offset(), offset);
                let charge = allocator.charged_size(allocation.size());
                assert_eq!(charge, Some(stretch.size));
            }
            offset += stretch.size;
        }
        assert_eq!(offset, CAPACITY);
        let named = stretches.iter().filter_map(|stretch| stretch.allocation);
        let mut named: Vec<u64> = named.map(|allocation| allocation.offset()).collect();
        let mut expected: Vec<u64> = live.iter().map(Allocation::offset).collect();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected);
        let free = stretches
            .iter()
            .filter(|stretch| stretch.allocation.is_none());
        let free: u64 = free.map(|stretch| stretch.size).sum();
        assert_eq!(free, allocator.free_bytes());
    });
}

#[test]
fn walks_from_an_allocation_are_the_two_parts_of_the_walk_over_all() {
    each_churned(|allocator, live| {
        let stretches: Vec<Neighbor> = allocator.stretches().collect();
        for &allocation in live {
            let at = stretches
                .iter()
                .position(|stretch| stretch.allocation == Some(allocation))
                .unwrap();
            let above: Vec<_> = allocator.neighbors_from(allocation).unwrap().collect();
            assert_eq!(above, stretches[at..]);
            let mut below: Vec<_> = allocator.neighbors_below(allocation).unwrap().collect();
            below.reverse();
            assert_eq!(below, stretches[..at]);
        }
    });
}

#[test]
fn no_walk_begins_at_what_is_not_live() {
    each_churned(|allocator, live| {
        let freed = live[0];
        allocator.free(freed).unwrap();
        assert!(allocator.neighbors_from(freed).is_none());
        assert!(allocator.neighbors_below(freed).is_none());
        let other = OffsetAllocator::new(CAPACITY)
            .unwrap()
            .allocate(10)
            .unwrap();
        assert!(allocator.neighbors_from(other).is_none());
    });
}

#[test]
fn an_empty_range_is_one_hole() {
    let allocator = OffsetAllocator::new(CAPACITY).unwrap();
    let stretches: Vec<_> = allocator.stretches().collect();
    let [hole] = stretches[..] else {
        panic!("{stretches:?}");
    };
    assert_eq!(
        (hole.offset, hole.size, hole.allocation),
        (0, CAPACITY, None)
    );
}

#[test]
fn what_is_in_the_way_is_named_though_all_before_it_was_replaced() {
    const BLOCKS: u64 = 1_000;
    let mut allocator = OffsetAllocator::new(10 * BLOCKS).unwrap();
    let mut place = |at: u64| allocator.allocate_at(10 * at, 10).unwrap();
    let mut blocks: Vec<Allocation> = (0..BLOCKS).map(&mut place).collect();
    for at in [999, 500, 999, 64, 700] {
        let by = blocks[at];
        assert_eq!(
            allocator.allocate_at(by.offset() + 5, 1),
            Err(PlaceError::Occupied { by })
        );
        // Where walks came by, others are now.
        for block in &mut blocks {
            let offset = block.offset();
            allocator.free(*block).unwrap();
            *block = allocator.allocate_at(offset, 10).unwrap();
        }
    }
    allocator.check_invariants();
}
