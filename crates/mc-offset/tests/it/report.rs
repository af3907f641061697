//! What the reports print and serialize.
//!
//! Claims: the printed table, histogram and map say what the numbers say, in
//! every state of a pool under churn; serialized values carry the names and
//! numbers of the fields.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use mc_offset::{OffsetAllocator, Options};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A pool of 3000 bytes that churn has fragmented.
fn churned(seed: u64) -> OffsetAllocator {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut allocator = OffsetAllocator::new(3000).unwrap();
    let mut live = Vec::new();
    for _ in 0..200 {
        match allocator.allocate(rng.random_range(1..=300)) {
            Ok(block) => live.push(block),
            Err(_) => {
                let victim = live.swap_remove(rng.random_range(0..live.len()));
                allocator.free(victim).unwrap();
            }
        }
    }
    allocator
}

/// The map by its definition, byte by byte.
fn expected_map(allocator: &OffsetAllocator, width: u64) -> String {
    let capacity = allocator.capacity();
    let count = width.min(capacity);
    let holes: Vec<_> = allocator.holes().collect();
    let is_free = |byte: u64| {
        holes
            .iter()
            .any(|hole| (hole.offset..hole.offset + hole.size).contains(&byte))
    };
    let symbol = |cell| {
        let mut bytes = capacity * cell / count..capacity * (cell + 1) / count;
        match (bytes.clone().any(is_free), bytes.all(is_free)) {
            (false, _) => '#',
            (true, true) => '.',
            (true, false) => '+',
        }
    };
    (0..count).map(symbol).collect()
}

#[test]
fn the_map_shows_used_free_and_mixed_parts_at_every_width() {
    for seed in 0..20 {
        let allocator = churned(seed);
        for width in [1, 2, 7, 64, 80, 2999, 3000] {
            assert_eq!(
                allocator.text_map(width),
                expected_map(&allocator, width as u64),
                "seed {seed}, width {width}"
            );
        }
        assert_eq!(allocator.text_map(0), "");
        assert_eq!(allocator.text_map(10_000).len(), 3000);
    }
}

#[test]
fn the_map_of_the_largest_range_has_the_width_asked_for() {
    let mut allocator = OffsetAllocator::new(u64::MAX).unwrap();
    assert_eq!(allocator.text_map(8), "........");
    let block = allocator.allocate(u64::MAX).unwrap();
    assert_eq!(allocator.text_map(8), "########");
    allocator.free(block).unwrap();
    let _last_byte = allocator.allocate_at(u64::MAX - 1, 1).unwrap();
    assert_eq!(allocator.text_map(8), ".......+");
}

#[test]
fn the_printed_report_names_every_sum() {
    let options = Options {
        granule: 1024,
        ..Options::new(1 << 20)
    };
    let mut allocator = OffsetAllocator::with_options(options).unwrap();
    let block = allocator.allocate(1000).unwrap();
    let _kept = allocator.allocate((256 << 10) - 24).unwrap();
    allocator.free(block).unwrap();
    let printed = allocator.report().to_string();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "capacity            1.00 MiB    100.00 %",
            "live              255.98 KiB     25.00 %  allocations: 1",
            "lost to rounding        24 B      0.00 %",
            "free              768.00 KiB     75.00 %  holes: 2",
            "largest hole      767.00 KiB     74.90 %  fragmentation: 0.13 %",
        ]
    );
    assert!(
        lines[5].starts_with("own tables") && lines[5].ends_with("KiB"),
        "{}",
        lines[5]
    );
    assert_eq!(lines.len(), 6);
}

#[test]
fn shares_are_those_of_the_live_and_of_the_scattered_bytes() {
    let mut allocator = OffsetAllocator::new(1000).unwrap();
    let report = allocator.report();
    assert_eq!((report.utilization(), report.fragmentation()), (0.0, 0.0));
    let first = allocator.allocate(200).unwrap();
    let _wall = allocator.allocate(200).unwrap();
    allocator.free(first).unwrap();
    // Holes of 200 and 600 bytes.
    let report = allocator.report();
    assert_eq!((report.utilization(), report.fragmentation()), (0.2, 0.25));
}

#[test]
fn a_full_pool_prints_no_fragmentation_and_no_holes() {
    let mut allocator = OffsetAllocator::new(1000).unwrap();
    let _whole = allocator.allocate(1000).unwrap();
    let printed = allocator.report().to_string();
    assert!(printed.contains("largest hole             0 B      0.00 %  fragmentation: 0.00 %"));
    assert_eq!(allocator.histogram().to_string(), "no holes");
}

#[test]
fn the_printed_histogram_has_a_line_per_bin_and_a_full_bar_for_the_fullest() {
    for seed in 0..20 {
        let histogram = churned(seed).histogram();
        let printed = histogram.to_string();
        assert_eq!(printed.lines().count(), 1 + histogram.bins().len());
        let fullest = histogram
            .bins()
            .iter()
            .map(|bin| bin.free_bytes)
            .max()
            .unwrap();
        for (bin, line) in histogram.bins().iter().zip(printed.lines().skip(1)) {
            let bar = line.chars().filter(|&symbol| symbol == '#').count() as u64;
            assert_eq!(bar, bin.free_bytes * 32 / fullest, "{line}");
        }
    }
}

#[cfg(feature = "serde")]
mod serialized {
    use mc_offset::Allocation;
    use serde_json::{json, to_value};

    use super::*;

    fn pool_with_two_blocks() -> (OffsetAllocator, [Allocation; 2]) {
        let mut allocator = OffsetAllocator::new(1000).unwrap();
        let blocks = [100, 200].map(|size| allocator.allocate(size).unwrap());
        (allocator, blocks)
    }

    #[test]
    fn a_report_is_its_fields() {
        let (allocator, _) = pool_with_two_blocks();
        assert_eq!(
            to_value(allocator.report()).unwrap(),
            json!({
                "capacity": 1000,
                "live_bytes": 300,
                "charged_bytes": 300,
                "free_bytes": 700,
                "largest_hole": 700,
                "allocation_count": 2,
                "hole_count": 1,
                "metadata_bytes": allocator.metadata_bytes(),
            })
        );
    }

    #[test]
    fn a_histogram_is_the_list_of_its_bins() {
        let (allocator, _) = pool_with_two_blocks();
        assert_eq!(
            to_value(allocator.histogram()).unwrap(),
            json!([{ "size_min": 688, "size_max": 703, "hole_count": 1, "free_bytes": 700 }])
        );
    }

    #[test]
    fn ranges_allocations_and_windows_are_offsets_and_sizes() {
        let (mut allocator, blocks) = pool_with_two_blocks();
        assert_eq!(
            to_value(allocator.holes().collect::<Vec<_>>()).unwrap(),
            json!([{ "offset": 300, "size": 700 }])
        );
        assert_eq!(
            to_value(blocks[1]).unwrap(),
            json!({ "offset": 100, "size": 200 })
        );
        let window = allocator.cheapest_window(800, 1, |_| Some(5)).unwrap();
        assert_eq!(
            to_value(window).unwrap(),
            json!({
                "offset": 100,
                "size": 900,
                "cost": 5,
                "victims": [{ "offset": 100, "size": 200 }],
            })
        );
        let extents = allocator.allocate_extents(50, 1, 1).unwrap();
        assert_eq!(
            to_value(&extents).unwrap(),
            json!({ "pieces": [{ "offset": 300, "size": 50 }] })
        );
    }
}
