//! What can go wrong, one enum per operation.

use std::io;

use mc_arena::ClaimError;
use mc_offset::{AllocError, OptionsError};
use thiserror::Error;

use crate::{
    segment::SegmentId,
    state::{SegmentState, Transition},
};

/// Text that is not a segment's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{length_bytes} bytes of text are no segment id; 32 hexadecimal digits are needed")]
pub struct SegmentIdError {
    /// Length of the text.
    pub length_bytes: usize,
}

/// Text that names no strategy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no strategy {name:?}; there are random, free-ratio-first, local-first, capacity-weighted, best-hole"
)]
pub struct StrategyError {
    /// The text.
    pub name: Box<str>,
}

/// Why a range could not be cut into registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The alignment is not a power of two.
    #[error("the alignment of {align} bytes is not a power of two")]
    AlignNotPowerOfTwo {
        /// The alignment asked for, in bytes.
        align: u64,
    },
    /// A registration could not reach from one border to the next.
    #[error("a registration limit of {max_bytes} bytes is below the alignment of {align}")]
    LimitBelowAlign {
        /// The limit asked for.
        max_bytes: u64,
        /// The alignment asked for, in bytes.
        align: u64,
    },
    /// The range has no bytes.
    #[error("no bytes at {base} to register")]
    ZeroSize {
        /// Address of the range.
        base: u64,
    },
    /// The range passes the end of the address space.
    #[error("{size} bytes at {base} pass the end of the address space")]
    Overflow {
        /// Address of the range.
        base: u64,
        /// Its bytes.
        size: u64,
    },
    /// The limit cuts the range into too many parts.
    #[error("{chunks} registrations, more than {chunks_max}; raise the limit of one")]
    TooManyChunks {
        /// The least number of parts.
        chunks: u64,
        /// The most that a range is cut into.
        chunks_max: u64,
    },
}

/// A field of a segment, as errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named as the fields of `SegmentInfo`")]
pub enum SegmentField {
    Name,
    Host,
    Endpoint,
    Protocol,
    Base,
    Size,
    Granule,
    Fit,
    MaxAllocations,
    Registration,
}

impl std::fmt::Display for SegmentField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Host => "host",
            Self::Endpoint => "endpoint",
            Self::Protocol => "protocol",
            Self::Base => "base",
            Self::Size => "size",
            Self::Granule => "granule",
            Self::Fit => "fit",
            Self::MaxAllocations => "limit on allocations",
            Self::Registration => "registration limit",
        })
    }
}

/// Why a segment was not mounted; the pool is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MountError {
    /// The range passes the end of the address space.
    #[error("segment {id}: {size} bytes at {base} pass the end of the address space")]
    Overflow {
        /// The segment.
        id: SegmentId,
        /// Its first address.
        base: u64,
        /// Its bytes.
        size: u64,
    },
    /// Addresses would not be multiples of the granule.
    #[error("segment {id}: base {base} is not a multiple of the granule of {granule_bytes} bytes")]
    BaseNotGranular {
        /// The segment.
        id: SegmentId,
        /// Its first address.
        base: u64,
        /// Its granule.
        granule_bytes: u64,
    },
    /// There is no allocator with these options.
    #[error("segment {id}: the options cannot be had")]
    Options {
        /// The segment.
        id: SegmentId,
        /// What is wrong with them.
        source: OptionsError,
    },
    /// The registration limit cannot be kept.
    #[error("segment {id}: the registration limit cannot be had")]
    Registration {
        /// The segment.
        id: SegmentId,
        /// What is wrong with it.
        source: RegistrationError,
    },
    /// The segment is mounted, and not as it is described here.
    #[error("segment {id} is mounted with another {field}")]
    Differs {
        /// The segment.
        id: SegmentId,
        /// The first field that differs.
        field: SegmentField,
    },
    /// The segment is mounted and on its way out.
    #[error("segment {id} is {state}; mount it when that is finished")]
    Leaving {
        /// The segment.
        id: SegmentId,
        /// The state it is in.
        state: SegmentState,
    },
    /// Two segments would share addresses of an endpoint.
    #[error(
        "segment {id} ({size} bytes at {base}) overlaps {other} ({other_size} bytes at {other_base}) on the same endpoint"
    )]
    Overlap {
        /// The segment that is refused.
        id: SegmentId,
        /// Its first address.
        base: u64,
        /// Its bytes.
        size: u64,
        /// The segment that is mounted.
        other: SegmentId,
        /// Its first address.
        other_base: u64,
        /// Its bytes.
        other_size: u64,
    },
    /// The memory has fewer bytes than the segment.
    #[error("segment {id} of {size} bytes has memory for {memory_bytes}")]
    MemoryTooShort {
        /// The segment.
        id: SegmentId,
        /// Its bytes.
        size: u64,
        /// Bytes of its memory.
        memory_bytes: u64,
    },
}

/// Why a segment was not mounted with its buffers; the pool is as it was
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MountWithError {
    /// The segment cannot be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The segment is mounted; its buffers have owners.
    #[error("segment {id} is mounted already")]
    AlreadyMounted {
        /// The segment.
        id: SegmentId,
    },
    /// A descriptor does not fit the segment.
    #[error("the buffers of the segment cannot be adopted")]
    Adopt(#[from] AdoptError),
}

/// Why a pool was not restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The snapshot has a version that this crate cannot read.
    #[error("pool snapshot version {version}; only version {supported} can be read")]
    UnknownVersion {
        /// The version found.
        version: u32,
        /// The version that can be read.
        supported: u32,
    },
    /// Two segments have one id.
    #[error("segment {position} of the snapshot has the id {id} of one before it")]
    Duplicate {
        /// Place in the list of the second one, from 0.
        position: usize,
        /// The id.
        id: SegmentId,
    },
    /// A segment cannot be mounted.
    #[error("segment {position} of the snapshot cannot be mounted")]
    Segment {
        /// Place in the list, from 0.
        position: usize,
        /// Why not.
        source: MountError,
    },
}

/// Why a segment stays in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransitionError {
    /// No segment has the id.
    #[error("segment {id} is not mounted")]
    NotMounted {
        /// The id asked for.
        id: SegmentId,
    },
    /// The state does not allow it.
    #[error("segment {id} is {state}, which does not allow to {transition}")]
    Refused {
        /// The segment.
        id: SegmentId,
        /// The state it stays in.
        state: SegmentState,
        /// What was asked for.
        transition: Transition,
    },
    /// A drain cannot be finished while something is placed.
    #[error("segment {id} still holds {live_bytes} bytes in {allocations} allocations")]
    NotEmpty {
        /// The segment.
        id: SegmentId,
        /// Bytes placed in it.
        live_bytes: u64,
        /// Pieces of objects in it.
        allocations: u64,
    },
}

/// Why a request got no buffers; nothing is left allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaceError {
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
        /// The most bytes of a hole, or a few more.
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
    /// The segment's base is no multiple of the alignment, so that no address
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
    /// The descriptor has no pieces.
    #[error("no extents")]
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
    /// A piece cannot be had where it should be.
    #[error(transparent)]
    Extent(#[from] ExactError),
}

/// Why the bytes of a buffer could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BytesError {
    /// The segment is unmounted or about to be.
    #[error("segment {id} is being unmounted or is gone; the buffer is invalid")]
    Unmounted {
        /// The segment.
        id: SegmentId,
    },
    /// The bytes are on another host.
    #[error("segment {id} is remote; its bytes are not within reach")]
    Remote {
        /// The segment.
        id: SegmentId,
    },
    /// The bytes are in a file, which can only be copied from and to.
    #[error("segment {id} is in a file, which has no slices; copy with read_at and write_at")]
    NotMapped {
        /// The segment.
        id: SegmentId,
    },
    /// The buffer has fewer bytes.
    #[error("{len} bytes at {offset} are not in a buffer of {size}")]
    OutOfBuffer {
        /// Where in the buffer.
        offset: u64,
        /// Bytes to be copied.
        len: u64,
        /// Bytes of the buffer.
        size: u64,
    },
    /// The buffer has fewer pieces.
    #[error("no extent {extent} in a buffer of {extents}")]
    NoExtent {
        /// The number asked for, from 0.
        extent: usize,
        /// Pieces of the buffer.
        extents: usize,
    },
    /// Another user of the memory has the bytes.
    #[error("the bytes are in use")]
    InUse(#[from] ClaimError),
    /// The system could not read or write the file.
    #[error("segment {id}: the file cannot be read or written")]
    File {
        /// The segment.
        id: SegmentId,
        /// What the system answered.
        source: io::Error,
    },
}
