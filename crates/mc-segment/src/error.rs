//! What can go wrong, one enum per operation.

mod mount;
mod place;

use std::io;

use mc_arena::ClaimError;
use thiserror::Error;

use crate::segment::SegmentId;

pub use self::{
    mount::{MountError, MountWithError, RestoreError, SegmentField, TransitionError},
    place::{AdoptCause, AdoptError, ExactError, PlaceError},
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
