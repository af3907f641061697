//! An object store over segments: keys, leases, eviction that makes holes.
//!
//! [`ObjectStore`] knows which object is where and who may leave; the
//! [pool](mc_segment::SegmentPool) knows where there is room.

#![forbid(unsafe_code)]

mod asker;
mod book;
mod bytes;
mod chain;
mod claims;
mod clock;
mod compact;
mod compaction;
mod copier;
mod deadlines;
mod error;
mod events;
mod evict;
mod hints;
mod id_set;
mod idle;
mod index;
pub mod journal;
mod keeper;
mod lease;
mod ledger;
mod limbo;
#[cfg(feature = "metrics")]
mod metrics;
mod moves;
mod object;
mod open;
mod options;
mod order;
mod parts;
mod passed_over;
mod pending;
mod pins;
mod plan;
pub mod policy;
mod process;
mod put;
mod relocate;
mod request;
mod returned;
mod room;
mod shared;
mod shrink;
mod stats;
mod store;
mod sync;
mod tenants;
mod unmounted;
mod uses;

#[cfg(feature = "metrics")]
pub use crate::metrics::StoreMetrics;
pub use crate::{
    bytes::copy_bytes,
    chain::Chain,
    clock::Clock,
    compact::Compacted,
    compaction::{Compaction, NotABudget},
    copier::{Copier, CopyFailed},
    error::{
        AddReplicaError, CommitError, InTheWay, PutError, ReadError, RemoveError,
        StoreOptionsError, TenantError, WriteError,
    },
    events::{Event, EventKind, Events},
    idle::IdleCompactor,
    lease::Lease,
    moves::Moved,
    open::{Opened, StoreOpenError},
    options::{Eviction, PolicyKind, PolicyKindError, StoreOptions, Watermarks},
    pending::{InFlight, PutSpace, PutSpaceMut},
    put::Put,
    request::PutRequest,
    shrink::{ShrinkError, Shrunk},
    stats::{Cause, Counted, Refusals, StoreStats, TenantStats, TimeHistogram},
    store::{ObjectStore, Removal},
    tenants::Quota,
    unmounted::{UnderReplicated, Unmounted},
};

/// The protocols between threads by themselves, for `tests/loom.rs`.
#[cfg(loom)]
pub mod model {
    pub use crate::{
        claims::{Away, Claim, Claims, Refused},
        uses::Uses,
    };
}

/// The example of the README, compiled and run with the other documentation
/// tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
