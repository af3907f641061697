//! Who leaves when there is no room.
//!
//! The object used longest ago goes first, as long as that makes a hole for a
//! few victims. It does where objects are of like sizes. An object that is much
//! larger than what is stored would empty the store that way without ever
//! getting a hole, as those who leave are not neighbors. So only a few are let
//! go singly; then a contiguous window is cleared, first one that holds none
//! but the oldest objects, otherwise the one that costs the least, where an
//! object costs its bytes, and the more the younger it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ObjectStore, State, objects::Objects};
use mc_segment::{EvictionWindow, PlacedBuffer, Request, SegmentId, SegmentPool, SegmentView};

/// Who leaves when a put finds no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Eviction {
    /// Few objects singly, the oldest first, then a contiguous window: the hole
    /// appears for about the bytes of the request, whatever is stored.
    #[default]
    Window,
    /// Objects singly, the oldest first, until a hole appears. A large object
    /// may empty the store.
    Lru,
}

/// What evicting for a put has cost so far.
#[derive(Debug, Default)]
pub(super) struct Effort {
    /// Objects that were let go singly.
    singles: usize,
    /// Their bytes.
    singles_bytes: u64,
    /// Bytes of all victims.
    pub(super) bytes: u64,
}

/// Objects that a put lets go singly before it clears a window.
const SINGLES_MAX: usize = 8;

/// Times its own bytes that a put lets go singly before it clears a window.
const SINGLES_BYTES_FACTOR: u64 = 2;

/// Of how many of the oldest objects a window is sought first, and then.
const OLDEST: [usize; 2] = [16, 64];

/// How a window is sought.
#[derive(Clone, Copy, Debug)]
enum Scope {
    /// Among objects whose last use was no later than the call.
    UsedBy(u64),
    /// Among all, the young ones costing more.
    All,
}

impl ObjectStore {
    /// Evicts some of what may go so that a request may be placed; returns
    /// whether anything went.
    pub(super) fn evict_for(&self, request: &Request<'_>, effort: &mut Effort) -> bool {
        let mut state = self.state();
        let before = state.stats.on_demand.bytes;
        let went = match self.shared.options.eviction {
            Eviction::Lru => evict_oldest(&mut state, u64::MAX),
            Eviction::Window => {
                evict_single(&mut state, request, effort)
                    || evict_window(&self.shared.pool, &mut state, request)
            }
        };
        effort.bytes += state.stats.on_demand.bytes - before;
        went
    }

    /// Evicts the oldest objects until the low watermark is reached, if the
    /// high one is passed.
    pub(super) fn evict_to_watermark(&self, state: &mut State) {
        let Some(watermarks) = self.shared.options.watermarks else {
            return;
        };
        let capacity = self.shared.pool.placeable_bytes();
        if state.objects.live_bytes() <= share(capacity, watermarks.high_percent) {
            return;
        }
        let target = share(capacity, watermarks.low_percent);
        let time = state.time();
        while state.objects.live_bytes() > target
            && let Some(slot) = state.objects.oldest_evictable(time)
        {
            state.evict(slot, time, |stats| &mut stats.by_watermark);
        }
    }
}

fn share(bytes: u64, percent: u8) -> u64 {
    // At most 2^64 · 255 / 100 without the limit of the options, which is 100.
    u64::try_from(u128::from(bytes) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// Lets the oldest object go if that is worth trying.
fn evict_single(state: &mut State, request: &Request<'_>, effort: &mut Effort) -> bool {
    let replicas = u64::from(request.replicas.count);
    let bytes_max = request.size.saturating_mul(SINGLES_BYTES_FACTOR * replicas);
    if effort.singles >= SINGLES_MAX {
        return false;
    }
    let before = state.stats.on_demand.bytes;
    if !evict_oldest(state, bytes_max.saturating_sub(effort.singles_bytes)) {
        return false;
    }
    effort.singles += 1;
    effort.singles_bytes += state.stats.on_demand.bytes - before;
    true
}

/// Evicts the oldest object unless it has more than `bytes_max` bytes.
fn evict_oldest(state: &mut State, bytes_max: u64) -> bool {
    let time = state.time();
    let Some(slot) = state.objects.oldest_evictable(time) else {
        return false;
    };
    if state.objects.record(slot).bytes > bytes_max {
        return false;
    }
    state.evict(slot, time, |stats| &mut stats.on_demand);
    true
}

/// Evicts a window that makes room for one more replica.
fn evict_window(pool: &SegmentPool, state: &mut State, request: &Request<'_>) -> bool {
    let time = state.time();
    let is_open =
        |view: &SegmentView| view.state.is_placeable() && !request.excluded.contains(&view.id);
    let mut open = pool.segments();
    open.retain(is_open);
    let search = |open| {
        let search = Search {
            pool,
            objects: &state.objects,
            request,
            time,
            open,
        };
        search.window()
    };
    let unserved = unserved_names(&open, request).and_then(search);
    let all = || open.iter().map(|view| view.id).collect();
    let Some(window) = unserved.or_else(|| search(all())) else {
        return false;
    };
    let id = window.segment;
    for victim in &window.victims {
        // An object with several pieces in the window has gone with the first.
        if let Some(slot) = state.objects.at(id, victim.address) {
            state.evict(slot, time, |stats| &mut stats.on_demand);
        }
    }
    true
}

/// Returns the segments whose name has no hole that seems to fit, if several
/// replicas are asked for: another hole under a name that has one is of no use.
fn unserved_names(open: &[SegmentView], request: &Request<'_>) -> Option<Vec<SegmentId>> {
    if request.replicas.count == 1 {
        return None;
    }
    let has_hole = |view: &&SegmentView| view.largest_hole >= request.size;
    let names = open.iter().filter(has_hole).map(|view| &*view.name);
    let served: Vec<&str> = names.collect();
    let is_unserved = |view: &&SegmentView| !served.contains(&&*view.name);
    Some(
        open.iter()
            .filter(is_unserved)
            .map(|view| view.id)
            .collect(),
    )
}

/// A search for the window that is best evicted.
struct Search<'a> {
    pool: &'a SegmentPool,
    objects: &'a Objects,
    request: &'a Request<'a>,
    time: Duration,
    open: Vec<SegmentId>,
}

impl Search<'_> {
    fn window(&self) -> Option<EvictionWindow> {
        let mut oldest = Vec::new();
        for count in OLDEST {
            oldest = self.oldest(count);
            let Some(&youngest) = oldest.last() else {
                break;
            };
            let scope = Scope::UsedBy(self.objects.record(youngest).used);
            if let Some(window) = self.near(&oldest, scope) {
                return Some(window);
            }
            if oldest.len() < count {
                break;
            }
        }
        if self.is_far_reaching(oldest.len()) {
            return self.anywhere();
        }
        self.near(&oldest, Scope::All).or_else(|| self.anywhere())
    }

    /// Returns the slots of the oldest objects that may go and have a buffer in
    /// an open segment.
    fn oldest(&self, count: usize) -> Vec<usize> {
        let is_open = |buffer: &PlacedBuffer| self.open.contains(&buffer.segment_id());
        let is_candidate = |slot: &usize| {
            let record = self.objects.record(*slot);
            record.is_evictable(self.time) && record.object.buffers.iter().any(is_open)
        };
        // Those that are pinned are not among them; leased ones are few.
        self.objects
            .by_age()
            .filter(is_candidate)
            .take(count)
            .collect()
    }

    /// Returns whether the surroundings of so many objects are more than a look
    /// at everything.
    fn is_far_reaching(&self, candidates: usize) -> bool {
        let objects = self.objects.len() as u64;
        let mean_bytes = (self.objects.live_bytes() / objects.max(1)).max(1);
        let neighbors = 2 * (self.request.size / mean_bytes + 1);
        neighbors.saturating_mul(candidates as u64) >= objects
    }

    fn near(&self, slots: &[usize], scope: Scope) -> Option<EvictionWindow> {
        let Request { size, align, .. } = *self.request;
        let span = self.span();
        let windows = self.open.iter().filter_map(|&id| {
            let records = slots.iter().map(|&slot| self.objects.record(slot));
            let buffers = records.flat_map(|record| &record.object.buffers);
            let near: Vec<&PlacedBuffer> =
                buffers.filter(|buffer| buffer.segment_id() == id).collect();
            if near.is_empty() {
                return None;
            }
            let cost = |address, _| self.cost(id, address, scope, span);
            self.pool.cheapest_window_near(id, near, size, align, cost)
        });
        best(windows)
    }

    fn anywhere(&self) -> Option<EvictionWindow> {
        let Request { size, align, .. } = *self.request;
        let span = self.span();
        let windows = self.open.iter().filter_map(|&id| {
            let cost = |address, _| self.cost(id, address, Scope::All, span);
            self.pool.cheapest_window(id, size, align, cost)
        });
        best(windows)
    }

    /// Returns the calls since the last use of the oldest object.
    fn span(&self) -> u64 {
        let oldest = self.objects.by_age().next();
        oldest.map_or(1, |slot| self.age(self.objects.record(slot).used))
    }

    fn age(&self, used: u64) -> u64 {
        self.objects.now() - used + 1
    }

    /// Returns what evicting the object with a piece at an address costs: its
    /// bytes if it is the oldest, twice as much if it is half as old.
    fn cost(&self, id: SegmentId, address: u64, scope: Scope, span: u64) -> Option<u64> {
        let record = self.objects.record(self.objects.at(id, address)?);
        if !record.is_evictable(self.time) {
            return None;
        }
        match scope {
            Scope::UsedBy(call) => (record.used <= call).then_some(record.bytes),
            Scope::All => {
                let cost = u128::from(record.bytes) * u128::from(span);
                let cost = cost / u128::from(self.age(record.used));
                Some(u64::try_from(cost).unwrap_or(u64::MAX))
            }
        }
    }
}

/// Returns the cheapest window with victims: one without is a hole, which has
/// been tried.
fn best(windows: impl Iterator<Item = EvictionWindow>) -> Option<EvictionWindow> {
    windows
        .filter(|window| !window.victims.is_empty())
        .min_by_key(|window| (window.cost, window.segment, window.address))
}
