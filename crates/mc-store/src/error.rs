//! Why a store refuses.

use std::sync::Arc;

use mc_segment::{BytesError, PlacementError};
use thiserror::Error;

use crate::compaction::NotABudget;

/// Why an object was not put; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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
    /// A part has no bytes.
    #[error("part {part} of the object has 0 bytes; at least 1 is needed")]
    EmptyPart {
        /// Its number, from 0.
        part: usize,
    },
    /// The bytes of all parts, each at a multiple of the alignment, cannot be
    /// counted.
    #[error("the {parts} parts of the object have more than 2^64 - 1 bytes together")]
    PartsTooLarge {
        /// How many parts there are.
        parts: usize,
    },
    /// The key, or that of the parent, is longer than the options allow.
    #[error("a key of {key_bytes} bytes is longer than the {key_bytes_max} that are allowed")]
    KeyTooLong {
        /// Bytes of the longer of the two.
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
    /// The tenant would have more bytes than it may, and not enough of its own
    /// objects can leave.
    #[error(
        "{asked} bytes for tenant {tenant:?}, which has {used} of at most {most}, {guaranteed} of them guaranteed"
    )]
    QuotaExceeded {
        /// Its name.
        tenant: Arc<str>,
        /// Bytes of all replicas that were asked for.
        asked: u64,
        /// Bytes that it has.
        used: u64,
        /// Bytes that it is sure of.
        guaranteed: u64,
        /// The most that it may have.
        most: u64,
    },
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

/// Why a tenant was not given a quota; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TenantError {
    /// The limit is below the guarantee.
    #[error(
        "at most {most} bytes of which {guaranteed} are guaranteed; the limit must not be below the guarantee"
    )]
    MostBelowGuaranteed {
        /// The guarantee.
        guaranteed: u64,
        /// The limit.
        most: u64,
    },
    /// More would be guaranteed than the segments open to placement have.
    #[error(
        "{guaranteed} bytes guaranteed beside {others} of other tenants; all together are at most the {capacity} that segments have"
    )]
    Overcommitted {
        /// The guarantee that was asked for.
        guaranteed: u64,
        /// The guarantees of all other tenants.
        others: u64,
        /// Bytes of the segments that are open to placement.
        capacity: u64,
    },
    /// The journal takes no more records; see
    /// [`journal_error`](crate::ObjectStore::journal_error).
    #[error("the journal of the store takes no more records")]
    Journal,
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
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddReplicaError {
    /// No object is stored under the key.
    #[error("the key is not stored")]
    NotStored,
    /// The object is leased, or has been removed, moved or replaced meanwhile.
    #[error("the object is leased, or has changed meanwhile")]
    Changed,
    /// The journal takes no more records; see
    /// [`journal_error`](crate::ObjectStore::journal_error).
    #[error("the journal of the store takes no more records")]
    Journal,
    /// There is no room that the terms of its put allow.
    #[error("the replica cannot be placed")]
    NoRoom(#[from] PutError),
}

/// Why the bytes of a put were not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The deadline of the put has passed.
    #[error("the deadline of the put has passed")]
    Expired,
    /// A replica cannot be written by this process, or has no such bytes.
    #[error("a replica cannot be written here")]
    Bytes(#[from] BytesError),
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
    /// More kept than there is.
    #[error("{keep_percent} percent of the bytes kept; at most 100 are accepted")]
    Keep {
        /// The share.
        keep_percent: u8,
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
