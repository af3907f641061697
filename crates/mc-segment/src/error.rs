//! What can go wrong, one enum per operation.

mod mount;
mod place;
mod resize;

use std::io;

use mc_arena::ClaimError;
use thiserror::Error;

use crate::id::SegmentId;

pub use self::{
    mount::{MountError, MountWithError, PoolRestoreError, SegmentField, TransitionError},
    place::{AdoptCause, AdoptError, ExactError, PlacementError},
    resize::SegmentResizeError,
};

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
