//! [`Sample`]: which keys stand for all, and which of the stored objects have such keys.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::ObjectId;

/// Objects of the sample that are stored, at most before the sample is made smaller.
const STORED_MAX: usize = 2_048;

/// Keys whose hash ends in some zeros; the more objects there are, the more zeros.
#[derive(Debug)]
pub(super) struct Sample {
    /// Zeros that are asked for: one key in `2^zeros` is in the sample.
    zeros: u32,
    /// The stored objects that are in it.
    hashes: HashMap<u32, u64, FixedState>,
}

impl Sample {
    pub(super) fn new() -> Self {
        Self {
            zeros: 0,
            hashes: HashMap::default(),
        }
    }

    /// Returns the keys for each of which one is in the sample.
    pub(super) fn keys_per_member(&self) -> f64 {
        (1_u64 << self.zeros) as f64
    }

    pub(super) fn has(&self, hash: u64) -> bool {
        // The upper half, for the lower one selects places in tables.
        spread(hash).leading_zeros() >= self.zeros
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Returns the hash of the key of an object that is in the sample.
    pub(super) fn hash(&self, id: ObjectId) -> Option<u64> {
        self.hashes.get(&id.0).copied()
    }

    /// Adds an object if its key is in the sample, and returns whether it is.
    pub(super) fn add(&mut self, id: ObjectId, hash: u64) -> bool {
        let is_member = self.has(hash);
        if is_member {
            self.hashes.insert(id.0, hash);
        }
        is_member
    }

    pub(super) fn remove(&mut self, id: ObjectId) {
        self.hashes.remove(&id.0);
    }

    /// Halves the sample if it has become too large, and returns whether it did.
    pub(super) fn thin_out(&mut self) -> bool {
        if self.hashes.len() <= STORED_MAX {
            return false;
        }
        self.zeros += 1;
        let zeros = self.zeros;
        self.hashes
            .retain(|_, hash| spread(*hash).leading_zeros() >= zeros);
        true
    }
}

/// Mixes a hash, so that the sample does not depend on how keys are hashed.
fn spread(hash: u64) -> u64 {
    (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
