//! Why a store refuses.

use mc_segment::{BytesError, PlacementError};
use thiserror::Error;

use crate::compaction::NotABudget;

/// Why an object was not put; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PutError {
    /// The key is stored.
    #[error("the key is stored")]
    Exists,
    /// Another put of the key is neither committed nor dropped.
    #[error("the key is being put")]
    InFlight,
    /// The object is larger than the options allow.
    #[error("an object of {size} bytes is larger than the {object_bytes_max} that are allowed")]
    ObjectTooLarge {
        /// Bytes of the object.
        size: u64,
        /// The most that the options allow.
        object_bytes_max: u64,
    },
    /// The key is longer than the options allow.
    #[error("a key of {key_bytes} bytes is longer than the {key_bytes_max} that are allowed")]
    KeyTooLong {
        /// Bytes of the key.
        key_bytes: usize,
        /// The most that the options allow.
        key_bytes_max: usize,
    },
    /// The request makes no sense, or no segment could ever take it.
    #[error("the object cannot be placed")]
    Place(#[from] PlacementError),
    /// The journal takes no more records; see
    /// [`journal_error`](crate::ObjectStore::journal_error).
    #[error("the journal of the store takes no more records")]
    Journal,
    /// There is no room, and evicting all that may leave would not make it.
    #[error("no room, and what could leave does not make it: {in_the_way}")]
    NoRoom {
        /// Why the object was not placed as it is.
        #[source]
        place: PlacementError,
        /// What may not leave.
        in_the_way: InTheWay,
    },
}

/// What may not leave for a put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InTheWay {
    /// Objects that are pinned.
    pub pinned: u64,
    /// Objects that are leased, as far as they were met; the pinned ones are
    /// not among them.
    pub leased: u64,
    /// Puts that are neither committed nor dropped, the refused one not counted.
    pub in_flight: u64,
    /// Detached or moved objects and late puts whose space is still taken.
    pub lingering: u64,
}

impl std::fmt::Display for InTheWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            pinned,
            leased,
            in_flight,
            lingering,
        } = self;
        write!(
            f,
            "{pinned} objects are pinned, {leased} leased, {in_flight} being put, {lingering} leaving"
        )
    }
}

/// Why a put was not committed; its space is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The deadline of the put has passed.
    #[error("the deadline of the put has passed")]
    Expired,
    /// The journal takes no more records; see
    /// [`journal_error`](crate::ObjectStore::journal_error).
    #[error("the journal of the store takes no more records")]
    Journal,
    /// All segments that the object was written to went away.
    #[error("no segment that the object was written to is readable any more")]
    Unreadable,
}

/// Why an object was not removed; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// No object is stored under the key.
    #[error("the key is not stored")]
    NotStored,
    /// The object is pinned.
    #[error("the object is pinned")]
    Pinned,
    /// A lease of the object is held or has not expired.
    #[error("the object is leased")]
    Leased,
}

/// Why a replica was not added; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddReplicaError {
    /// No object is stored under the key.
    #[error("the key is not stored")]
    NotStored,
    /// The object has been removed, moved or replaced meanwhile.
    #[error("the object has changed meanwhile")]
    Changed,
    /// The journal takes no more records; see
    /// [`journal_error`](crate::ObjectStore::journal_error).
    #[error("the journal of the store takes no more records")]
    Journal,
    /// There is no room that the terms of its put allow.
    #[error("the replica cannot be placed")]
    NoRoom(#[from] PutError),
}

/// Why the bytes of an object were not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No replica can be read by this process.
    #[error("no replica can be read here")]
    Bytes(#[from] BytesError),
    /// The bytes are not those that were committed.
    #[error("the bytes have checksum {found:08x} instead of {expected:08x}")]
    Checksum {
        /// Of the bytes as they are.
        found: u32,
        /// Of those that were committed.
        expected: u32,
    },
}

/// Why options make no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreOptionsError {
    /// The watermarks are not in order.
    #[error(
        "watermarks of {low_percent} and {high_percent} percent; the low one must be below the high one, and that at most 100"
    )]
    Watermarks {
        /// The low one.
        low_percent: u8,
        /// The high one.
        high_percent: u8,
    },
    /// Objects in no pieces.
    #[error("at most 0 pieces of an object; at least 1 is needed")]
    NoExtents,
    /// The budget of the compaction is no budget.
    #[error(
        "a budget of {moved_per_placed} bytes moved for each that is placed; at least 0 and finite"
    )]
    Compaction {
        /// The budget.
        moved_per_placed: NotABudget,
    },
}
