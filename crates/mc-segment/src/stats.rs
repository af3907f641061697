//! What a pool tells about its segments.

use serde::Serialize;

use crate::{segment::SegmentId, state::SegmentState};

/// A mounted segment at a glance, read without a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SegmentView {
    /// The identity.
    pub id: SegmentId,
    /// The name.
    pub name: String,
    /// The host, empty if it is not known.
    pub host: String,
    /// The state.
    pub state: SegmentState,
    /// Bytes in all.
    pub capacity: u64,
    /// Free bytes; freed blocks that threads keep for their next request are
    /// not counted.
    pub free_bytes: u64,
    /// Bytes of the largest hole, or a few more.
    pub largest_hole: u64,
}
