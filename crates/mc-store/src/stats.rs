//! What a store counts.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::clock::Tick;

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
    /// Detached or moved objects and late puts whose space is still taken.
    pub lingering: u64,
    /// Bytes of all replicas of the objects, those that were lost with a segment
    /// included until another takes their place.
    pub live_bytes: u64,
    /// Of these, without what lies between the parts of objects.
    pub useful_bytes: u64,
    /// Reads that found their object; what [`put_many`](crate::ObjectStore::put_many)
    /// finds is not read.
    pub hits: u64,
    /// Reads that did not, or found it damaged; one of a prompt, for what is behind it.
    pub misses: u64,
    /// Puts that were committed.
    pub committed: u64,
    /// Bytes of the replicas of the puts that were committed.
    pub committed_bytes: u64,
    /// Puts that were dropped without a commit.
    pub abandoned: u64,
    /// Puts whose deadline passed.
    pub expired: u64,
    /// Replicas that were moved or added, and their bytes.
    pub moved: Counted,
    /// Moves for a hole that were ended by a lease or a copier that failed, and
    /// their bytes, all or some of which were copied in vain.
    pub moves_ended: Counted,
    /// Objects that the owner removed.
    pub removed: u64,
    /// Puts that were refused, by cause.
    pub refused: Refusals,
    /// Evictions to make room for a put.
    pub on_demand: Counted,
    /// Evictions because a watermark was passed.
    pub by_watermark: Counted,
    /// Evictions because a segment [shrank](crate::ObjectStore::shrink).
    pub by_shrinking: Counted,
    /// Objects that were dropped because all of their segments went away.
    pub unreadable: Counted,
    /// Objects that were dropped because their bytes were not those that were
    /// committed.
    pub corrupt: Counted,
    /// Bytes placed by the puts that had to let objects go or move them; the
    /// evicted bytes beside it are those of `on_demand`.
    pub placed_bytes_on_demand: u64,
    /// Figures of each tenant that was named, by its name.
    pub tenants: BTreeMap<String, TenantStats>,
    /// From commit to leaving.
    pub lifetime: TimeHistogram,
    /// From the last use to leaving by eviction.
    pub idle_before_eviction: TimeHistogram,
    /// From one use of an object to the next.
    pub reuse_gap: TimeHistogram,
}

/// Why an object left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// A put needed its place.
    OnDemand,
    /// A watermark was passed.
    Watermark,
    /// The end of its segment was given up.
    Shrunk,
    /// Its owner removed it.
    Removed,
    /// None of its segments is readable any more.
    Unreadable,
    /// Its bytes are not those that were committed.
    Corrupt,
}

/// What a tenant has, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TenantStats {
    /// Bytes that it is sure of.
    pub guaranteed_bytes: u64,
    /// The most bytes that it may have; nothing without a limit.
    pub most_bytes: Option<u64>,
    /// Bytes that it has: of its objects, and of its puts that are neither
    /// committed nor dropped.
    pub used_bytes: u64,
    /// Its objects, and the bytes that they take.
    pub stored: Counted,
    /// Its objects that were evicted, for others or for itself.
    pub evicted: Counted,
    /// Its puts that were refused because of its limit.
    pub refused: u64,
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
    /// A tenant would have had more bytes than it may.
    pub quota: u64,
    /// No segment that is open could ever take the request, or it makes no
    /// sense.
    pub impossible: u64,
    /// The journal takes no more records.
    pub journal: u64,
}

/// A number of objects or replicas and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counted {
    /// How many.
    pub objects: u64,
    /// Bytes of their replicas.
    pub bytes: u64,
}

/// Times by powers of two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TimeHistogram {
    /// How many times were below 2^i hundredths of a second and not counted
    /// before, for each i.
    pub counts: [u64; 32],
}

impl StoreStats {
    /// Returns the bytes that puts evicted for each byte that they placed, of
    /// those that had to let objects go or move them; nothing before the first.
    #[must_use]
    pub fn evicted_bytes_per_placed_byte(&self) -> Option<f64> {
        let placed = self.placed_bytes_on_demand;
        (placed > 0).then(|| self.on_demand.bytes as f64 / placed as f64)
    }
}

impl Counted {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

impl TimeHistogram {
    #[inline]
    pub(crate) fn add(&mut self, time: Tick) {
        let bucket = (u32::BITS - time.0.leading_zeros()) as usize;
        self.counts[bucket.min(31)] += 1;
    }

    /// Returns how many times there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns a time that a share of all, from 0 to 1, are not above: exact to
    /// a factor of two. Nothing if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * share.clamp(0.0, 1.0)).ceil();
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen > 0 && seen as f64 >= wanted
        })?;
        Some(Self::upper_end(place))
    }

    /// Returns the time that those counted at a place are below.
    #[must_use]
    pub(crate) fn upper_end(place: usize) -> Duration {
        Duration::from_millis(10 << place)
    }
}

/// What is counted where the order of leaving is changed.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) live_bytes: u64,
    pub(crate) useful_bytes: u64,
    pub(crate) pinned: u64,
    pub(crate) committed: u64,
    pub(crate) committed_bytes: u64,
    pub(crate) removed: u64,
    pub(crate) moved: Counted,
    pub(crate) moves_ended: Counted,
    pub(crate) on_demand: Counted,
    pub(crate) by_watermark: Counted,
    pub(crate) by_shrinking: Counted,
    pub(crate) unreadable: Counted,
    pub(crate) corrupt: Counted,
    pub(crate) lifetime: TimeHistogram,
    pub(crate) idle: TimeHistogram,
    pub(crate) reuse_gap: TimeHistogram,
}

impl Figures {
    pub(crate) fn count_left(&mut self, cause: Cause, bytes: u64, life: Tick, idle: Tick) {
        self.lifetime.add(life);
        match cause {
            Cause::OnDemand => self.on_demand.add(bytes),
            Cause::Watermark => self.by_watermark.add(bytes),
            Cause::Shrunk => self.by_shrinking.add(bytes),
            Cause::Removed => self.removed += 1,
            Cause::Unreadable => self.unreadable.add(bytes),
            Cause::Corrupt => self.corrupt.add(bytes),
        }
        if matches!(cause, Cause::OnDemand | Cause::Watermark | Cause::Shrunk) {
            self.idle.add(idle);
        }
    }
}
