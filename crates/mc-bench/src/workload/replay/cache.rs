//! What a trace is replayed against: a store of objects, and the reference that compacts for free.

use std::collections::{BTreeMap, HashMap};

use mc_offset::Fit;
use mc_segment::{Replicas, Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
use mc_store::{ObjectStore, PutError, PutRequest, StoreOptions};

use crate::trace::layout::ObjectKey;

use super::options::Placing;

/// A cache of objects as the replay sees it.
pub(super) trait Cache {
    /// Looks an object up, which is a use of it.
    fn get(&mut self, key: ObjectKey) -> bool;

    /// Uses the objects of the first keys, the last of them first, up to the one that is missing;
    /// returns how many are there.
    fn get_prefix(&mut self, keys: &[ObjectKey]) -> usize;

    /// Stores an object that was looked up in vain; returns whether there was room.
    fn put(&mut self, key: ObjectKey, size_bytes: u64) -> bool;

    /// Returns what it holds and has evicted.
    fn tally(&self) -> Tally;
}

/// What a cache holds and has evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) live_bytes: u64,
    pub(super) evicted_bytes: u64,
    /// Bytes stored by the puts that had to evict.
    pub(super) placed_by_eviction_bytes: u64,
    /// Sum of the ages of the victims, in lookups and stores since their last use.
    pub(super) victim_ages: u64,
    pub(super) victims: u64,
}

/// An object store over segments of equal size that are never touched.
pub(super) struct Store {
    store: ObjectStore,
    placing: Placing,
}

impl Store {
    pub(super) fn new(
        capacity_bytes: u64,
        segments: u32,
        fit: Fit,
        options: StoreOptions,
        placing: Placing,
    ) -> Self {
        let pool = SegmentPool::new(SegmentPoolOptions {
            strategy: placing.strategy,
            ..SegmentPoolOptions::default()
        });
        for (number, size) in (0..segments).zip(parts(capacity_bytes, segments)) {
            let name = format!("segment-{number}");
            let mut info = SegmentInfo::new(SegmentId(u128::from(number)), name, 0, size);
            // Every segment counts its addresses from zero.
            info.endpoint = info.name.clone();
            info.options.fit = fit;
            pool.mount(Segment::remote(info))
                .expect("segments with bytes and endpoints of their own can be mounted");
        }
        let store = ObjectStore::new(pool, options).expect("the options are in order");
        Self { store, placing }
    }
}

/// Returns the sizes of so many parts, the first of which take the bytes left over.
fn parts(capacity_bytes: u64, segments: u32) -> impl Iterator<Item = u64> {
    let (each, more) = (
        capacity_bytes / u64::from(segments),
        capacity_bytes % u64::from(segments),
    );
    (0..u64::from(segments)).map(move |number| each + u64::from(number < more))
}

impl Cache for Store {
    fn get(&mut self, key: ObjectKey) -> bool {
        self.store.get(&key.to_bytes()).is_some()
    }

    fn get_prefix(&mut self, keys: &[ObjectKey]) -> usize {
        let keys: Vec<[u8; 11]> = keys.iter().map(|key| key.to_bytes()).collect();
        self.store.get_many(&keys).len()
    }

    fn put(&mut self, key: ObjectKey, size_bytes: u64) -> bool {
        let request = PutRequest {
            max_extents: self.placing.extents,
            replicas: Replicas::exact(self.placing.replicas),
            ..PutRequest::new(size_bytes)
        };
        match self.store.put(&key.to_bytes(), &request) {
            Ok(put) => put.commit().is_ok(),
            Err(PutError::Place(_) | PutError::NoRoom { .. }) => false,
            Err(error) => unreachable!("only keys that were looked up in vain are put: {error}"),
        }
    }

    fn tally(&self) -> Tally {
        let stats = self.store.stats();
        Tally {
            live_bytes: stats.live_bytes,
            evicted_bytes: stats.on_demand.bytes,
            placed_by_eviction_bytes: stats.placed_bytes_on_demand,
            victim_ages: 0,
            victims: stats.on_demand.objects,
        }
    }
}

/// Holds whatever fits by its bytes alone; the objects used longest ago leave.
pub(super) struct Oracle {
    capacity_bytes: u64,
    /// Size and last use.
    objects: HashMap<ObjectKey, (u64, u64)>,
    by_use: BTreeMap<u64, ObjectKey>,
    now: u64,
    tally: Tally,
}

impl Oracle {
    pub(super) fn new(capacity_bytes: u64) -> Self {
        Self {
            capacity_bytes,
            objects: HashMap::new(),
            by_use: BTreeMap::new(),
            now: 0,
            tally: Tally::default(),
        }
    }

    fn evict_oldest(&mut self) {
        let (used, key) = self
            .by_use
            .pop_first()
            .expect("what is live has a last use");
        let (size_bytes, _) = self.objects.remove(&key).expect("it is live");
        self.tally.live_bytes -= size_bytes;
        self.tally.evicted_bytes += size_bytes;
        self.tally.victim_ages += self.now - used;
        self.tally.victims += 1;
    }
}

impl Cache for Oracle {
    fn get(&mut self, key: ObjectKey) -> bool {
        let Some((_, used)) = self.objects.get_mut(&key) else {
            return false;
        };
        self.now += 1;
        self.by_use.remove(used);
        self.by_use.insert(self.now, key);
        *used = self.now;
        true
    }

    fn get_prefix(&mut self, keys: &[ObjectKey]) -> usize {
        let is_here = |key: &&ObjectKey| self.objects.contains_key(key);
        let here = keys.iter().take_while(is_here).count();
        for key in keys[..here].iter().rev() {
            self.get(*key);
        }
        here
    }

    fn put(&mut self, key: ObjectKey, size_bytes: u64) -> bool {
        if size_bytes > self.capacity_bytes {
            return false;
        }
        if self.tally.live_bytes + size_bytes > self.capacity_bytes {
            self.tally.placed_by_eviction_bytes += size_bytes;
        }
        while self.tally.live_bytes + size_bytes > self.capacity_bytes {
            self.evict_oldest();
        }
        self.now += 1;
        self.tally.live_bytes += size_bytes;
        self.objects.insert(key, (size_bytes, self.now));
        self.by_use.insert(self.now, key);
        true
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}
