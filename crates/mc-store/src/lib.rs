//! The object store: keys, leases, pins, and eviction that makes holes.
//!
//! [`ObjectStore`] knows which object is where and who may leave; the
//! [pool](mc_segment::SegmentPool) knows where there is room. The lock of the store
//! is taken before those of segments, never after.

#![forbid(unsafe_code)]

mod clock;
mod error;
mod evict;
pub mod journal;
mod lease;
mod lru;
#[cfg(feature = "metrics")]
mod metrics;
mod move_out;
mod objects;
mod options;
mod put;
mod snapshot;
mod stats;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use self::{clock::Stopwatch, objects::Objects};
use mc_segment::SegmentPool;

pub use self::{
    clock::Clock,
    error::{PutError, RemoveError, StoreOptionsError},
    evict::Eviction,
    lease::Lease,
    move_out::{Moved, copy_bytes},
    options::{StoreOptions, Watermarks},
    put::Put,
    snapshot::{Dropped, FormatError, LoadError, Restored, SaveError},
    stats::{Evictions, Refusals, StoreStats},
};

/// Objects under keys in the segments of a pool.
///
/// Clones name the same store; any number of threads use it. An object is put
/// in two steps, so that nobody reads what is not written, and never changes
/// afterwards. When there is no room, objects that are neither pinned nor
/// leased leave, see [`Eviction`].
///
/// # Examples
///
/// ```
/// use mc_segment::{PoolOptions, Request, Segment, SegmentId, SegmentInfo, SegmentPool};
/// use mc_store::{ObjectStore, StoreOptions};
///
/// let pool = SegmentPool::new(PoolOptions::default());
/// let info = SegmentInfo::new(SegmentId(1), "node-1", 0x1_0000_0000, 64 << 20);
/// pool.mount(Segment::remote(info))?;
/// let store = ObjectStore::new(pool, StoreOptions::default())?;
///
/// let put = store.put(b"prefix/1", &Request::new(3_274_752))?;
/// // Here the bytes are sent to where `put.replicas()` are.
/// put.commit();
///
/// let lease = store.get(b"prefix/1").expect("it was committed");
/// assert_eq!(lease.descriptors()[0].address, 0x1_0000_0000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ObjectStore {
    shared: Arc<Shared>,
}

struct Shared {
    pool: SegmentPool,
    options: StoreOptions,
    state: Mutex<State>,
}

/// What the lock of a store guards.
#[derive(Debug)]
struct State {
    objects: Objects,
    stopwatch: Stopwatch,
    stats: StoreStats,
}

impl ObjectStore {
    /// Makes a store without objects over a pool, which may have other users.
    ///
    /// # Errors
    ///
    /// A [`StoreOptionsError`].
    pub fn new(pool: SegmentPool, options: StoreOptions) -> Result<Self, StoreOptionsError> {
        options.validate()?;
        let state = State {
            objects: Objects::new(),
            stopwatch: Stopwatch::new(options.clock.clone()),
            stats: StoreStats::default(),
        };
        let shared = Shared {
            pool,
            options,
            state: Mutex::new(state),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Returns the pool.
    #[must_use]
    pub fn pool(&self) -> &SegmentPool {
        &self.shared.pool
    }

    /// Returns what the store was made with.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.shared.options
    }

    /// Returns the object of a key, and notes that it was used.
    ///
    /// It stays where it is as long as the lease is held. An object none of
    /// whose segments is readable any more is dropped.
    pub fn get(&self, key: &[u8]) -> Option<Lease> {
        self.get_for(key, Duration::ZERO)
    }

    /// As [`get`](Self::get); the object also stays for a time from now on,
    /// held or not, so that another process can read it.
    ///
    /// A lease that lasts longer is not shortened.
    pub fn get_for(&self, key: &[u8], time: Duration) -> Option<Lease> {
        let mut state = self.state();
        let now = state.time();
        let Some(slot) = state.objects.slot(key) else {
            state.stats.misses += 1;
            return None;
        };
        if !state.objects.record(slot).object.is_readable() {
            state.evict(slot, now, |stats| &mut stats.unreadable);
            state.stats.misses += 1;
            return None;
        }
        state.stats.hits += 1;
        let until = if time.is_zero() {
            time
        } else {
            now.saturating_add(time)
        };
        let record = state.objects.touch(slot, now, until);
        Some(Lease::new(&record.object))
    }

    /// Returns whether an object is stored under a key; that is no use of it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.state().objects.slot(key).is_some()
    }

    /// Removes an object.
    ///
    /// # Errors
    ///
    /// A [`RemoveError`]; an object that is pinned or leased stays.
    pub fn remove(&self, key: &[u8]) -> Result<(), RemoveError> {
        let mut state = self.state();
        let now = state.time();
        let slot = state.objects.slot(key).ok_or(RemoveError::NotStored)?;
        let record = state.objects.record(slot);
        if record.is_pinned {
            return Err(RemoveError::Pinned);
        }
        if record.is_leased(now) {
            return Err(RemoveError::Leased);
        }
        state.objects.remove(slot);
        state.stats.removed += 1;
        Ok(())
    }

    /// Keeps an object from being evicted until it is unpinned; returns whether
    /// it is stored.
    pub fn pin(&self, key: &[u8]) -> bool {
        self.set_pinned(key, true)
    }

    /// Lets a pinned object be evicted again, as if it was used now; returns
    /// whether it is stored.
    pub fn unpin(&self, key: &[u8]) -> bool {
        self.set_pinned(key, false)
    }

    /// Drops the objects none of whose segments is readable any more, and
    /// returns how many they were. Takes time linear in the objects.
    pub fn drop_unreadable(&self) -> usize {
        let mut state = self.state();
        let now = state.time();
        let mut slots = state.objects.slots();
        slots.retain(|&slot| !state.objects.record(slot).object.is_readable());
        for &slot in &slots {
            state.evict(slot, now, |stats| &mut stats.unreadable);
        }
        slots.len()
    }

    /// Returns what the store holds and has done so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let state = self.state();
        StoreStats {
            objects: state.objects.len() as u64,
            pinned: state.objects.pinned() as u64,
            in_flight: state.objects.in_flight() as u64,
            live_bytes: state.objects.live_bytes(),
            ..state.stats.clone()
        }
    }

    /// Checks that all tables of the store agree. A test aid that takes time
    /// linear in the objects.
    ///
    /// # Panics
    ///
    /// Panics if they do not, which no sequence of calls can bring about.
    pub fn check_invariants(&self) {
        self.state().objects.check_invariants();
    }

    fn set_pinned(&self, key: &[u8], is_pinned: bool) -> bool {
        let mut state = self.state();
        let Some(slot) = state.objects.slot(key) else {
            return false;
        };
        state.objects.set_pinned(slot, is_pinned);
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No call that can panic is made between changes that belong together.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn time(&mut self) -> Duration {
        self.stopwatch.elapsed()
    }

    /// Forgets an object and counts it under a cause.
    fn evict(
        &mut self,
        slot: usize,
        time: Duration,
        cause: impl FnOnce(&mut StoreStats) -> &mut Evictions,
    ) {
        let record = self.objects.remove(slot);
        let age = time.saturating_sub(record.used_at);
        let age_calls = self.objects.now() - record.used;
        cause(&mut self.stats).add(record.bytes, age, age_calls);
    }
}

impl fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStore")
            .field("pool", &self.shared.pool)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
