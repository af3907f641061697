//! What a store counts.

use std::time::Duration;

use serde::Serialize;

/// What a store holds and what it has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreStats {
    /// Objects stored at the moment.
    pub objects: u64,
    /// Of these, pinned.
    pub pinned: u64,
    /// Puts that are neither committed nor dropped.
    pub in_flight: u64,
    /// Bytes of all replicas of the objects.
    pub live_bytes: u64,
    /// Reads that found their object.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Puts that were committed.
    pub committed: u64,
    /// Bytes of the replicas of the puts that were committed.
    pub committed_bytes: u64,
    /// Puts that were dropped without a commit.
    pub abandoned: u64,
    /// Objects that the owner removed.
    pub removed: u64,
    /// Puts that were refused, by cause.
    pub refused: Refusals,
    /// Evictions to make room for a put.
    pub on_demand: Evictions,
    /// Evictions because a watermark was passed.
    pub by_watermark: Evictions,
    /// Objects that were dropped because all of their segments went away.
    pub unreadable: Evictions,
    /// Bytes placed by the puts that had to evict; the evicted bytes beside it
    /// are those of `on_demand`.
    pub placed_bytes_on_demand: u64,
}

/// Refused puts by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refusals {
    /// The key was stored or being put.
    pub key_taken: u64,
    /// The object or its key is larger than the options allow.
    pub too_large: u64,
    /// There is no room, and evicting what may go would not make it.
    pub no_space: u64,
    /// No segment that is open could ever take the request, or it makes no
    /// sense.
    pub impossible: u64,
}

/// Evictions for one cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Evictions {
    /// Objects evicted.
    pub objects: u64,
    /// Bytes of their replicas.
    pub bytes: u64,
    /// Sum of the times since their last use.
    pub age_sum: Duration,
    /// The same in calls that stored or read an object.
    pub age_calls_sum: u64,
}

impl StoreStats {
    /// Returns the bytes that puts evicted for each byte that they placed;
    /// nothing before the first eviction on demand.
    #[must_use]
    pub fn evicted_bytes_per_placed_byte(&self) -> Option<f64> {
        let placed = self.placed_bytes_on_demand;
        (placed > 0).then(|| self.on_demand.bytes as f64 / placed as f64)
    }
}

impl Evictions {
    /// Returns the mean time since the last use of the victims.
    #[must_use]
    pub fn age_mean(&self) -> Option<Duration> {
        (self.objects > 0).then(|| self.age_sum.div_f64(self.objects as f64))
    }

    pub(super) fn add(&mut self, bytes: u64, age: Duration, age_calls: u64) {
        self.objects += 1;
        self.bytes += bytes;
        self.age_sum = self.age_sum.saturating_add(age);
        self.age_calls_sum += age_calls;
    }
}
