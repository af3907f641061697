//! Snapshots and restoring on a heap that ends.
//!
//! Claims: wherever the heap ends, decoding and restoring return an error and
//! keep nothing; decoding takes no more than the bytes of the entries, and
//! nothing at all for a count that they do not bear out.

use std::alloc::System;

use cap::Cap;
use mc_offset::{OffsetAllocator, Options, RestoreError, Snapshot, SnapshotError};

/// The limit holds for all threads, so that this file does without the test
/// harness, which has some of its own.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Runs `operate` on a heap of `bytes` more than are in use.
fn with_heap<R>(bytes: usize, operate: impl FnOnce() -> R) -> R {
    let limited = HEAP.set_limit(HEAP.allocated() + bytes);
    let result = operate();
    let lifted = HEAP.set_limit(usize::MAX);
    limited
        .and(lifted)
        .expect("the limit is above what is in use");
    result
}

const OBJECTS: u64 = 2000;
const OPTIONS: Options = Options::new(100 * OBJECTS);

/// Returns entries with a gap after each, the last one first.
fn entries() -> impl Iterator<Item = (u64, u64)> {
    (0..OBJECTS).rev().map(|i| (100 * i, 90))
}

fn decoding_takes_the_bytes_of_the_entries_and_no_more() {
    let (allocator, _) = OffsetAllocator::restore_from(OPTIONS, entries()).expect("disjoint");
    let bytes = allocator.snapshot().encode();
    let entry_bytes = entries().count() * 16;
    assert!(with_heap(entry_bytes, || Snapshot::decode(&bytes)).is_ok());
    for heap_bytes in [0, entry_bytes - 1] {
        let refused = with_heap(heap_bytes, || Snapshot::decode(&bytes));
        assert_eq!(refused, Err(SnapshotError::OutOfMemory));
    }
    for count in [OBJECTS + 1, u64::MAX] {
        let mut forged = bytes.clone();
        forged[40..48].copy_from_slice(&count.to_le_bytes());
        let refused = with_heap(0, || Snapshot::decode(&forged));
        assert!(matches!(refused, Err(SnapshotError::WrongLength { .. })));
    }
}

fn restoring_keeps_nothing_wherever_the_heap_ends() {
    let in_use = HEAP.allocated();
    let mut refusals = 0;
    for heap_bytes in (0..).step_by(4096) {
        let restored = with_heap(heap_bytes, || {
            OffsetAllocator::restore_from(OPTIONS, entries())
        });
        match restored {
            Ok(_) => break,
            Err(error) => assert_eq!(error, RestoreError::OutOfMemory),
        }
        assert_eq!(HEAP.allocated(), in_use);
        refusals += 1;
    }
    assert!(refusals > 40, "only {refusals} ends of the heap were met");
}

fn main() {
    decoding_takes_the_bytes_of_the_entries_and_no_more();
    restoring_keeps_nothing_wherever_the_heap_ends();
}
