//! What can go wrong with finding or taking space.

use mc_offset::AllocError;
use thiserror::Error;

use super::SegmentField;
use crate::{id::SegmentId, state::SegmentState};

/// Why a request got no buffers; nothing is left allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// A request for no bytes.
    #[error("a request of 0 bytes; at least 1 is needed")]
    ZeroSize,
    /// A request for no replicas, or one that is content with none.
    #[error("a request for 0 replicas; at least 1 is needed")]
    ZeroReplicas,
    /// More replicas demanded than asked for.
    #[error("at least {least} replicas demanded of {count} asked for")]
    LeastAboveCount {
        /// Replicas demanded.
        least: u32,
        /// Replicas asked for.
        count: u32,
    },
    /// The alignment is not a power of two.
    #[error("the alignment of {align} bytes is not a power of two")]
    AlignNotPowerOfTwo {
        /// The alignment asked for, in bytes.
        align: u64,
    },
    /// A request for no pieces.
    #[error("a request in 0 extents; at least 1 is needed")]
    ZeroExtents,
    /// No segment could ever take the request: none is open to placement and
    /// not excluded, or none is large enough or aligned so. Evicting cannot
    /// help.
    #[error(
        "{asked} bytes aligned to {align} fit none of {segments} segments open to placement, the largest registration has {largest_bytes} bytes"
    )]
    NoSegment {
        /// Bytes asked for.
        asked: u64,
        /// The alignment asked for, in bytes.
        align: u64,
        /// Segments that are open to placement and not excluded.
        segments: usize,
        /// The most bytes that one of them has in one piece, empty or not.
        largest_bytes: u64,
    },
    /// Fewer names than replicas demanded could ever take the request.
    #[error(
        "{required} replicas of {asked} bytes demanded, segments of {names} names can hold one"
    )]
    TooFewNames {
        /// Bytes asked for.
        asked: u64,
        /// Replicas demanded.
        required: u32,
        /// Distinct names of segments that can hold one.
        names: usize,
    },
    /// Too few segments have a hole. Where `free_bytes` exceeds `asked` in a
    /// segment the space is there in pieces; evicting helps.
    #[error(
        "{placed} of {required} replicas of {asked} bytes could be placed: {free_bytes} bytes are free in {segments} segments, the largest hole has {largest_hole}"
    )]
    NoSpace {
        /// Bytes asked for.
        asked: u64,
        /// Replicas demanded.
        required: u32,
        /// Replicas that could have been placed.
        placed: u32,
        /// Segments that could hold the request if they were empty.
        segments: usize,
        /// Free bytes in all of them, beside those replicas.
        free_bytes: u64,
        /// The most bytes of a hole, or a few more; a registration with as many
        /// allocations as it may have counts as one without holes.
        largest_hole: u64,
    },
}

/// Why a segment or an address that was named could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExactError {
    /// No segment has the id.
    #[error("segment {id} is not mounted")]
    NotMounted {
        /// The id asked for.
        id: SegmentId,
    },
    /// The segment takes nothing new.
    #[error("segment {id} is {state} and takes nothing new")]
    NotOpen {
        /// The segment.
        id: SegmentId,
        /// The state it is in.
        state: SegmentState,
    },
    /// The segment's base is not a multiple of the alignment, so that no address
    /// in it can be found by its offset.
    #[error("segment {id} has no base aligned to {align}")]
    Misaligned {
        /// The segment.
        id: SegmentId,
        /// The alignment asked for, in bytes.
        align: u64,
    },
    /// The bytes are not all in the segment.
    #[error(
        "{size} bytes at {address} are not all in segment {id} ({segment_size} bytes at {base})"
    )]
    OutOfSegment {
        /// The segment.
        id: SegmentId,
        /// The address asked for.
        address: u64,
        /// Bytes asked for.
        size: u64,
        /// First address of the segment.
        base: u64,
        /// Its bytes.
        segment_size: u64,
    },
    /// The bytes are in two registrations.
    #[error("{size} bytes at {address} cross the border of a registration at {border}")]
    Straddles {
        /// The address asked for.
        address: u64,
        /// Bytes asked for.
        size: u64,
        /// The first address of the second registration.
        border: u64,
    },
    /// The address is not a multiple of the granule.
    #[error("address {address} is not a multiple of the granule of {granule_bytes} bytes")]
    OffGranule {
        /// The address asked for.
        address: u64,
        /// The granule of the segment.
        granule_bytes: u64,
    },
    /// Another buffer is in the way.
    #[error("{size} bytes at {address} are occupied by {other_size} bytes at {other_address}")]
    Occupied {
        /// The address asked for.
        address: u64,
        /// Bytes asked for.
        size: u64,
        /// Address of the first piece in the way.
        other_address: u64,
        /// Its bytes.
        other_size: u64,
    },
    /// The segment has no room, or the request makes no sense.
    #[error(transparent)]
    Refused(#[from] AllocError),
}

/// Why descriptors were not adopted; none of them was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("descriptor {position}")]
pub struct AdoptError {
    /// Place in the list of the descriptor at fault, from 0.
    pub position: usize,
    /// What is wrong with it.
    #[source]
    pub cause: AdoptCause,
}

/// What is wrong with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdoptCause {
    /// The descriptor is of another segment than the one that is mounted.
    #[error("the buffer is in segment {id}")]
    OtherSegment {
        /// The segment of the descriptor.
        id: SegmentId,
    },
    /// The descriptor has another endpoint or protocol than the segment.
    #[error("the {field} is not that of segment {id}")]
    Differs {
        /// The segment.
        id: SegmentId,
        /// The field that differs.
        field: SegmentField,
    },
    /// The bytes were in another incarnation of the segment's memory.
    #[error("the bytes were in epoch {epoch} of segment {id}; epoch {mounted_epoch} is mounted")]
    OtherEpoch {
        /// The segment.
        id: SegmentId,
        /// The epoch of the descriptor.
        epoch: u64,
        /// The epoch that is mounted.
        mounted_epoch: u64,
    },
    /// The descriptor has no pieces.
    #[error("the descriptor has no extents; at least 1 is needed")]
    NoExtents,
    /// The first piece is not where the buffer is said to be.
    #[error("the address is {address} and the first extent is at {extent_address}")]
    AddressMismatch {
        /// Address of the descriptor.
        address: u64,
        /// Address of its first extent.
        extent_address: u64,
    },
    /// The pieces do not add up to the size.
    #[error("the size is {size} bytes and the extents have {extent_bytes}")]
    SizeMismatch {
        /// Size of the descriptor.
        size: u64,
        /// Bytes of its extents.
        extent_bytes: u128,
    },
    /// The pieces are in more than one registration.
    #[error("the extents at {address} and {other_address} are in different registrations")]
    Scattered {
        /// Address of the first extent.
        address: u64,
        /// Address of an extent elsewhere.
        other_address: u64,
    },
    /// A piece cannot be taken where it should be.
    #[error(transparent)]
    Extent(#[from] ExactError),
}
