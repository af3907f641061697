//! What a trace is replayed against: a store of objects, and the reference that compacts for free.

use std::collections::{BTreeMap, HashMap};

use mc_offset::Fit;
use mc_segment::{Replicas, Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
use mc_store::{Lease, ObjectStore, PutError, PutRequest, StoreOptions};

use crate::moments::{CELLS, Map};
use crate::trace::layout::ObjectKey;

use super::options::Placing;

/// A cache of objects as the replay sees it.
pub(super) trait Cache {
    /// Looks an object up, which is a use of it.
    fn get(&mut self, key: ObjectKey) -> bool;

    /// Stores an object that was looked up in vain; returns whether there was room.
    fn put(&mut self, key: ObjectKey, parts: &[u64]) -> bool;

    /// Looks an object up by itself, and stores it if it is missing.
    fn serve_one(&mut self, key: ObjectKey, parts: &[u64]) -> Served {
        if self.get(key) {
            Served::Found
        } else if self.put(key, parts) {
            Served::Stored
        } else {
            Served::Refused
        }
    }

    /// Looks the objects of a prompt up and stores those that are missing; returns what came of each.
    fn serve(&mut self, prompt: &[(ObjectKey, &[u64])]) -> Vec<Served>;

    /// Returns what it holds and has evicted.
    fn tally(&self) -> Tally;

    /// Returns which bytes of its first segment are held, if it has segments.
    fn map(&self) -> Option<Map> {
        None
    }
}

/// What came of an object that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// It was there.
    Found,
    /// It is there now.
    Stored,
    /// There was no room for it, or for one before it in its prompt.
    Refused,
}

/// What a cache holds and has evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) live_bytes: u64,
    pub(super) evicted_bytes: u64,
    pub(super) moved_bytes: u64,
    /// Bytes stored by the puts that had to evict or move.
    pub(super) placed_by_eviction_bytes: u64,
    pub(super) victims: u64,
    /// Objects that left because a watermark was passed.
    pub(super) by_watermark: u64,
}

/// Blocks that are looked at together.
const BLOCKS_PER_PAGE: usize = 4_096;

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

    /// Whoever reads parts reads as many ranges anyway, so that an object may be in as many pieces.
    fn request<'a>(&self, parts: &'a [u64]) -> PutRequest<'a> {
        let pieces = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        PutRequest {
            max_extents: self.placing.extents.max(pieces),
            replicas: Replicas::exact(self.placing.replicas),
            ..PutRequest::of_parts(parts)
        }
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

    fn serve(&mut self, prompt: &[(ObjectKey, &[u64])]) -> Vec<Served> {
        let keys: Vec<[u8; 11]> = prompt.iter().map(|(key, _)| key.to_bytes()).collect();
        // Held until the others are stored, so that they do not leave for them.
        let prefix = self.store.get_many(&keys);
        let parent = prefix.last().map(Lease::key);
        let rest = keys.iter().zip(prompt).skip(prefix.len());
        let rest: Vec<_> = rest
            .map(|(key, &(_, parts))| {
                let request = self.request(parts);
                (key, PutRequest { parent, ..request })
            })
            .collect();
        let mut chain = self.store.put_many(&rest);
        let here = prefix.len() + chain.len();
        // Those that were missing are in the order of the keys.
        let mut puts = chain.puts_mut().iter().peekable();
        let mut served: Vec<Served> = keys[..here]
            .iter()
            .map(|key| match puts.next_if(|put| put.key() == key) {
                Some(_) => Served::Stored,
                None => Served::Found,
            })
            .collect();
        served.resize(keys.len(), Served::Refused);
        chain
            .commit()
            .expect("nobody waits until a deadline has passed");
        served
    }

    fn put(&mut self, key: ObjectKey, parts: &[u64]) -> bool {
        match self.store.put(&key.to_bytes(), &self.request(parts)) {
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
            moved_bytes: stats.moved.bytes,
            placed_by_eviction_bytes: stats.placed_bytes_on_demand,
            victims: stats.on_demand.objects,
            by_watermark: stats.by_watermark.objects,
        }
    }

    fn map(&self) -> Option<Map> {
        let (id, pool) = (SegmentId(0), self.store.pool());
        let mut page = pool.blocks(id, None, BLOCKS_PER_PAGE)?;
        let mut map = Map::new(pool.info(id)?.size, CELLS);
        loop {
            let held = page.blocks.iter().filter(|block| !block.is_hole);
            held.for_each(|block| map.add(block.address, block.size));
            let Some(cursor) = page.next else {
                return Some(map);
            };
            page = pool.blocks(id, Some(&cursor), BLOCKS_PER_PAGE)?;
        }
    }
}

/// Holds whatever fits by its bytes alone; the objects used longest ago leave.
pub(super) struct Oracle {
    capacity_bytes: u64,
    /// How often it has the bytes of an object.
    replicas: u64,
    /// Size and last use.
    objects: HashMap<ObjectKey, (u64, u64)>,
    by_use: BTreeMap<u64, ObjectKey>,
    now: u64,
    tally: Tally,
}

impl Oracle {
    pub(super) fn new(capacity_bytes: u64, replicas: u32) -> Self {
        Self {
            capacity_bytes,
            replicas: u64::from(replicas),
            objects: HashMap::new(),
            by_use: BTreeMap::new(),
            now: 0,
            tally: Tally::default(),
        }
    }

    fn evict_oldest(&mut self) {
        let (_, key) = self
            .by_use
            .pop_first()
            .expect("what is live has a last use");
        let (size_bytes, _) = self.objects.remove(&key).expect("it is live");
        self.tally.live_bytes -= size_bytes;
        self.tally.evicted_bytes += size_bytes;
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

    fn serve(&mut self, prompt: &[(ObjectKey, &[u64])]) -> Vec<Served> {
        let is_here = |(key, _): &&(ObjectKey, &[u64])| self.objects.contains_key(key);
        let prefix = prompt.iter().take_while(is_here).count();
        for (key, _) in prompt[..prefix].iter().rev() {
            self.get(*key);
        }
        let found = std::iter::repeat_n(Served::Found, prefix);
        let rest = prompt[prefix..].iter();
        let rest = rest.map(|&(key, parts)| self.serve_one(key, parts));
        found.chain(rest).collect()
    }

    fn put(&mut self, key: ObjectKey, parts: &[u64]) -> bool {
        let size_bytes = parts.iter().sum::<u64>() * self.replicas;
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
