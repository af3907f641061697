//! Scenarios: which keys are stored at first, and what the threads ask for.

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A key: a digest, as prefix caches name blocks.
pub(super) type Key = [u8; 32];

/// Keys that one call of [`Scenario::GetMany`] looks up.
pub(super) const MANY: usize = 32;

/// One in so many requests of [`Scenario::Mixed`] is a removal.
const MIXED_PER_REMOVAL: u32 = 8;

/// What the threads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    /// Reads of keys that are stored.
    GetHit,
    /// Reads of keys that are not.
    GetMiss,
    /// Reads of twice as many keys as there is room for; what is not there is put.
    GetOrPut,
    /// Reads and some removals; what is not there is put. There is room for all.
    Mixed,
    /// Reads of [`MANY`] keys at once, all of them stored.
    GetMany,
}

/// Every scenario, in the order of the output.
pub(super) const SCENARIOS: [Scenario; 5] = [
    Scenario::GetHit,
    Scenario::GetMiss,
    Scenario::GetOrPut,
    Scenario::Mixed,
    Scenario::GetMany,
];

/// One request of a thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Index of the key, or of the first of many.
    pub(super) key: u32,
    pub(super) is_removal: bool,
}

/// One phase: what runs, on how many threads and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) scenario: Scenario,
    pub(super) threads: usize,
    /// Requests of each thread.
    pub(super) calls: usize,
    /// What the requests are drawn from.
    pub(super) seed: u64,
}

impl Scenario {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::GetHit => "get_hit",
            Self::GetMiss => "get_miss",
            Self::GetOrPut => "get_or_put",
            Self::Mixed => "mixed",
            Self::GetMany => "get_many",
        }
    }

    /// Returns how many objects there is room for, if `objects` are to be stored. Caches in shards
    /// evict before they are full, so that where nothing is to be evicted, half stays empty.
    pub(super) const fn capacity(self, objects: usize) -> usize {
        match self {
            Self::GetOrPut => objects,
            Self::GetHit | Self::GetMiss | Self::Mixed | Self::GetMany => 2 * objects,
        }
    }

    /// Returns how many keys one call looks up.
    pub(super) const fn keys_per_call(self) -> usize {
        match self {
            Self::GetMany => MANY,
            Self::GetHit | Self::GetMiss | Self::GetOrPut | Self::Mixed => 1,
        }
    }

    fn ask(self, objects: u32, generator: &mut Xoshiro256PlusPlus) -> Asked {
        let many = u32::try_from(MANY).expect("few keys");
        let key = match self {
            Self::GetHit | Self::Mixed => generator.random_range(0..objects),
            Self::GetMiss => generator.random_range(objects..2 * objects),
            Self::GetOrPut => generator.random_range(0..2 * objects),
            Self::GetMany => many * generator.random_range(0..objects / many),
        };
        let is_removal = self == Self::Mixed && generator.random_ratio(1, MIXED_PER_REMOVAL);
        Asked { key, is_removal }
    }
}

impl Load {
    /// Draws the requests of one thread for the keys that [`keys`] made.
    pub(super) fn requests(&self, thread: usize, keys: &[Key]) -> Vec<Asked> {
        let objects = u32::try_from(keys.len() / 2).expect("fewer than 2^32 keys");
        // Phases with other numbers of threads ask for other keys, as those asked for last are there.
        let seed = self.seed.wrapping_add((self.threads as u64) << 32);
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..thread).for_each(|_| generator.jump());
        let ask = || self.scenario.ask(objects, &mut generator);
        std::iter::repeat_with(ask).take(self.calls).collect()
    }
}

/// Draws twice as many keys as objects.
pub(super) fn keys(objects: usize, seed: u64) -> Vec<Key> {
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    let draw = || next_key(&mut generator);
    std::iter::repeat_with(draw).take(2 * objects).collect()
}

pub(super) fn next_key(generator: &mut Xoshiro256PlusPlus) -> Key {
    let mut key = Key::default();
    generator.fill_bytes(&mut key);
    key
}
