//! Snapshots: taking, encoding, decoding and restoring them.
//!
//! Claims: an allocator restored from its snapshot has the same allocations,
//! holes and sums, under every fit and granule; encoded bytes that are
//! changed, cut or appended to are refused; bytes with a right checksum are
//! still checked field by field.

use std::time::Instant;

use crate::common::FITS;
use mc_offset::{
    Allocation, Fit, OffsetAllocator, Options, OptionsError, RestoreEntry, RestoreError, Snapshot,
    SnapshotError,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Returns an allocator in a state that some random steps lead to.
fn churned(options: Options, seed: u64) -> OffsetAllocator {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut allocator = OffsetAllocator::with_options(options).expect("options are valid");
    let mut live: Vec<Allocation> = Vec::new();
    for _ in 0..300 {
        if !live.is_empty() && rng.random_ratio(2, 5) {
            let victim = live.swap_remove(rng.random_range(0..live.len()));
            allocator.free(victim).expect("the token is live");
        } else {
            live.extend(allocator.allocate(rng.random_range(1..=options.capacity / 8)));
        }
    }
    allocator
}

/// Panics unless `restored` has the allocations of `original`, named by
/// `tokens`, and both refuse each other's.
#[track_caller]
fn assert_same_state(
    original: &mut OffsetAllocator,
    restored: &mut OffsetAllocator,
    tokens: &[Allocation],
) {
    restored.check_invariants();
    assert_eq!(restored.options(), original.options());
    assert!(restored.holes().eq(original.holes()));
    assert!(restored.allocations().eq(tokens.iter().copied()));
    let (mut expected, report) = (original.report(), restored.report());
    expected.metadata_bytes = report.metadata_bytes;
    assert_eq!(report, expected);
    let old: Vec<Allocation> = original.allocations().collect();
    assert_eq!(old.len(), tokens.len());
    for (&old, &new) in old.iter().zip(tokens) {
        assert_eq!((old.offset(), old.size()), (new.offset(), new.size()));
        assert!(restored.free(old).is_err(), "a token of the original");
        assert!(original.free(new).is_err(), "a token of the restored");
    }
}

#[test]
fn round_trips_keep_the_state_of_every_fit_and_granule() {
    for fit in FITS {
        for (capacity, granule) in [(10_007, 1), (64 * 999, 64), (1 << 40, 4096), (u64::MAX, 1)] {
            let options = Options {
                fit,
                granule,
                max_allocations: Some(300),
                ..Options::new(capacity)
            };
            let mut original = churned(options, capacity);
            let snapshot = original.snapshot();
            let decoded = Snapshot::decode(&snapshot.encode()).unwrap();
            assert_eq!(decoded, snapshot);
            let (mut restored, tokens) = decoded.restore().unwrap();
            assert_same_state(&mut original, &mut restored, &tokens);
            for token in tokens {
                restored.free(token).unwrap();
                restored.check_invariants();
            }
            assert_eq!(restored.free_bytes(), capacity);
            assert_eq!(restored.hole_count(), 1);
        }
    }
}

#[test]
fn empty_and_full_allocators_round_trip() {
    for size in [None, Some(4096), Some(1)] {
        let mut original = OffsetAllocator::new(4096).unwrap();
        while let Some(Ok(_)) = size.map(|size| original.allocate(size)) {}
        let snapshot = Snapshot::decode(&original.snapshot().encode()).unwrap();
        let (mut restored, tokens) = snapshot.restore().unwrap();
        assert_same_state(&mut original, &mut restored, &tokens);
    }
}

/// Eight bytes to a line, in the order of the documented table.
const ENCODED: [u8; 84] = *b"\
    mcoffset\
    \x01\0\0\0\x02\0\0\0\
    \x04\0\0\0\x0a\0\0\0\
    \0\x10\0\0\0\0\0\0\
    \x40\0\0\0\0\0\0\0\
    \x02\0\0\0\0\0\0\0\
    \x40\0\0\0\0\0\0\0\
    \x41\0\0\0\0\0\0\0\
    \0\x01\0\0\0\0\0\0\
    \x01\0\0\0\0\0\0\0\
    \0\0\0\0";

/// A snapshot with its checksum.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let covered = &bytes[..bytes.len() - 4];
    [covered, &crc32fast::hash(covered).to_le_bytes()].concat()
}

#[test]
fn the_format_is_the_documented_one() {
    let options = Options {
        granule: 64,
        fit: Fit::GOOD,
        max_allocations: Some(10),
        ..Options::new(4096)
    };
    let (allocator, _) = OffsetAllocator::restore_from(options, [(64, 65), (256, 1)]).unwrap();
    assert_eq!(allocator.snapshot().encode(), sealed(&ENCODED));
}

#[test]
fn any_changed_byte_is_refused() {
    let bytes = sealed(&ENCODED);
    for at in 0..bytes.len() {
        for change in 1..=u8::MAX {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            assert!(Snapshot::decode(&changed).is_err(), "{at} ^ {change}");
        }
    }
}

#[test]
fn any_change_within_four_bytes_is_refused() {
    let bytes = sealed(&ENCODED);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
    for at in 0..=bytes.len() - 4 {
        for _ in 0..1000 {
            let change: u32 = rng.random_range(1..=u32::MAX);
            let mut changed = bytes.clone();
            for (byte, change) in changed[at..].iter_mut().zip(change.to_le_bytes()) {
                *byte ^= change;
            }
            assert!(Snapshot::decode(&changed).is_err(), "{at} ^ {change:#x}");
        }
    }
}

#[test]
fn any_cut_is_refused_with_the_length_that_is_missing() {
    let bytes = sealed(&ENCODED);
    for actual in 0..bytes.len() {
        let expected_bytes = if actual < 48 { 52 } else { 84 };
        let error = SnapshotError::WrongLength {
            expected_bytes,
            actual_bytes: actual as u64,
        };
        assert_eq!(Snapshot::decode(&bytes[..actual]), Err(error));
    }
}

#[test]
fn any_appended_bytes_are_refused() {
    let bytes = sealed(&ENCODED);
    for count in 1..=40 {
        let error = SnapshotError::WrongLength {
            expected_bytes: 84,
            actual_bytes: 84 + count as u64,
        };
        for filler in [&[0; 40], &[0xff; 40], &bytes[44..]] {
            let appended = [&bytes, &filler[..count]].concat();
            assert_eq!(Snapshot::decode(&appended), Err(error));
            let resealed = sealed(&appended);
            assert_eq!(Snapshot::decode(&resealed), Err(error));
        }
    }
}

/// Replaces the number at `at` and puts the checksum right.
fn forged<const N: usize>(at: usize, number: [u8; N]) -> Vec<u8> {
    let mut bytes = ENCODED;
    bytes[at..at + N].copy_from_slice(&number);
    sealed(&bytes)
}

#[track_caller]
fn check_forged<const N: usize>(at: usize, number: [u8; N], error: SnapshotError) {
    assert_eq!(Snapshot::decode(&forged(at, number)), Err(error));
}

#[test]
fn a_header_with_a_right_checksum_is_still_checked() {
    let options = |error: OptionsError| SnapshotError::Contents(error.into());
    check_forged(0, *b"x", SnapshotError::NotSnapshot);
    for version in [0, 2, u32::MAX] {
        let supported = 1;
        let error = SnapshotError::UnknownVersion { version, supported };
        check_forged(8, version.to_le_bytes(), error);
    }
    for (code, parameter) in [(0, 4), (1, 4), (3, 4), (4, 4), (u32::MAX, 4)] {
        let error = SnapshotError::UnknownFit { code, parameter };
        check_forged(12, code.to_le_bytes(), error);
    }
    check_forged(16, 0_u32.to_le_bytes(), options(OptionsError::ZeroProbes));
    check_forged(24, 0_u64.to_le_bytes(), options(OptionsError::ZeroCapacity));
    check_forged(32, 0_u64.to_le_bytes(), options(OptionsError::ZeroGranule));
    let error = OptionsError::CapacityNotGranular {
        capacity: 4096,
        granule_bytes: 63,
    };
    check_forged(32, 63_u64.to_le_bytes(), options(error));
    for (count, expected_bytes) in [(0, 52), (1, 68), (3, 100), (1 << 60, u64::MAX)] {
        let error = SnapshotError::WrongLength {
            expected_bytes,
            actual_bytes: 84,
        };
        check_forged(40, u64::to_le_bytes(count), error);
    }
}

fn entry(position: usize, offset: u64, size: u64) -> RestoreEntry {
    RestoreEntry {
        position,
        offset,
        size,
    }
}

#[test]
fn entries_with_a_right_checksum_are_still_checked() {
    let unsorted = SnapshotError::Unsorted {
        entry: entry(1, 0, 1),
        offset_before: 64,
    };
    check_forged(64, 0_u64.to_le_bytes(), unsorted);
    let overlap = |offset| RestoreError::Overlap {
        entry: entry(1, offset, 1),
        other: entry(0, 64, 65),
        other_end: 192,
    };
    check_forged(64, 64_u64.to_le_bytes(), overlap(64).into());
    check_forged(64, 128_u64.to_le_bytes(), overlap(128).into());
    let off_granule = RestoreError::OffGranule {
        entry: entry(1, 255, 1),
        granule_bytes: 64,
    };
    check_forged(64, 255_u64.to_le_bytes(), off_granule.into());
    for size in [3841, u64::MAX] {
        let beyond = RestoreError::BeyondCapacity {
            entry: entry(1, 256, size),
            capacity: 4096,
        };
        check_forged(72, size.to_le_bytes(), beyond.into());
    }
    let empty = RestoreError::ZeroSize {
        entry: entry(0, 64, 0),
    };
    check_forged(56, 0_u64.to_le_bytes(), empty.into());
    let too_many = RestoreError::LimitReached {
        entry: entry(1, 256, 1),
        limit: 1,
    };
    check_forged(20, 1_u32.to_le_bytes(), too_many.into());
}

#[test]
fn a_million_objects_take_sixteen_bytes_each_and_under_a_second() {
    let count = 1_000_000;
    // Every tenth object has gone and left a hole.
    let objects = (0..count / 9 * 10 + 1).filter(|i| i % 10 != 9);
    let entries = objects.map(|i| (i * 131_072, 131_072 - i % 4096));
    let (mut original, _) = OffsetAllocator::restore_from(Options::new(1 << 40), entries).unwrap();
    assert_eq!(u64::from(original.allocation_count()), count);

    let start = Instant::now();
    let snapshot = original.snapshot();
    let taken = start.elapsed();
    let bytes = snapshot.encode();
    let encoded = start.elapsed();
    let decoded = Snapshot::decode(&bytes).unwrap();
    let read = start.elapsed();
    let (mut restored, tokens) = decoded.restore().unwrap();
    let total = start.elapsed();
    eprintln!(
        "{} bytes: snapshot {taken:?}, encode {:?}, decode {:?}, restore {:?}",
        bytes.len(),
        encoded - taken,
        read - encoded,
        total - read
    );

    assert_eq!(bytes.len() as u64, 52 + 16 * count);
    assert_same_state(&mut original, &mut restored, &tokens);
    if !cfg!(debug_assertions) {
        assert!(total.as_secs_f64() < 1.0, "{total:?}");
    }
}
