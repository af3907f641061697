//! Restoring from a list of what lies where.
//!
//! Claims: a list is accepted in any order iff its charges are possible and
//! disjoint under the options; the tokens come in the order of the list and
//! the holes are the gaps; a refusal names an entry that is at fault.
#![expect(
    clippy::unwrap_used,
    reason = "a refusal where none is due fails the test"
)]

use std::{collections::BTreeMap, error::Error};

use crate::common::{FITS, Shadowed};
use mc_offset::{
    Allocation, Fit, FreeRange, OffsetAllocator, Options, OptionsError, RestoreEntry, RestoreError,
    Snapshot,
};
use proptest::prelude::*;
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

fn entry(position: usize, offset: u64, size: u64) -> RestoreEntry {
    RestoreEntry {
        position,
        offset,
        size,
    }
}

#[test]
fn lists_are_restored_in_any_order_with_tokens_in_theirs() {
    let entries: Vec<(u64, u64)> = (0..1000).map(|i| (i * 100, 1 + i % 100)).collect();
    let options = Options::new(100_000);
    let (sorted, _) = OffsetAllocator::restore_from(options, entries.clone()).unwrap();
    for seed in 0..20 {
        let mut shuffled = entries.clone();
        shuffled.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
        let (mut allocator, tokens) =
            OffsetAllocator::restore_from(options, shuffled.iter().copied()).unwrap();
        assert!(allocator.holes().eq(sorted.holes()));
        assert_eq!(allocator.free_bytes(), sorted.free_bytes());
        let placed = tokens.iter().map(|token| (token.offset(), token.size()));
        assert!(placed.eq(shuffled));
        for token in tokens {
            allocator.free(token).unwrap();
        }
        allocator.check_invariants();
        assert_eq!(allocator.largest_hole(), 100_000);
    }
}

#[test]
fn a_restored_allocator_agrees_with_the_oracle_from_then_on() {
    for fit in FITS {
        let mut shadowed = Shadowed::new(Options {
            fit,
            ..Options::new(10_007)
        });
        let entries = [(5000, 16), (9, 2), (10_000, 7), (4000, 960), (11, 1)];
        let options = *shadowed.allocator.options();
        let (allocator, tokens) = OffsetAllocator::restore_from(options, entries).unwrap();
        shadowed.allocator = allocator;
        for token in tokens {
            let charge = shadowed.charge(token.size());
            shadowed.live.insert(token.offset(), (charge, token));
        }
        shadowed.check();
        for size in 1..200 {
            let _ = shadowed.allocate(size, 8);
            shadowed.check();
        }
    }
}

#[track_caller]
fn check_refused(options: Options, entries: &[(u64, u64)], error: RestoreError) {
    let restored = OffsetAllocator::restore_from(options, entries.iter().copied());
    assert_eq!(restored.unwrap_err(), error);
}

#[test]
fn the_entry_at_fault_is_named() {
    let bytes = Options::new(100);
    let granules = Options {
        granule: 4,
        max_allocations: Some(3),
        ..bytes
    };
    let overlap = |entry, other, other_end| RestoreError::Overlap {
        entry,
        other,
        other_end,
    };
    check_refused(
        bytes,
        &[(10, 5), (3, 0)],
        RestoreError::ZeroSize {
            entry: entry(1, 3, 0),
        },
    );
    for (offset, size) in [(100, 1), (99, 2), (0, 101), (u64::MAX, 1), (1, u64::MAX)] {
        let error = RestoreError::BeyondCapacity {
            entry: entry(1, offset, size),
            capacity: 100,
        };
        check_refused(bytes, &[(10, 5), (offset, size)], error);
    }
    let error = overlap(entry(0, 14, 1), entry(1, 10, 5), 15);
    check_refused(bytes, &[(14, 1), (10, 5)], error);
    let error = overlap(entry(2, 20, 9), entry(1, 20, 1), 21);
    check_refused(bytes, &[(0, 10), (20, 1), (20, 9)], error);
    // The granule makes five bytes eight.
    let error = overlap(entry(1, 16, 4), entry(0, 12, 5), 20);
    check_refused(granules, &[(12, 5), (16, 4)], error);
    let error = RestoreError::OffGranule {
        entry: entry(1, 30, 1),
        granule_bytes: 4,
    };
    check_refused(granules, &[(0, 1), (30, 1)], error);
    let error = RestoreError::LimitReached {
        entry: entry(3, 40, 1),
        limit: 3,
    };
    check_refused(granules, &[(0, 1), (4, 1), (8, 1), (40, 1), (44, 1)], error);
}

#[test]
fn exactly_as_many_entries_as_the_limit_are_restored() {
    let options = Options {
        max_allocations: Some(3),
        ..Options::new(100)
    };
    let restored = OffsetAllocator::restore_from(options, [(50, 1), (0, 1), (99, 1)]);
    let (mut allocator, _) = restored.unwrap();
    assert!(allocator.allocate(1).is_err());
}

#[test]
fn options_that_cannot_be_had_are_the_source_of_the_error() {
    let options = Options::new(0);
    let error = OffsetAllocator::restore_from(options, []).unwrap_err();
    assert_eq!(error, RestoreError::Options(OptionsError::ZeroCapacity));
    let source = error.source().unwrap().downcast_ref();
    assert_eq!(source, Some(&OptionsError::ZeroCapacity));
}

#[test]
fn a_list_that_claims_to_be_endless_is_refused() {
    let restored = OffsetAllocator::restore_from(Options::new(10), (0..).map(|i| (i, 1)));
    assert_eq!(restored.unwrap_err(), RestoreError::OutOfMemory);
}

#[test]
fn snapshots_of_one_fit_are_restored_under_every_other_that_has_the_room() {
    // Under every fit these sizes are charged at most 20 bytes.
    let sizes = [17, 18, 19, 20, 1];
    for from in FITS {
        let options = Options {
            fit: from,
            ..Options::new(1000)
        };
        let entries = sizes.iter().zip(0..).map(|(&size, i)| (i * 20, size));
        let (allocator, _) = OffsetAllocator::restore_from(options, entries).unwrap();
        let snapshot = allocator.snapshot();
        for fit in FITS {
            let options = Options { fit, ..options };
            let restored = OffsetAllocator::restore_from(options, snapshot.entries());
            let (restored, tokens) = restored.unwrap();
            restored.check_invariants();
            assert_eq!(restored.live_bytes(), snapshot_bytes(&snapshot));
            assert!(restored.allocations().eq(tokens));
        }
    }
}

fn snapshot_bytes(snapshot: &Snapshot) -> u64 {
    snapshot.entries().map(|(_, size)| size).sum()
}

#[test]
fn a_fit_that_charges_more_than_there_is_room_for_names_the_entry() {
    let mut packed = OffsetAllocator::new(1000).unwrap();
    for size in [16, 17, 967] {
        let _live = packed.allocate(size).unwrap();
    }
    let bin_ceil = Options {
        fit: Fit::BinCeil,
        ..*packed.options()
    };
    let snapshot = packed.snapshot();
    let entries: Vec<(u64, u64)> = snapshot.entries().collect();
    // 17 bytes are charged 18, and 967 bytes 1024.
    let error = RestoreError::BeyondCapacity {
        entry: entry(2, 33, 967),
        capacity: 1000,
    };
    check_refused(bin_ceil, &entries, error);
    let error = RestoreError::Overlap {
        entry: entry(2, 33, 7),
        other: entry(1, 16, 17),
        other_end: 34,
    };
    check_refused(bin_ceil, &[(0, 16), (16, 17), (33, 7)], error);
    assert_eq!(
        error.to_string(),
        "entry 2 (7 bytes at offset 33) begins before offset 34, where entry 1 (17 bytes at offset 16) ends"
    );
}

/// What options and a list of entries say, by comparing all pairs.
struct Oracle {
    options: Options,
    entries: Vec<(u64, u64)>,
}

impl Oracle {
    /// Returns the end of an entry's charge; the sizes are below the first
    /// rounded bins, so that only the granule counts.
    fn end(&self, (offset, size): (u64, u64)) -> u64 {
        offset + size.next_multiple_of(self.options.granule)
    }

    fn is_possible(&self, entry: (u64, u64)) -> bool {
        let is_granular = entry.0.is_multiple_of(self.options.granule);
        entry.1 != 0 && is_granular && self.end(entry) <= self.options.capacity
    }

    fn overlap(&self, one: (u64, u64), other: (u64, u64)) -> bool {
        one.0 < self.end(other) && other.0 < self.end(one)
    }

    fn is_restorable(&self) -> bool {
        let is_within_limit = self
            .options
            .max_allocations
            .is_none_or(|limit| self.entries.len() <= limit as usize);
        let pairs = self.entries.iter().enumerate().flat_map(|(i, &one)| {
            let others = self.entries[..i].iter();
            others.map(move |&other| (one, other))
        });
        is_within_limit
            && self.entries.iter().all(|&entry| self.is_possible(entry))
            && !pairs
                .into_iter()
                .any(|(one, other)| self.overlap(one, other))
    }

    /// Returns the gaps, byte by byte.
    fn gaps(&self) -> Vec<FreeRange> {
        let mut gaps: Vec<FreeRange> = Vec::new();
        let is_taken = |at| {
            let mut ranges = self.entries.iter();
            ranges.any(|&entry| (entry.0..self.end(entry)).contains(&at))
        };
        for offset in (0..self.options.capacity).filter(|&at| !is_taken(at)) {
            match gaps.last_mut() {
                Some(gap) if gap.offset + gap.size == offset => gap.size += 1,
                _ => gaps.push(FreeRange { offset, size: 1 }),
            }
        }
        gaps
    }

    #[track_caller]
    fn assert_names_a_fault(&self, error: RestoreError) {
        let named = |entry: RestoreEntry| {
            let own = self.entries[entry.position];
            assert_eq!((entry.offset, entry.size), own);
            own
        };
        match error {
            RestoreError::ZeroSize { entry } => assert_eq!(named(entry).1, 0),
            RestoreError::OffGranule { entry, .. } => {
                assert!(!named(entry).0.is_multiple_of(self.options.granule));
            }
            RestoreError::BeyondCapacity { entry, capacity } => {
                assert!(self.end(named(entry)) > capacity);
            }
            RestoreError::Overlap {
                entry,
                other,
                other_end,
            } => {
                assert_ne!(entry.position, other.position);
                assert!(self.overlap(named(entry), named(other)));
                assert_eq!(other_end, self.end(named(other)));
            }
            RestoreError::LimitReached { entry, limit } => {
                named(entry);
                assert_eq!(entry.position, limit as usize);
            }
            error => panic!("{error} is no fault of the list"),
        }
    }

    fn check(&self) {
        let restored = OffsetAllocator::restore_from(self.options, self.entries.iter().copied());
        let (mut allocator, tokens) = match restored {
            Ok(restored) => restored,
            Err(error) => {
                assert!(!self.is_restorable(), "{error}");
                return self.assert_names_a_fault(error);
            }
        };
        assert!(self.is_restorable());
        allocator.check_invariants();
        assert!(allocator.holes().eq(self.gaps()));
        let sizes: u64 = self.entries.iter().map(|&(_, size)| size).sum();
        assert_eq!(allocator.live_bytes(), sizes);
        let by_offset: BTreeMap<u64, Allocation> = tokens
            .iter()
            .map(|token| (token.offset(), *token))
            .collect();
        assert!(allocator.allocations().eq(by_offset.into_values()));
        let placed = tokens.iter().map(|token| (token.offset(), token.size()));
        assert!(placed.eq(self.entries.iter().copied()));
        for token in tokens {
            allocator.free(token).unwrap();
            allocator.check_invariants();
        }
        assert_eq!(allocator.free_bytes(), self.options.capacity);
    }
}

fn any_options() -> impl Strategy<Value = Options> {
    let limit = prop_oneof![Just(None), (1..8_u32).prop_map(Some)];
    let fit = proptest::sample::select(FITS.to_vec());
    (0..3_u32, 1..17_u64, fit, limit).prop_map(|(shift, granules, fit, max_allocations)| Options {
        granule: 1 << shift,
        fit,
        max_allocations,
        ..Options::new(granules << shift)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_list_is_restored_or_a_fault_in_it_is_named(
        options in any_options(),
        entries in prop::collection::vec((0..70_u64, 0..9_u64), 0..8),
    ) {
        Oracle { options, entries }.check();
    }

    #[test]
    fn any_disjoint_list_is_restored(
        granule_shift in 0..3_u32,
        (fit, lengths) in (
            proptest::sample::select(FITS.to_vec()),
            prop::collection::vec((0..3_u64, 1..5_u64), 0..12),
        ),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 12),
    ) {
        let mut end = 0;
        let mut entries = Vec::new();
        for &(gap, size) in &lengths {
            let offset = end + (gap << granule_shift);
            entries.push((offset, size));
            end = offset + size.next_multiple_of(1 << granule_shift);
        }
        for (one, other) in swaps {
            if !entries.is_empty() {
                let len = entries.len();
                entries.swap(one.index(len), other.index(len));
            }
        }
        let options = Options { granule: 1 << granule_shift, fit, ..Options::new(end + 16) };
        let oracle = Oracle { options, entries };
        prop_assert!(oracle.is_restorable());
        oracle.check();
    }
}
