//! Churn of a full pool: objects of several sizes arrive, others are evicted for them.

use std::collections::BTreeMap;

use mc_segment::{Block, PlacedBuffer, SegmentId, cheapest_window};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::cluster::Cluster;
use super::measure::{Outcome, Samples};

/// Puts from one sample to the next.
const SAMPLE_INTERVAL: u64 = 100;

/// Share of the live objects that a refused put evicts at random.
const EVICTED_SHARE: f64 = 0.02;

/// Evictions and new attempts of one put.
const RETRIES_MAX: u32 = 5;

/// Blocks that are read under one lock.
const PAGE_BLOCKS: usize = 1024;

/// What a page of a model and its index take, in bytes.
const PAGE_BYTES: u64 = 3_274_752;
const INDEX_BYTES: u64 = 658_432;

/// Which sizes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Metadata, small and large values: 70 %, 20 % and 10 %.
    KvMixed,
    /// A page or its index with equal chances.
    DsaPair,
}

/// What makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// So many objects at random, as published.
    Random,
    /// The neighbors in one segment, drawn at random, that leave a hole of the size for the fewest
    /// bytes.
    Window,
}

impl Pattern {
    pub(super) const ALL: [Self; 2] = [Self::KvMixed, Self::DsaPair];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::KvMixed => "kv_mixed",
            Self::DsaPair => "dsa_pair",
        }
    }

    /// Sizes and their chances in percent.
    const fn classes(self) -> &'static [(u64, u64)] {
        match self {
            Self::KvMixed => &[(4 << 10, 70), (256 << 10, 20), (PAGE_BYTES, 10)],
            Self::DsaPair => &[(PAGE_BYTES, 50), (INDEX_BYTES, 50)],
        }
    }

    fn draw(self, rng: &mut impl Rng) -> u64 {
        let mut percent = rng.next_u64() % 100;
        for &(size, chance) in self.classes() {
            if percent < chance {
                return size;
            }
            percent -= chance;
        }
        unreachable!("the chances add up to 100")
    }

    fn mean_bytes(self) -> u64 {
        let weighted = self.classes().iter().map(|(size, chance)| size * chance);
        weighted.sum::<u64>() / 100
    }
}

impl Eviction {
    pub(super) const ALL: [Self; 2] = [Self::Random, Self::Window];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Window => "window",
        }
    }
}

/// Fills the pool, replaces everything once over, and times what follows.
///
/// A put is timed with the evictions and attempts that it takes. Samples are taken between puts; for
/// them all freed blocks are merged. What is refused is compared with the holes of every segment:
/// each attempt before the timed puts, and later each put that evicting did not help.
pub(super) fn run(
    cluster: Cluster,
    pattern: Pattern,
    eviction: Eviction,
    replicas: u32,
    puts: u64,
    seed: u64,
) -> Outcome {
    let objects = cluster.capacity() / pattern.mean_bytes() / u64::from(replicas);
    let mut store = Store {
        cluster,
        eviction,
        replicas,
        objects: Vec::new(),
        places: BTreeMap::new(),
        rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        evicted: 0,
        is_timed: false,
        wrongly_refused: 0,
    };
    for put in 0..2 * objects {
        let size = pattern.draw(&mut store.rng);
        let placed = store.put(size, put);
        store.keep(placed);
    }
    (store.evicted, store.is_timed) = (0, true);
    let mut outcome = Outcome::new();
    let mut samples = Samples::default();
    for put in 0..puts {
        let size = pattern.draw(&mut store.rng);
        let placed = outcome.clock.time(|| store.put(size, put));
        outcome.count(&placed, replicas);
        if placed.is_empty() {
            store.check_refusal(size);
        }
        store.keep(placed);
        if (put + 1).is_multiple_of(SAMPLE_INTERVAL) || put + 1 == puts {
            samples.take(&store.cluster.pool.stats());
        }
    }
    samples.finish(&mut outcome, &store.cluster.pool.stats());
    outcome.evicted = store.evicted;
    outcome.wrongly_refused = store.wrongly_refused;
    outcome
}

/// A pool and what lives in it.
struct Store {
    cluster: Cluster,
    eviction: Eviction,
    replicas: u32,
    objects: Vec<Vec<PlacedBuffer>>,
    /// Place in `objects` of what is at an address; only for windows.
    places: BTreeMap<(SegmentId, u64), usize>,
    rng: Xoshiro256PlusPlus,
    evicted: u64,
    is_timed: bool,
    wrongly_refused: u64,
}

impl Store {
    /// Places an object, evicting others if it has to.
    fn put(&mut self, size: u64, put: u64) -> Vec<PlacedBuffer> {
        for _ in 0..=RETRIES_MAX {
            let request = self.cluster.request(size, self.replicas, put);
            if let Ok(placed) = self.cluster.pool.place(&request) {
                return placed;
            }
            if !self.is_timed {
                self.check_refusal(size);
            }
            match self.eviction {
                Eviction::Random => self.evict_at_random(),
                Eviction::Window => self.evict_window(size),
            }
        }
        Vec::new()
    }

    fn keep(&mut self, placed: Vec<PlacedBuffer>) {
        let Some(first) = placed.first() else { return };
        if self.eviction == Eviction::Window {
            let place = (first.segment_id(), first.address());
            self.places.insert(place, self.objects.len());
        }
        self.objects.push(placed);
    }

    fn evict_at_random(&mut self) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive share of a length"
        )]
        let count = (self.objects.len() as f64 * EVICTED_SHARE).ceil() as usize;
        for _ in 0..count {
            let victim = self.rng.next_u64() % self.objects.len() as u64;
            let victim = usize::try_from(victim).expect("below a length");
            drop(self.objects.swap_remove(victim));
            self.evicted += 1;
        }
    }

    fn evict_window(&mut self, size: u64) {
        let segment = self.rng.next_u64() % self.cluster.capacities.len() as u64;
        let id = SegmentId(segment.into());
        let blocks = self.blocks(id);
        let Some(window) = cheapest_window(&blocks, size, 1, |block| Some(block.size)) else {
            return;
        };
        let victims = blocks[window.blocks].iter().filter(|block| !block.is_hole);
        for victim in victims {
            let place = self.places.remove(&(id, victim.address));
            let victim = place.expect("a window holds what was kept");
            drop(self.objects.swap_remove(victim));
            if let Some(moved) = self.objects.get(victim).and_then(|object| object.first()) {
                let place = (moved.segment_id(), moved.address());
                self.places.insert(place, victim);
            }
            self.evicted += 1;
        }
    }

    /// Returns all blocks of a segment, which has one registration.
    fn blocks(&self, id: SegmentId) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.cluster.pool.blocks(id, cursor.as_ref(), PAGE_BLOCKS);
            let page = page.expect("the segments stay mounted");
            blocks.extend(page.blocks);
            cursor = page.next;
            if cursor.is_none() {
                return blocks;
            }
        }
    }

    /// Counts a refusal that a segment contradicts.
    fn check_refusal(&mut self, size: u64) {
        self.wrongly_refused += u64::from(self.cluster.has_room(size));
    }
}
