//! Looks at the blocks of a segment: they tile it, show owners and holes, stay
//! within their bounds, and get on whatever is dropped between two of them.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::num::NonZeroU32;

use crate::common::{info, pool};
use mc_segment::{
    Block, BlockCursor, Extent, Fit, PlaceRequest, PlacedBuffer, RegistrationLimit, Segment,
    SegmentId, SegmentInfo, SegmentPool, Strategy, cheapest_window,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const ID: SegmentId = SegmentId(1);
const SIZE: u64 = 1 << 16;

fn owner(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

fn mounted(adapt: impl FnOnce(&mut SegmentInfo)) -> SegmentPool {
    let pool = pool(Strategy::Random, 1);
    let mut info = info(1, SIZE);
    adapt(&mut info);
    pool.mount(Segment::remote(info)).unwrap();
    pool
}

/// Returns all blocks, and checks that each page lies in its registration.
fn all_blocks(pool: &SegmentPool, blocks_max: usize) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut cursor: Option<BlockCursor> = None;
    loop {
        let page = pool.blocks(ID, cursor.as_ref(), blocks_max).unwrap();
        assert!(page.blocks.len() <= blocks_max.max(1));
        for block in &page.blocks {
            assert!(page.registration.contains(&block.address));
            assert!(block.address + block.size <= page.registration.end);
        }
        blocks.extend(page.blocks);
        cursor = page.next;
        if cursor.is_none() {
            return blocks;
        }
    }
}

/// Fills a pool with buffers of many sizes, some of which are dropped again.
fn churn(pool: &SegmentPool, seed: u64) -> Vec<PlacedBuffer> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut buffers = Vec::new();
    for number in 1..400_u32 {
        let request = PlaceRequest {
            max_extents: 4,
            ..PlaceRequest::new(rng.random_range(1..2000))
        };
        match pool.place(&request) {
            Ok(mut placed) => {
                let buffer = placed.remove(0);
                // Every third has no owner.
                buffer.set_owner(owner(if number % 3 == 0 { 0 } else { number }));
                buffers.push(buffer);
            }
            Err(_) => drop(buffers.swap_remove(rng.random_range(0..buffers.len()))),
        }
    }
    buffers
}

#[track_caller]
fn check_tiling(blocks: &[Block], start: u64, end: u64) {
    let mut address = start;
    for block in blocks {
        assert_eq!(block.address, address);
        assert!(block.size > 0);
        address += block.size;
    }
    assert_eq!(address, end);
}

#[test]
fn pages_of_any_length_tile_the_segment_and_show_every_piece() {
    for fit in [Fit::Adaptive, Fit::BinCeil] {
        for (seed, granule) in [(1, 1), (2, 64)] {
            let pool = mounted(|info| {
                info.options.fit = fit;
                info.options.granule = granule;
                info.options.registration = (seed == 2).then_some(RegistrationLimit {
                    max_bytes: SIZE / 4,
                    align: 4096,
                });
            });
            let base = info(1, SIZE).base;
            let buffers = churn(&pool, seed);
            let whole = all_blocks(&pool, usize::MAX);
            check_tiling(&whole, base, base + SIZE);
            let pieces: usize = buffers.iter().map(|buffer| buffer.extents().len()).sum();
            let live: Vec<_> = whole.iter().filter(|block| !block.is_hole).collect();
            assert_eq!(live.len(), pieces);
            for blocks_max in [0, 1, 2, 7, 100] {
                assert_eq!(all_blocks(&pool, blocks_max), whole, "{blocks_max}");
            }
        }
    }
}

#[test]
fn blocks_show_the_owner_of_every_piece_until_the_buffer_is_dropped() {
    let pool = mounted(|_| {});
    let mut buffers = churn(&pool, 3);
    for (number, buffer) in (1..).zip(&buffers) {
        buffer.set_owner(owner(number));
    }
    let owner_at = |blocks: &[Block], address| {
        let found = blocks.iter().find(|block| block.address == address);
        found.unwrap().owner
    };
    let blocks = all_blocks(&pool, 64);
    for (number, buffer) in (1..).zip(&buffers) {
        for extent in buffer.extents() {
            assert_eq!(owner_at(&blocks, extent.address), owner(number));
        }
    }
    buffers[0].set_owner(None);
    assert_eq!(owner_at(&all_blocks(&pool, 64), buffers[0].address()), None);

    // Whoever gets the place next is not taken for the one before.
    let (address, size) = (
        buffers[1].address(),
        buffers[1].extents().next().unwrap().size,
    );
    drop(buffers.remove(1));
    let next = pool.place_at(ID, address, size).unwrap();
    let blocks = all_blocks(&pool, 64);
    assert_eq!(owner_at(&blocks, next.address()), None);
    let owners = blocks.iter().filter_map(|block| block.owner);
    assert!(owners.into_iter().all(|other| Some(other) != owner(2)));
}

#[test]
fn a_neighborhood_is_the_part_of_the_whole_that_reaches_far_enough() {
    let pool = mounted(|_| {});
    let buffers = churn(&pool, 4);
    let whole = all_blocks(&pool, 1000);
    for buffer in &buffers {
        for (piece, extent) in buffer.extents().enumerate() {
            for reach in [0, 1, 500, 5000, u64::MAX] {
                let near = buffer.neighborhood(piece, reach, 1000).unwrap();
                let (first, last) = (near[0], near[near.len() - 1]);
                let at = whole.iter().position(|block| *block == first).unwrap();
                assert_eq!(near, whole[at..at + near.len()]);
                assert!(near.iter().any(|block| block.address == extent.address));
                let start = extent.address.saturating_sub(reach).max(whole[0].address);
                let end = (extent.address + extent.size).saturating_add(reach);
                assert!(first.address <= start);
                assert!(last.address + last.size >= end.min(whole[0].address + SIZE));
                // And no further than that takes.
                assert!(near.len() == 1 || reach > 0);
                for block in &near {
                    assert!(block.address + block.size > start.saturating_sub(1));
                    assert!(block.address < end.max(extent.address + 1));
                }
            }
        }
        assert_eq!(buffer.neighborhood(buffer.extents().len(), 1, 10), None);
    }
}

#[test]
fn a_neighborhood_keeps_to_its_bound_with_the_buffer_inside() {
    let pool = mounted(|_| {});
    let buffers = churn(&pool, 5);
    for buffer in &buffers {
        for blocks_max in [0, 1, 2, 3, 10] {
            let near = buffer.neighborhood(0, u64::MAX, blocks_max).unwrap();
            assert!(!near.is_empty() && near.len() <= blocks_max.max(1));
            let own = near
                .iter()
                .position(|block| block.address == buffer.address());
            assert!(own.unwrap() <= blocks_max / 2);
        }
    }
}

#[test]
fn the_holes_of_a_buffer_are_those_that_its_drop_leaves() {
    for seed in 6..9 {
        let pool = mounted(|_| {});
        let mut buffers = churn(&pool, seed);
        assert!(buffers.iter().any(|buffer| buffer.extents().len() > 1));
        while let Some(buffer) = buffers.pop() {
            let promised: Vec<Extent> = buffer.holes_if_dropped().collect();
            let extents: Vec<Extent> = buffer.extents().collect();
            drop(buffer);
            let blocks = all_blocks(&pool, 1000);
            let mut holes: Vec<Extent> = blocks
                .iter()
                .filter(|block| block.is_hole)
                .map(|block| Extent {
                    address: block.address,
                    size: block.size,
                })
                .collect();
            holes.retain(|hole| {
                let end = hole.address + hole.size;
                extents
                    .iter()
                    .any(|own| own.address >= hole.address && own.address < end)
            });
            assert_eq!(promised, holes);
        }
    }
}

#[test]
fn pieces_side_by_side_leave_one_hole() {
    let pool = mounted(|_| {});
    let size = SIZE / 8;
    let mut row: Vec<_> = (0..8)
        .map(|_| pool.place_in(ID, size, 1).unwrap())
        .collect();
    row.sort_by_key(PlacedBuffer::address);
    let address = row[2].address();
    // Two holes of unequal sizes with a buffer in between that goes later.
    drop(row.remove(4));
    drop(row.remove(2));
    let request = PlaceRequest {
        max_extents: 2,
        ..PlaceRequest::new(2 * size)
    };
    let split = pool.place(&request).unwrap().remove(0);
    assert_eq!(split.extents().len(), 2);
    assert_eq!(split.holes_if_dropped().len(), 2);
    drop(row.remove(2));
    let holes: Vec<_> = split.holes_if_dropped().collect();
    assert_eq!(
        holes,
        [Extent {
            address,
            size: 3 * size
        }]
    );
}

#[test]
fn paging_gets_on_while_everything_behind_it_is_dropped_and_placed() {
    for seed in 0..20 {
        let pool = mounted(|_| {});
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut buffers = churn(&pool, seed);
        let base = info(1, SIZE).base;
        let (mut cursor, mut end, mut pages) = (None, base, 0);
        loop {
            let page = pool.blocks(ID, Option::as_ref(&cursor), 5).unwrap();
            for block in &page.blocks {
                assert_eq!(block.address, end, "no gap and no repetition");
                end += block.size;
            }
            pages += 1;
            assert!(pages < 2000, "the pages come to an end");
            let Some(next) = page.next else { break };
            cursor = Some(next);
            if seed == 0 {
                buffers.clear();
            }
            for _ in 0..10 {
                if !buffers.is_empty() {
                    drop(buffers.swap_remove(rng.random_range(0..buffers.len())));
                }
                buffers.extend(pool.place_in(ID, rng.random_range(1..500), 1));
            }
        }
        assert_eq!(end, base + SIZE);
    }
}

#[test]
fn a_cursor_of_a_segment_that_is_gone_finds_nothing() {
    let pool = mounted(|_| {});
    let _buffers = churn(&pool, 1);
    let cursor = pool.blocks(ID, None, 5).unwrap().next.unwrap();
    pool.begin_unmount(ID).unwrap();
    pool.finish_unmount(ID).unwrap();
    assert!(pool.blocks(ID, Some(&cursor), 5).is_none());
    assert!(pool.blocks(SegmentId(9), None, 5).is_none());
}

#[test]
fn a_window_makes_room_at_the_least_cost() {
    for (seed, align) in [(1, 1), (2, 1), (3, 256), (4, 4096)] {
        let pool = mounted(|_| {});
        let _buffers = churn(&pool, seed);
        let blocks = all_blocks(&pool, 100);
        let cost = |block: &Block| block.owner.map(|owner| u64::from(owner.get() % 7));
        for size in [1, 300, 3000, 20_000] {
            let window = cheapest_window(&blocks, size, align, cost);
            assert_eq!(
                window.as_ref().map(|window| window.cost),
                least(&blocks, size, align, cost)
            );
            let Some(window) = window else { continue };
            let inside = &blocks[window.blocks];
            check_tiling(inside, window.address, window.address + window.size);
            let own = inside.iter().filter(|block| !block.is_hole);
            assert_eq!(
                own.map(|block| u128::from(cost(block).unwrap()))
                    .sum::<u128>(),
                window.cost
            );
            let start = window.address.next_multiple_of(align);
            assert!(start + size <= window.address + window.size);
        }
        assert_eq!(cheapest_window(&blocks, 0, 1, cost), None);
        assert_eq!(cheapest_window(&blocks, 1, 3, cost), None);
        assert_eq!(cheapest_window(&blocks, SIZE + 1, 1, |_| Some(0)), None);
    }
}

/// Returns the least cost of all runs of blocks.
fn least(
    blocks: &[Block],
    size: u64,
    align: u64,
    cost: impl Fn(&Block) -> Option<u64>,
) -> Option<u128> {
    let mut best = None;
    for from in 0..blocks.len() {
        let mut total = 0;
        for block in &blocks[from..] {
            match if block.is_hole { Some(0) } else { cost(block) } {
                Some(one) => total += u128::from(one),
                None => break,
            }
            let start = blocks[from].address.next_multiple_of(align);
            let fits = start + size <= block.address + block.size;
            if fits && best.is_none_or(|best| total < best) {
                best = Some(total);
            }
        }
    }
    best
}

#[test]
fn placed_bytes_follow_buffers_and_states() {
    let pool = pool(Strategy::Random, 1);
    crate::common::mount_sizes(&pool, &[SIZE, SIZE]);
    let placed = |id: u128| {
        let views = pool.segments();
        views
            .iter()
            .find(|view| view.id == SegmentId(id))
            .unwrap()
            .placed_bytes
    };
    let a = pool.place_in(SegmentId(1), 100, 1).unwrap();
    let b = pool.place_in(SegmentId(2), 50, 64).unwrap();
    assert_eq!(
        (placed(1), placed(2), pool.placed_bytes_in_placeable()),
        (100, 50, 150)
    );
    pool.drain(SegmentId(1)).unwrap();
    assert!(!a.is_placeable() && a.is_readable());
    assert_eq!((placed(1), pool.placed_bytes_in_placeable()), (100, 50));
    pool.resume(SegmentId(1)).unwrap();
    assert!(a.is_placeable());
    assert_eq!(pool.placed_bytes_in_placeable(), 150);
    pool.begin_unmount(SegmentId(2)).unwrap();
    pool.finish_unmount(SegmentId(2)).unwrap();
    assert_eq!(pool.placed_bytes_in_placeable(), 100);
    drop((a, b));
    assert_eq!(pool.placed_bytes_in_placeable(), 0);
    assert_eq!(placed(1), 0);
}

#[test]
fn a_segment_of_more_bytes_than_can_be_summed_is_refused() {
    let pool = pool(Strategy::Random, 1);
    let mut large = info(1, 1 << 63);
    large.base = 0;
    let refusal = pool.mount(Segment::remote(large.clone())).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "segment 00000000000000000000000000000001: 9223372036854775808 bytes are more than the \
         9223372036854775807 that a segment may have"
    );
    large.size -= 1;
    pool.mount(Segment::remote(large)).unwrap();
    let all = pool.place_in(ID, (1 << 63) - 1, 1).unwrap();
    assert_eq!(pool.placed_bytes_in_placeable(), all.size());
}

#[test]
fn the_charge_is_what_a_request_takes() {
    for (fit, granule) in [(Fit::Adaptive, 1), (Fit::Adaptive, 512), (Fit::BinCeil, 1)] {
        let pool = mounted(|info| {
            info.options.fit = fit;
            info.options.granule = granule;
        });
        let placed = pool.place_in(ID, 1001, 1).unwrap();
        let own = all_blocks(&pool, 9)
            .into_iter()
            .find(|block| !block.is_hole)
            .unwrap();
        assert_eq!(placed.segment().charged_size(1001), Some(own.size));
        assert_eq!(placed.segment().charged_size(0), None);
        assert_eq!(placed.segment().charged_size(SIZE + 1), None);
    }
}
