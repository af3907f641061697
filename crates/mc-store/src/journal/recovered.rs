//! What recovery finds: a store as it was, and what became of its segments.

use std::time::Duration;

use mc_segment::{SegmentId, SegmentInfo, SegmentState};
use smallvec::SmallVec;

use super::{damage::Damage, record::Places};

/// A store as it was when the last record was written.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// The options of the store, as it encodes them.
    pub options: Option<Box<[u8]>>,
    /// The segments that were mounted, in the order of mounting.
    pub segments: Vec<RecoveredSegment>,
    /// The tenants that have quotas, in the order of their names.
    pub tenants: Vec<RecoveredTenant>,
    /// The objects, those first that were stored first. No two share a byte.
    pub objects: Vec<RecoveredObject>,
    /// What of their requests binds later moves of objects; most share it.
    pub terms: Vec<RecoveredTerms>,
    /// Puts that were neither committed nor given up. Their writers may still
    /// write, so that their space must stay taken until a margin after their
    /// deadline.
    pub reservations: Vec<RecoveredPut>,
    /// The first number that no put has had.
    pub put_next: u64,
    /// Records of kinds that a newer version writes, which were skipped.
    pub unknown_records: u64,
    /// What is missing; nothing if all is whole.
    pub damage: Vec<Damage>,
}

/// A segment that was mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredSegment {
    /// What is known about it.
    pub info: SegmentInfo,
    /// Its state.
    pub state: SegmentState,
}

/// A tenant and its quota.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredTenant {
    /// Its name.
    pub name: Box<str>,
    /// Bytes that it is sure of.
    pub guaranteed: u64,
    /// The most bytes that it may have.
    pub most: Option<u64>,
}

/// Whose an object is, and what its put has said of its leaving.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredHints {
    /// The name of the tenant.
    pub tenant: Option<Box<str>>,
    /// Lower ones leave first.
    pub priority: i8,
    /// Until when it is kept if that can be, since 1970; zero if it is not.
    pub keep_until: Duration,
    /// The time to compute it again; zero if it is not known.
    pub cost: Duration,
}

/// An object that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredObject {
    /// The key.
    pub key: Box<[u8]>,
    /// Bytes of each part.
    pub parts: SmallVec<[u64; 1]>,
    /// What binds later moves, by its index in [`Recovered::terms`].
    pub terms: usize,
    /// Where each replica is, at least one.
    pub places: Places,
    /// Checksum of the bytes.
    pub checksum: Option<u32>,
    /// Whether it is pinned.
    pub is_pinned: bool,
    /// The end of its timed lease, since 1970; zero if it has none.
    pub leased_until: Duration,
    /// Whose it is and when it should leave, if anything was said of that.
    pub hints: Option<Box<RecoveredHints>>,
    /// The records before the one that gave each replica its place.
    pub(super) since: SmallVec<[u64; 1]>,
}

/// A put that was in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredPut {
    /// Its number.
    pub put: u64,
    /// The key.
    pub key: Box<[u8]>,
    /// When it has to be committed, since 1970.
    pub deadline: Duration,
    /// The space of each replica, at least one.
    pub places: Places,
    /// The records before the one that took the space.
    pub(super) since: u64,
}

/// What of a request for space binds every later move.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredTerms {
    /// Power of two at whose multiples the addresses of all pieces are.
    pub align: u64,
    /// Pieces that a replica may be in.
    pub max_extents: u32,
    /// Copies that are wanted.
    pub replicas: u32,
    /// Copies that will do.
    pub replicas_least: u32,
    /// The host of the writer; empty if it is not known.
    pub host: Box<str>,
    /// Segments that must not be used.
    pub excluded: Box<[SegmentId]>,
}

/// What is known about a segment.
#[derive(Debug)]
pub(super) struct SegmentHistory {
    /// `None` if it is not mounted any more.
    pub(super) mounted: Option<Mounted>,
    /// Records before the one that unmounted it last: all places of before are void.
    pub(super) void_before: u64,
}

#[derive(Debug)]
pub(super) struct Mounted {
    /// Records before the one that mounted it.
    pub(super) since: u64,
    /// `None` if the document cannot be read.
    pub(super) document: Option<(SegmentInfo, SegmentState)>,
}
