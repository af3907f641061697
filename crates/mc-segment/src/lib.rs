//! Store segments: objects placed in mounted ranges of local and remote memory.

#![forbid(unsafe_code)]

mod buffer;
mod descriptor;
mod error;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod mounted;
mod placement;
mod pool;
mod registration;
mod request;
mod segment;
mod snapshot;
mod state;
mod stats;
mod table;

#[cfg(feature = "metrics")]
pub use crate::metrics::MetricsPublisher;
pub use mc_offset::{AllocError, Fit};

pub use crate::{
    buffer::PlacedBuffer,
    descriptor::{BufferDescriptor, Extent},
    error::{
        AdoptCause, AdoptError, BytesError, ExactError, MountError, MountWithError, PlaceError,
        RegistrationError, RestoreError, SegmentField, SegmentIdError, StrategyError,
        TransitionError,
    },
    memory::Memory,
    placement::Strategy,
    pool::{EvictionWindow, Mounting, PoolOptions, SegmentPool},
    registration::{RegistrationLimit, registration_chunks},
    request::{ReplicaPolicy, Replicas, Request},
    segment::{Segment, SegmentId, SegmentInfo, SegmentOptions},
    snapshot::{PoolSnapshot, SNAPSHOT_VERSION, SegmentSnapshot},
    state::{SegmentState, Step, Transition},
    stats::{PoolStats, RefusalCounts, RequestCounts, SegmentStats, SegmentView, SpaceStats},
};
