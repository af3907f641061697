//! Store segments: objects placed in mounted ranges of local and remote memory.

#![forbid(unsafe_code)]

mod buffer;
mod descriptor;
mod error;
mod memory;
mod mounted;
mod placement;
mod pool;
mod registration;
mod request;
mod segment;
mod state;
mod stats;
mod store;
mod table;

pub use crate::{
    buffer::PlacedBuffer,
    descriptor::{BufferDescriptor, Extent},
    error::{
        AdoptCause, AdoptError, BytesError, ExactError, MountError, PlaceError, RegistrationError,
        SegmentField, SegmentIdError, StrategyError, TransitionError,
    },
    memory::Memory,
    placement::Strategy,
    pool::{EvictionWindow, Mounting, PoolOptions, PoolSnapshot, SegmentPool, SegmentSnapshot},
    registration::{RegistrationLimit, registration_chunks},
    request::{ReplicaPolicy, Replicas, Request},
    segment::{Segment, SegmentId, SegmentInfo, SegmentOptions},
    state::{SegmentState, Step, Transition},
    stats::{PoolStats, RefusalCounts, RequestCounts, SegmentStats, SegmentView, SpaceStats},
    store::{
        Clock, Dropped, Eviction, Evictions, FormatError, Lease, LoadError, Moved, ObjectStore,
        Put, PutError, Refusals, RemoveError, Restored, SaveError, StoreOptions, StoreOptionsError,
        StoreStats, Watermarks, copy_bytes,
    },
};
