//! A pool as plain data: its options, its segments with all their fields, and
//! the states that they are in.

use serde::{Deserialize, Serialize};

use crate::{pool::PoolOptions, segment::SegmentInfo, state::SegmentState};

/// The version of [`PoolSnapshot`] that is written and read.
pub const SNAPSHOT_VERSION: u32 = 1;

/// A pool without its memory and without its buffers, whose owners keep their
/// [descriptors](crate::BufferDescriptor).
///
/// # Examples
///
/// ```
/// use mc_segment::{
///     Memory, PoolOptions, PoolSnapshot, Request, Segment, SegmentId, SegmentInfo, SegmentPool,
/// };
///
/// let pool = SegmentPool::new(PoolOptions::default());
/// pool.mount(Segment::remote(SegmentInfo::new(SegmentId(1), "node-1", 0, 1 << 20)))?;
/// let buffer = pool.place(&Request::new(4096))?.remove(0);
/// let saved = (pool.snapshot(), [buffer.descriptor()]);
///
/// let restored = SegmentPool::restore(&saved.0, |_segment| Memory::Remote)?;
/// let buffers = restored.adopt(&saved.1)?;
/// assert_eq!(buffers[0].address(), buffer.address());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSnapshot {
    /// [`SNAPSHOT_VERSION`] of the program that took it.
    pub version: u32,
    /// What the pool was made with.
    pub options: PoolOptions,
    /// The segments in the order of their ids.
    pub segments: Vec<SegmentSnapshot>,
}

/// A segment of a [`PoolSnapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentSnapshot {
    /// All fields of the segment.
    pub info: SegmentInfo,
    /// The state it was in.
    pub state: SegmentState,
}
