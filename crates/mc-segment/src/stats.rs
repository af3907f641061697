//! What a pool tells about its segments, and what it counts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use mc_offset::{AllocError, Report};
use serde::Serialize;

use crate::{error::PlacementError, id::SegmentId, state::SegmentState};

/// A mounted segment at a glance, read without a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SegmentView {
    /// The identity.
    pub id: SegmentId,
    /// The incarnation of its memory.
    pub epoch: u64,
    /// No other segment of the pool has the same number, nor had: it differs
    /// where a segment was unmounted and mounted again.
    pub mount_number: u64,
    /// The name.
    pub name: Arc<str>,
    /// The host, empty if it is not known.
    pub host: Arc<str>,
    /// The state.
    pub state: SegmentState,
    /// Bytes in all.
    pub capacity: u64,
    /// Free bytes; freed blocks that threads keep for their next request are
    /// not counted.
    pub free_bytes: u64,
    /// Bytes of the largest hole, or a few more.
    pub largest_hole: u64,
    /// Bytes of all buffers that are alive, as they were asked for. Exact when
    /// none is being placed or dropped.
    pub placed_bytes: u64,
}

/// The sums of a pool and of each of its segments.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PoolStats {
    /// Sums over all segments.
    pub total: SpaceStats,
    /// Requests that were refused, and those placed in part.
    pub requests: RequestCounts,
    /// The segments in the order of their ids.
    pub segments: Vec<SegmentStats>,
}

/// The sums of a segment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SegmentStats {
    /// The identity.
    pub id: SegmentId,
    /// The name.
    pub name: Arc<str>,
    /// The state.
    pub state: SegmentState,
    /// Its space.
    pub space: SpaceStats,
    /// Attempts to place a replica here that failed.
    pub refusals: RefusalCounts,
}

/// Space in bytes, all freed blocks merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SpaceStats {
    /// Bytes in all.
    pub capacity: u64,
    /// Bytes asked for by live buffers.
    pub live_bytes: u64,
    /// Bytes charged for them beyond what was asked for.
    pub rounding_bytes: u64,
    /// Bytes in holes.
    pub free_bytes: u64,
    /// Bytes of the largest hole.
    pub largest_hole: u64,
    /// Free bytes outside the largest hole of their segment, or of their
    /// registration.
    pub scattered_bytes: u64,
    /// Holes.
    pub holes: u64,
    /// Live pieces of buffers.
    pub allocations: u64,
    /// Heap bytes of the tables.
    pub metadata_bytes: u64,
}

/// Requests by outcome, since the pool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Placed with fewer replicas than asked for.
    pub partial: u64,
    /// Refused because they made no sense.
    pub invalid: u64,
    /// Refused because no segment, or too few names, could ever take them.
    pub impossible: u64,
    /// Refused because too few segments had a hole.
    pub no_space: u64,
}

/// Attempts to place a replica in a segment that failed, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefusalCounts {
    /// Fewer bytes were free than asked for.
    pub full: u64,
    /// Enough bytes were free, but not in one hole.
    pub fragmented: u64,
    /// As many pieces were live as the options allow, or the heap had no room
    /// for another.
    pub tables: u64,
}

impl SpaceStats {
    /// Returns `live_bytes` over `capacity`, from 0 to 1.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        ratio(self.live_bytes, self.capacity)
    }

    /// Returns the share of the free bytes that is not in the largest hole of
    /// its segment, from 0 to nearly 1.
    #[must_use]
    pub fn fragmentation(&self) -> f64 {
        ratio(self.scattered_bytes, self.free_bytes)
    }

    pub(crate) fn add_report(&mut self, report: &Report) {
        self.add(&Self {
            capacity: report.capacity,
            live_bytes: report.live_bytes,
            rounding_bytes: report.charged_bytes - report.live_bytes,
            free_bytes: report.free_bytes,
            largest_hole: report.largest_hole,
            scattered_bytes: report.free_bytes - report.largest_hole,
            holes: report.hole_count.into(),
            allocations: report.allocation_count.into(),
            metadata_bytes: report.metadata_bytes as u64,
        });
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.capacity = self.capacity.saturating_add(other.capacity);
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
        self.rounding_bytes = self.rounding_bytes.saturating_add(other.rounding_bytes);
        self.free_bytes = self.free_bytes.saturating_add(other.free_bytes);
        self.largest_hole = self.largest_hole.max(other.largest_hole);
        self.scattered_bytes = self.scattered_bytes.saturating_add(other.scattered_bytes);
        self.holes += other.holes;
        self.allocations += other.allocations;
        self.metadata_bytes += other.metadata_bytes;
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

/// The counters behind [`RequestCounts`]. Every field is added to by requests
/// that were not wholly served; statistics, hence `Relaxed`.
#[derive(Debug, Default)]
pub(crate) struct RequestCounters {
    partial: AtomicU64,
    invalid: AtomicU64,
    impossible: AtomicU64,
    no_space: AtomicU64,
}

impl RequestCounters {
    #[cold]
    pub(crate) fn count_partial(&self) {
        self.partial.fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    pub(crate) fn count(&self, error: PlacementError) -> PlacementError {
        let counter = match error {
            PlacementError::ZeroSize
            | PlacementError::ZeroReplicas
            | PlacementError::LeastAboveCount { .. }
            | PlacementError::AlignNotPowerOfTwo { .. }
            | PlacementError::ZeroExtents => &self.invalid,
            PlacementError::NoSegment { .. } | PlacementError::TooFewNames { .. } => {
                &self.impossible
            }
            PlacementError::NoSpace { .. } => &self.no_space,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        error
    }

    pub(crate) fn read(&self) -> RequestCounts {
        RequestCounts {
            partial: self.partial.load(Ordering::Relaxed),
            invalid: self.invalid.load(Ordering::Relaxed),
            impossible: self.impossible.load(Ordering::Relaxed),
            no_space: self.no_space.load(Ordering::Relaxed),
        }
    }
}

/// The counters behind [`RefusalCounts`]. Every field is added to by refused
/// attempts; statistics, hence `Relaxed`.
#[derive(Debug, Default)]
pub(crate) struct RefusalCounters {
    full: AtomicU64,
    fragmented: AtomicU64,
    tables: AtomicU64,
}

impl RefusalCounters {
    #[cold]
    pub(crate) fn count(&self, error: &AllocError) {
        let counter = match error {
            AllocError::NoHole { asked, free, .. } if free < asked => &self.full,
            AllocError::NoHole { .. } => &self.fragmented,
            AllocError::LimitReached { .. } | AllocError::OutOfMemory => &self.tables,
            // Requests that make no sense are refused before a segment is tried.
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> RefusalCounts {
        RefusalCounts {
            full: self.full.load(Ordering::Relaxed),
            fragmented: self.fragmented.load(Ordering::Relaxed),
            tables: self.tables.load(Ordering::Relaxed),
        }
    }
}
