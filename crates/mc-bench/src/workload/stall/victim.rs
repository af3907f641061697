//! The objects of the thread whose calls are timed: in a segment of their own, with room for all.

use mc_segment::SegmentId;
use mc_store::{ObjectStore, PutRequest, Removal};

/// Bytes of most objects. Nothing is written: segments are of other hosts, but where objects move.
pub(super) const OBJECT_BYTES: u64 = 4 << 10;

/// The segment of the victim.
pub(super) const VICTIM: SegmentId = SegmentId(1);

/// Objects of the victim.
pub(super) const VICTIM_OBJECTS: u64 = 1_000;

/// Returns a key of the victim.
pub(super) fn victim_key(number: u64) -> [u8; 32] {
    let mut key = [0x5A; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key
}

/// Removes an object of the victim, if it is there, and puts it again where only the victim's objects
/// are and there is room for all of them.
pub(super) fn replace(store: &ObjectStore, key: &[u8]) {
    // An aggressor that crosses a watermark may have evicted it.
    let _ = store.remove(key, Removal::IfIdle);
    let request = PutRequest {
        preferred: &[VICTIM],
        ..PutRequest::new(OBJECT_BYTES)
    };
    let put = store.put(key, &request);
    let put = put.expect("the victim's segment has room for all of its objects");
    put.commit()
        .expect("the put is seconds away from its deadline");
}
