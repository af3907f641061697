//! Store segments: objects placed in mounted ranges of local and remote memory.
//!
//! # Problem
//!
//! A KV-cache store keeps its objects in ranges of memory on many hosts. Ranges
//! come, are drained and go while objects are placed in them by many threads,
//! and an object is often wanted twice, where one failure cannot take both.
//! Which range is given an object decides how full the store gets before it has
//! to evict, and whether a host that has just come is overrun with writes. A
//! store that gives up after some tries refuses objects for which it has room,
//! and one that evicts blindly throws away gigabytes without making a hole.
//!
//! # Model
//!
//! ```text
//!              mount, drain, unmount                       place(request)
//!                      │                                         │
//!                      ▼                                         ▼
//!  SegmentPool  ┌─ registry ─┐   replaced as a whole   ┌──── table ────┐  a strategy says which
//!               │ by id, any │ ──────────────────────> │ open segments │  one is tried first,
//!               │   state    │                         │ by host, name │  a scan of all the last
//!               └─────┬──────┘                         └───────┬───────┘
//!                     ▼                                        ▼
//!  segment      base ├──── registration ────┼──── registration ────┤ base + size
//!                    │██░███░░░█████░███████│██████░░███░░░░░░░░░░░│    one allocator of mc-offset
//!                                 ▲                                     each, in its own tables
//!                                 │
//!  PlacedBuffer ── extents ───────┘    descriptor(): the same as plain data
//!               ── bytes, read_at, write_at: memory of a pool or a file, if it is local
//!               ── neighborhood: the blocks around it, and whose they are
//! ```
//!
//! The space that no buffer has is known to the allocators alone; the memory is
//! only touched to read and write the bytes of buffers.
//!
//! # Example
//!
//! ```
//! use mc_arena::{PagePolicy, PoolBytes};
//! use mc_segment::{Memory, SegmentPoolOptions, PlaceRequest, Segment, SegmentId, SegmentInfo, SegmentPool};
//!
//! // One segment of memory of this process, one of another host.
//! let mapped = mc_arena::PoolOptions::new(8 << 20).pages(PagePolicy::Off).map()?;
//! let pool = SegmentPool::new(SegmentPoolOptions::default());
//! let here = SegmentInfo::new(SegmentId(1), "here", 0x1_0000_0000, 8 << 20);
//! pool.mount(Segment::local(here, Memory::pool(PoolBytes::new(mapped))))?;
//! let there = SegmentInfo::new(SegmentId(2), "there", 0x2_0000_0000, 64 << 30);
//! pool.mount(Segment::remote(there))?;
//!
//! let mut buffer = pool.place_in(SegmentId(1), 5, 1)?;
//! buffer.bytes_mut(0)?.copy_from_slice(b"value");
//! assert_eq!(&buffer.bytes(0)?[..], b"value");
//!
//! // Larger than what is here: it goes there, and only its descriptor is known.
//! let large = pool.place(&PlaceRequest { align: 4096, ..PlaceRequest::new(1 << 30) })?;
//! assert_eq!(large[0].segment_id(), SegmentId(2));
//! assert!(large[0].bytes(0).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//!
//! - A request is refused only after every segment that it may go to has
//!   refused it, under every [`Strategy`]; there is no limit on how many are
//!   looked at. What a segment refuses fits none of its holes, unless its
//!   [`Fit`] is one of the published ones.
//! - Buffers do not overlap, do not leave their segment and do not straddle a
//!   registration. A refusal leaves nothing allocated.
//! - What may follow which state is one table, in [`SegmentState`]. Once a call
//!   that closes a segment has returned, nothing is placed in it.
//! - Segments that share a name are all kept and all used; two replicas never
//!   go under one name, nor to one host as long as another can take one.
//!   Address ranges on one endpoint do not overlap, nor do the bytes of segments
//!   in one memory of this process, whichever pools mount them.
//! - A buffer that outlives its segment is invalid and harmless. The memory is
//!   let go of when the unmount is finished, and that waits for accesses under
//!   way: no late write reaches what is mounted next.
//! - A buffer that outlives its pool keeps its bytes. The memory is let go of,
//!   and can be mounted elsewhere, when the last buffer in it is dropped.
//! - A buffer belongs to an epoch of its segment. A newer one replaces it, and
//!   says what went; an older one is refused.
//! - On one thread, equal seeds and calls give equal places.
//! - There is no `unsafe` code.
//!
//! | operation | time, for n segments |
//! |---|---|
//! | [`place`](SegmentPool::place) | an allocation of `mc-offset`; where the first choices fail, and for `BestHole`, one number of each segment more |
//! | [`adopt`](SegmentPool::adopt) | O(log holes) for each piece |
//! | mounting and every transition | O(log n), and a copy of a list of about √n segments, under the lock of the registry |
//! | [`segments`](SegmentPool::segments) | O(n), a few numbers of each |
//! | [`neighborhood`](PlacedBuffer::neighborhood), [`blocks`](SegmentPool::blocks) | linear in the blocks that are asked for, under the lock of one registration |
//! | [`stats`](SegmentPool::stats) | the time of a report of `mc-offset` for each registration |
//!
//! # Limits
//!
//! Strategies read figures of a moment ago. Freed blocks that a thread keeps for
//! its next request are not free to them, though no request is refused because
//! of it. Pieces of a buffer are in one registration. The alignment of a request
//! has to divide the base of its segment, or of one of its registrations.
//!
//! # Features
//!
//! - `metrics`: `MetricsPublisher`, which hands the sums of a pool to the facade
//!   of the crate `metrics`.
//!
//! # How correctness is checked
//!
//! Random programs check every refusal against each segment by itself, under all
//! strategies (`tests/programs.rs`); every cell of the transition table is gone
//! through by the pool's methods and compared with the text that documents it;
//! threads place, mark, check and drop while segments come, drain and go, and in
//! the end no byte is missing. Loom explores the unmount against accesses
//! (`tests/loom.rs`).

#![forbid(unsafe_code)]

mod block;
mod buffer;
mod chunk;
mod descriptor;
mod draw;
mod error;
mod gate;
mod growing;
mod id;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod mounted;
mod names;
mod occupied;
mod options;
mod owners;
mod pieces;
mod placed;
mod placement;
mod plan;
mod pool;
mod registration;
mod request;
mod segment;
mod snapshot;
mod state;
mod stats;
mod strategy;
mod sync;
mod table;
mod tail;
mod token;

#[cfg(feature = "metrics")]
pub use crate::metrics::MetricsPublisher;
pub use mc_offset::{AllocError, BlockCost, Fit, HoleOptions, Preference};

pub use crate::{
    block::{Block, BlockWindow, cheapest_window},
    buffer::PlacedBuffer,
    chunk::{BlockCursor, BlockPage},
    descriptor::{BufferDescriptor, Extent},
    error::{
        AdoptCause, AdoptError, BytesError, ExactError, MountError, MountWithError, PlacementError,
        PoolRestoreError, SegmentField, SegmentResizeError, TransitionError,
    },
    growing::UnknownFields,
    id::{SegmentId, SegmentIdError},
    memory::Memory,
    options::SegmentPoolOptions,
    plan::{BlockMove, BlockPlan},
    pool::{Mounting, Replaced, SegmentPool, SegmentTail},
    registration::{RegistrationError, RegistrationLimit, registration_chunks},
    request::{PlaceRequest, ReplicaPolicy, Replicas},
    segment::{Segment, SegmentInfo, SegmentOptions},
    snapshot::{PoolSnapshot, SNAPSHOT_VERSION, SegmentSnapshot},
    state::{SegmentState, Step, Transition},
    stats::{PoolStats, RefusalCounts, RequestCounts, SegmentStats, SegmentView, SpaceStats},
    strategy::{Strategy, StrategyError},
    token::BufferToken,
};

/// The lock-free part by itself, for `tests/loom.rs`.
#[cfg(loom)]
pub mod model {
    pub use crate::gate::{Access, Gate};
}

/// The example of the README, compiled and run with the other documentation
/// tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
