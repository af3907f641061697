//! The ends of every range: sizes, capacities, alignments, limits, tokens.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::collections::BTreeSet;

use mc_offset::{AllocError, Allocation, Fit, FreeError, OffsetAllocator, Options, OptionsError};

fn with(options: Options) -> OffsetAllocator {
    OffsetAllocator::with_options(options).unwrap()
}

#[test]
fn options_of_no_allocator_are_named() {
    let base = Options::new(4096);
    let cases = [
        (Options::new(0), OptionsError::ZeroCapacity),
        (Options { granule: 0, ..base }, OptionsError::ZeroGranule),
        (
            Options { granule: 3, ..base },
            OptionsError::CapacityNotGranular {
                capacity: 4096,
                granule_bytes: 3,
            },
        ),
        (
            Options {
                granule: 8192,
                ..base
            },
            OptionsError::CapacityNotGranular {
                capacity: 4096,
                granule_bytes: 8192,
            },
        ),
        (
            Options {
                fit: Fit::Good { probes: 0 },
                ..base
            },
            OptionsError::ZeroProbes,
        ),
        (
            Options {
                max_allocations: Some(0),
                ..base
            },
            OptionsError::ZeroAllocations,
        ),
    ];
    for (options, error) in cases {
        assert_eq!(OffsetAllocator::with_options(options).unwrap_err(), error);
    }
}

#[test]
fn sizes_at_the_ends_are_served_or_named() {
    for capacity in [
        1,
        2,
        699_050,
        1 << 31,
        (1 << 40) - 1,
        u64::MAX - 1,
        u64::MAX,
    ] {
        let mut allocator = with(Options::new(capacity));
        assert_eq!(allocator.allocate(0), Err(AllocError::ZeroSize));
        for asked in [capacity.saturating_add(1), u64::MAX] {
            if asked > capacity {
                let error = AllocError::TooLarge { asked, capacity };
                assert_eq!(allocator.allocate(asked), Err(error));
            }
        }
        for size in [capacity, capacity - capacity / 20] {
            let whole = allocator.allocate(size).unwrap();
            assert_eq!((whole.offset(), whole.size()), (0, size));
            allocator.free(whole).unwrap();
        }
        allocator.check_invariants();
    }
}

#[test]
fn the_whole_capacity_is_usable_byte_by_byte() {
    let mut allocator = with(Options::new(1000));
    let offsets: BTreeSet<u64> = (0..1000)
        .map(|_| allocator.allocate(1).unwrap().offset())
        .collect();
    assert!(offsets.into_iter().eq(0..1000));
    let full = AllocError::NoHole {
        asked: 1,
        free: 0,
        largest_hole: 0,
    };
    assert_eq!(allocator.allocate(1), Err(full));
}

#[test]
fn a_hole_of_exactly_the_size_is_found_behind_any_number_of_smaller_ones() {
    // All sizes from 1000 to 1007 share a bin; the fitting hole is the oldest.
    let mut allocator = with(Options::new(100_000));
    let fitting = allocator.allocate(1007).unwrap();
    let _wall = allocator.allocate(1).unwrap();
    let mut small = Vec::new();
    while let Ok(block) = allocator.allocate(1000) {
        small.push(block);
        let _wall = allocator.allocate(1);
    }
    while allocator.allocate(1).is_ok() {}
    allocator.free(fitting).unwrap();
    for block in small {
        allocator.free(block).unwrap();
    }
    assert_eq!(allocator.largest_hole(), 1007);
    let refused = AllocError::NoHole {
        asked: 1008,
        free: allocator.free_bytes(),
        largest_hole: 1007,
    };
    assert_eq!(allocator.allocate(1008), Err(refused));
    assert_eq!(allocator.allocate(1007).unwrap().offset(), fitting.offset());
}

#[test]
fn alignments_up_to_the_capacity_are_honored_at_the_offset() {
    let mut allocator = with(Options::new(1 << 20));
    assert_eq!(
        allocator.allocate_aligned(10, 24),
        Err(AllocError::AlignNotPowerOfTwo { align: 24 })
    );
    let _first = allocator.allocate(1).unwrap();
    for shift in 0..20 {
        let block = allocator.allocate_aligned(3, 1 << shift).unwrap();
        assert!(block.offset().is_multiple_of(1 << shift));
        allocator.check_invariants();
        allocator.free(block).unwrap();
    }
    assert!(allocator.allocate_aligned(1, 1 << 20).is_err());
    assert!(allocator.allocate_aligned(1, 1 << 63).is_err());
}

#[test]
fn skipped_bytes_of_an_aligned_request_stay_free() {
    let mut allocator = with(Options::new(8192));
    let _first = allocator.allocate(1).unwrap();
    let aligned = allocator.allocate_aligned(4096, 4096).unwrap();
    assert_eq!(aligned.offset(), 4096);
    assert_eq!(allocator.free_bytes(), 4095);
    assert_eq!(allocator.allocate(4095).unwrap().offset(), 1);
}

#[test]
fn a_limit_of_n_allocations_means_n() {
    for limit in [1, 2, 7, 1000] {
        let mut allocator = with(Options {
            max_allocations: Some(limit),
            ..Options::new(1 << 20)
        });
        let blocks: Vec<_> = (0..limit)
            .map(|_| allocator.allocate(64).unwrap())
            .collect();
        assert_eq!(
            allocator.allocate(64),
            Err(AllocError::LimitReached { limit })
        );
        // Every second one leaves, so that each neighbor is live and the
        // holes need nodes of their own.
        for block in blocks.iter().step_by(2) {
            allocator.free(*block).unwrap();
        }
        for _ in blocks.iter().step_by(2) {
            let _again = allocator.allocate(64).unwrap();
        }
        assert_eq!(
            allocator.allocate(64),
            Err(AllocError::LimitReached { limit })
        );
        allocator.check_invariants();
    }
}

/// A pool of 100 bytes with a hole of 10 after each of five allocations of 10.
fn checkered(limit: u32) -> OffsetAllocator {
    let mut allocator = with(Options {
        max_allocations: Some(limit),
        ..Options::new(100)
    });
    for offset in (0..100).step_by(20) {
        let _ = allocator.allocate_at(offset, 10).unwrap();
    }
    allocator
}

#[test]
fn every_piece_of_an_object_counts_against_the_limit() {
    let mut allocator = checkered(10);
    let object = allocator.allocate_extents(50, 5, 1).unwrap();
    assert_eq!(object.pieces().len(), 5);
    assert_eq!(allocator.allocation_count(), 10);
    let mut allocator = checkered(9);
    let refused = allocator.allocate_extents(50, 5, 1);
    assert_eq!(refused, Err(AllocError::LimitReached { limit: 9 }));
    assert_eq!(allocator.allocation_count(), 5);
    assert_eq!(allocator.free_bytes(), 50);
    assert!(allocator.allocate_extents(40, 4, 1).is_ok());
}

#[test]
fn pieces_are_in_the_holes_with_the_most_room_once_aligned() {
    let mut allocator = with(Options::new(7244));
    // Two holes of 1400 bytes with 512 of them usable, two of 1100 bytes with 1024.
    for (start, end) in [(0, 1), (1400, 2049), (3450, 4096), (5196, 6144)] {
        let _ = allocator.allocate_at(start, end - start).unwrap();
    }
    let object = allocator.allocate_extents(2048, 2, 512).unwrap();
    let mut offsets: Vec<u64> = object.pieces().iter().map(Allocation::offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [4096, 6144]);
}

#[test]
fn the_last_piece_has_all_of_its_room() {
    // From multiples of 64 on, the holes have 236, 335 and 40 bytes.
    let last_is_at = |size, expected: &[(u64, u64)]| {
        let mut allocator = with(Options::new(1000));
        for (start, end) in [(236, 428), (783, 926)] {
            let _ = allocator.allocate_at(start, end - start).unwrap();
        }
        let object = allocator.allocate_extents(size, 3, 64).unwrap();
        let pieces = object.pieces().iter();
        let pieces: Vec<_> = pieces.map(|piece| (piece.offset(), piece.size())).collect();
        assert_eq!(pieces, expected, "{size} bytes");
        allocator.check_invariants();
    };
    last_is_at(512, &[(0, 192), (448, 320)]);
    last_is_at(513, &[(448, 320), (0, 193)]);
    last_is_at(556, &[(448, 320), (0, 236)]);
    let mut allocator = with(Options::new(1000));
    for (start, end) in [(236, 428), (783, 926)] {
        let _ = allocator.allocate_at(start, end - start).unwrap();
    }
    let refused = allocator.allocate_extents(557, 3, 64);
    assert!(
        matches!(refused, Err(AllocError::NoHole { .. })),
        "{refused:?}"
    );
}

#[test]
fn room_for_an_alignment_is_counted_from_the_granule_on() {
    for fit in [Fit::BinExact, Fit::GOOD, Fit::Adaptive] {
        let mut allocator = with(Options {
            granule: 64,
            fit,
            ..Options::new(4096)
        });
        // Wherever a hole begins, 64 bytes more than asked for reach a multiple of 128.
        let nearly_all = allocator.allocate_aligned(4032, 128);
        assert!(nearly_all.is_ok(), "{fit:?}: {nearly_all:?}");
    }
}

#[test]
fn all_pieces_of_an_object_are_freed() {
    let mut allocator = checkered(10);
    let object = allocator.allocate_extents(45, 5, 1).unwrap();
    assert_eq!(allocator.free_bytes(), 5);
    assert_eq!(allocator.free_extents(object), Ok(()));
    assert_eq!(allocator.free_bytes(), 50);
    allocator.check_invariants();
}

#[test]
fn stale_double_and_foreign_frees_are_errors_and_change_nothing() {
    let mut allocator = with(Options::new(1000));
    let mut other = with(Options::new(1000));
    let freed = allocator.allocate(10).unwrap();
    let foreign = other.allocate(10).unwrap();
    allocator.free(freed).unwrap();
    let reused = allocator.allocate(10).unwrap();
    assert_eq!(
        reused.offset(),
        freed.offset(),
        "the node and the bytes are reused"
    );
    let before = allocator.report();
    for token in [freed, foreign] {
        let error = FreeError::NotLive {
            offset: token.offset(),
            size: token.size(),
        };
        assert_eq!(allocator.free(token), Err(error));
        assert!(!allocator.is_live(token));
    }
    assert_eq!(allocator.report(), before);
    assert!(allocator.is_live(reused));
    allocator.reset().unwrap();
    assert!(
        allocator.free(reused).is_err(),
        "a reset makes every token stale"
    );
    allocator.check_invariants();
}

#[test]
fn uniform_sizes_fill_the_pool_to_the_arithmetic_limit_under_churn() {
    for size in [15_u64, 145, 529, 1023] {
        let capacity = 1 << 16;
        let mut allocator = with(Options::new(capacity));
        let mut live: Vec<_> = (0..capacity / size)
            .map(|_| allocator.allocate(size).unwrap())
            .collect();
        for step in 0..10_000_usize {
            assert!(allocator.allocate(size).is_err());
            let index = step.wrapping_mul(2_654_435_761) % live.len();
            allocator.free(live[index]).unwrap();
            live[index] = allocator.allocate(size).unwrap();
        }
        assert_eq!(allocator.live_bytes(), capacity / size * size);
    }
}

#[test]
fn node_memory_is_compact_grows_on_demand_and_is_given_back() {
    let mut allocator = with(Options::new(1 << 40));
    let idle = allocator.metadata_bytes();
    assert!(
        idle < 64 << 10,
        "an idle allocator for 1 TiB takes {idle} bytes"
    );
    let live: Vec<_> = (0..200_000)
        .map(|_| allocator.allocate(4096).unwrap())
        .collect();
    let per_object = allocator.metadata_bytes() as f64 / live.len() as f64;
    assert!(
        per_object <= 28.0,
        "{per_object} bytes of nodes per live object"
    );
    for block in live {
        allocator.free(block).unwrap();
    }
    assert!(allocator.metadata_bytes() < 2 * idle);
    allocator.check_invariants();
}

/// Returns a full allocator and its 20,000 objects in address order.
fn full_of_small_objects() -> (OffsetAllocator, Vec<Allocation>) {
    let mut allocator = with(Options::new(20_000));
    let live = (0..20_000).map(|_| allocator.allocate(1).unwrap());
    let live = live.collect();
    (allocator, live)
}

#[test]
fn memory_of_objects_is_given_back_though_there_never_were_many_holes() {
    let (mut allocator, mut live) = full_of_small_objects();
    let full = allocator.metadata_bytes();
    for block in live.drain(10_000..).rev() {
        allocator.free(block).unwrap();
    }
    assert_eq!(allocator.metadata_bytes(), full, "half of it is in use");
    for block in live.drain(20..).rev() {
        allocator.free(block).unwrap();
    }
    assert!(allocator.metadata_bytes() * 3 < full);
    allocator.check_invariants();
}

#[test]
fn small_tables_are_kept_when_the_last_object_is_freed() {
    let mut allocator = with(Options::new(1000));
    // Placing at an offset makes an index of the holes.
    let only = allocator.allocate_at(100, 10).unwrap();
    let with_index = allocator.metadata_bytes();
    allocator.free(only).unwrap();
    assert_eq!(allocator.metadata_bytes(), with_index);
}

#[test]
fn memory_of_holes_is_given_back_though_there_are_many_objects() {
    let (mut allocator, live) = full_of_small_objects();
    let without_holes = allocator.metadata_bytes();
    for block in live.iter().step_by(2) {
        allocator.free(*block).unwrap();
    }
    assert!(allocator.metadata_bytes() > without_holes);
    for _ in 10..live.len() / 2 {
        let _ = allocator.allocate(1).unwrap();
    }
    // Beside a hole, since the last ones are taken first.
    allocator.free(live[1]).unwrap();
    assert!(allocator.metadata_bytes() <= without_holes);
    allocator.check_invariants();
}
