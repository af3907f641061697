//! Buffers as plain data, for other processes and for after a restart.

use serde::{Deserialize, Serialize};

use crate::id::SegmentId;

/// Where a buffer is, as a transport or another process needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BufferDescriptor {
    /// The segment.
    pub segment: SegmentId,
    /// The incarnation of the segment's memory that has the bytes: they are
    /// lost if another one is mounted.
    #[serde(default)]
    pub epoch: u64,
    /// Address of the first byte.
    pub address: u64,
    /// Bytes in all pieces.
    pub size: u64,
    /// The segment's protocol.
    pub protocol: String,
    /// The segment's endpoint.
    pub endpoint: String,
    /// The pieces in the order of the bytes.
    pub extents: Vec<Extent>,
}

/// One piece of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Address of the first byte.
    pub address: u64,
    /// Length in bytes.
    pub size: u64,
}
