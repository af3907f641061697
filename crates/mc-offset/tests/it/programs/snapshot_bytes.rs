//! Bytes as an encoded snapshot: as they are, and with the checksum put right
//! so that what lies behind it is reached.
#![expect(clippy::unwrap_used, reason = "a refusal where none is due is a find")]

use mc_offset::Snapshot;

const CHECKSUM_BYTES: usize = 4;

/// Decodes `bytes` both ways.
///
/// # Panics
///
/// If they are accepted, but are not the bytes of what they decode to, or
/// that cannot be restored.
pub(crate) fn run(bytes: &[u8]) {
    check(bytes);
    if let Some(covered_bytes) = bytes.len().checked_sub(CHECKSUM_BYTES) {
        let covered = &bytes[..covered_bytes];
        check(&[covered, &crc32fast::hash(covered).to_le_bytes()].concat());
    }
}

fn check(bytes: &[u8]) {
    let Ok(snapshot) = Snapshot::decode(bytes) else {
        return;
    };
    assert_eq!(snapshot.encode(), bytes);
    let (mut allocator, tokens) = snapshot.restore().unwrap();
    allocator.check_invariants();
    assert_eq!(allocator.snapshot(), snapshot);
    for token in tokens {
        allocator.free(token).unwrap();
    }
    allocator.check_invariants();
    assert_eq!(allocator.free_bytes(), allocator.capacity());
}
