//! What can go wrong with segments as a whole.

use std::fmt;

use mc_offset::OptionsError;
use thiserror::Error;

use super::AdoptError;
use crate::{
    id::SegmentId,
    registration::RegistrationError,
    state::{SegmentState, Transition},
};

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

impl fmt::Display for SegmentField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    /// More bytes than the sums of a pool can be kept of.
    #[error("segment {id}: {size} bytes are more than the {size_max} that a segment may have")]
    TooLarge {
        /// The segment.
        id: SegmentId,
        /// Its bytes.
        size: u64,
        /// The most bytes of a segment.
        size_max: u64,
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
    #[error("segment {id}: no allocator fits the options")]
    Options {
        /// The segment.
        id: SegmentId,
        /// What is wrong with them.
        source: OptionsError,
    },
    /// The registration limit cannot be kept.
    #[error("segment {id}: the limit cuts it into no registrations")]
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
    /// An incarnation of the segment's memory is mounted that came after this
    /// one.
    #[error("segment {id} of epoch {epoch} is refused; epoch {mounted_epoch} is mounted")]
    OlderEpoch {
        /// The segment.
        id: SegmentId,
        /// The epoch that is refused.
        epoch: u64,
        /// The epoch that is mounted.
        mounted_epoch: u64,
    },
    /// The incarnation that would be replaced is being read or written.
    #[error(
        "segment {id} of epoch {mounted_epoch} cannot be replaced during {accesses} accesses; begin to unmount it and wait for them"
    )]
    Busy {
        /// The segment.
        id: SegmentId,
        /// The epoch that is mounted.
        mounted_epoch: u64,
        /// Accesses under way, lent slices included.
        accesses: u64,
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
    /// Two segments, of this pool or another one, would share bytes of one memory.
    #[error(
        "segment {id} ({size} bytes from byte {start} of its memory on) shares bytes with {other} ({other_size} bytes from byte {other_start} on)"
    )]
    SharedMemory {
        /// The segment that is refused.
        id: SegmentId,
        /// Where in the memory it begins, in bytes.
        start: u64,
        /// Its bytes.
        size: u64,
        /// The segment that is mounted.
        other: SegmentId,
        /// Where in the memory that one begins, in bytes.
        other_start: u64,
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
pub enum PoolRestoreError {
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
    /// An unmount cannot be finished while bytes are read or written.
    #[error("segment {id} is still read or written by {accesses} accesses")]
    Busy {
        /// The segment.
        id: SegmentId,
        /// Accesses under way, lent slices included.
        accesses: u64,
    },
    /// A drain cannot be finished while something is placed.
    #[error("segment {id} still holds {live_bytes} bytes in {allocations} allocations")]
    NotEmpty {
        /// The segment.
        id: SegmentId,
        /// Bytes placed in it.
        live_bytes: u64,
        /// Pieces that are taken: those of objects, and of an end that is being
        /// given up.
        allocations: u64,
    },
}
