//! Why the end of a segment was not moved.

use mc_offset::CapacityError;
use thiserror::Error;

use crate::id::SegmentId;

/// Why a segment keeps its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SegmentResizeError {
    /// No segment is mounted under the id.
    #[error("segment {id} is not mounted")]
    NotMounted {
        /// The segment.
        id: SegmentId,
    },
    /// Somebody else moves the end of the segment.
    #[error("the end of segment {id} is being moved by another")]
    Busy {
        /// The segment.
        id: SegmentId,
    },
    /// A segment that was to shrink would not.
    #[error("segment {id} of {capacity} bytes cannot shrink to {asked} bytes")]
    NotSmaller {
        /// The segment.
        id: SegmentId,
        /// The bytes that were to be left.
        asked: u64,
        /// The bytes that it has.
        capacity: u64,
    },
    /// A segment that was to grow would not.
    #[error("segment {id} of {capacity} bytes cannot grow to {asked} bytes")]
    NotLarger {
        /// The segment.
        id: SegmentId,
        /// The bytes that it was to have.
        asked: u64,
        /// The bytes that it has.
        capacity: u64,
    },
    /// More bytes than the segment was mounted with.
    #[error("segment {id} was mounted with {size} bytes, fewer than the {asked} asked for")]
    PastSize {
        /// The segment.
        id: SegmentId,
        /// The bytes that it was to have.
        asked: u64,
        /// The bytes that it was mounted with.
        size: u64,
    },
    /// A buffer is behind the new end.
    #[error("segment {id}: {size} bytes at address {address} are behind the new end")]
    Occupied {
        /// The segment.
        id: SegmentId,
        /// The address of a piece of the buffer.
        address: u64,
        /// Its bytes.
        size: u64,
    },
    /// No range of the segment can have that end.
    #[error("segment {id} cannot have this end")]
    Capacity {
        /// The segment.
        id: SegmentId,
        /// Why.
        source: CapacityError,
    },
}
