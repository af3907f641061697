//! What is missing from a directory that was read.

use std::path::PathBuf;

use mc_segment::SegmentId;
use thiserror::Error;

/// Something that a journal should have had and has not, or has and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Damage {
    /// Bytes that belong to no whole record.
    #[error("{}: {bytes} bytes from {offset} on are damaged", file.display())]
    Bytes {
        /// The file.
        file: PathBuf,
        /// Where they begin.
        offset: u64,
        /// How many they are.
        bytes: u64,
    },
    /// Records that were written before those of a file, and are in none.
    #[error("{}: {records} records before offset {offset} are missing", file.display())]
    Records {
        /// The file.
        file: PathBuf,
        /// Where the first one behind them begins.
        offset: u64,
        /// How many they are.
        records: u64,
    },
    /// A file that was written in one go has lost its end.
    #[error("{}: the end is missing", file.display())]
    End {
        /// The file.
        file: PathBuf,
    },
    /// A record whose checksum is right and whose fields make no sense.
    #[error("{}: the record at {offset} makes no sense", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where it begins.
        offset: u64,
    },
    /// A segment of which nothing but the identity is known.
    #[error("what segment {segment} is cannot be read")]
    Segment {
        /// Its identity.
        segment: SegmentId,
    },
    /// An object that is lost with its last replica.
    #[error("object {} is lost: {cause}", key.escape_ascii())]
    Object {
        /// Its key.
        key: Box<[u8]>,
        /// Why its last replica was dropped.
        cause: Lost,
    },
    /// A replica of an object that has others, or space that was reserved.
    #[error("a place of {} is lost: {cause}", key.escape_ascii())]
    Place {
        /// The key.
        key: Box<[u8]>,
        /// Why it was dropped.
        cause: Lost,
    },
}

/// Why a place is not given back to whom it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Lost {
    /// Nothing is known about the segment.
    #[error("its segment {0} is not known")]
    UnknownSegment(SegmentId),
    /// The place is empty, or not in the segment.
    #[error("it is not in segment {0}")]
    OutOfSegment(SegmentId),
    /// A later record has given bytes of it to another.
    #[error("bytes of it in segment {0} were given to another")]
    Overwritten(SegmentId),
}
