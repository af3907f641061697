//! Who leaves: orders that know nothing of places.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mc_store::policy::{Facts, Leaving, ObjectId, Policy};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::churn::victims;
use crate::workload::bimodal::METADATA_BYTES;

/// Each live object is as likely as any other to be the next.
///
/// An object draws the time at which it leaves when it is stored, from an exponential distribution behind the
/// last such time that has come: that distribution forgets, so that at every moment the order of those that live
/// is one drawn at random, and it stays the same until somebody comes or goes.
#[derive(Debug)]
pub(super) struct AtRandom {
    generator: Xoshiro256PlusPlus,
    /// By time, in units of which no two draws fall into one.
    order: BTreeMap<u64, ObjectId>,
    times: BTreeMap<ObjectId, u64>,
    now: u64,
}

/// The mean time, in the units of the order.
const MEAN: f64 = (1_u64 << 40) as f64;

impl AtRandom {
    pub(super) fn boxed(seed: u64) -> Box<dyn Policy> {
        Box::new(Self {
            generator: victims(seed),
            order: BTreeMap::new(),
            times: BTreeMap::new(),
            now: 0,
        })
    }
}

impl Policy for AtRandom {
    fn insert(&mut self, id: ObjectId, _facts: &Facts) {
        let drawn: f64 = self.generator.random_range(f64::MIN_POSITIVE..1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the logarithm of a number between 0 and 1 is negative, and above -709"
        )]
        let mut time = self.now + (-libm::log(drawn) * MEAN) as u64;
        while self.order.contains_key(&time) {
            time += 1;
        }
        self.order.insert(time, id);
        self.times.insert(id, time);
    }

    fn used(&mut self, _id: ObjectId) {}

    fn remove(&mut self, id: ObjectId, _key_hash: u64, _why: Leaving) {
        if let Some(time) = self.times.remove(&id) {
            self.order.remove(&time);
            self.now = self.now.max(time);
        }
    }

    // Nobody leases or pins an object here.
    fn hide(&mut self, _id: ObjectId) {}

    fn show(&mut self, _id: ObjectId) {}

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        for &id in self.order.values() {
            if visit(id).is_break() {
                return;
            }
        }
    }

    fn worth(&self, _id: ObjectId) -> f64 {
        1.0
    }
}

/// The payload stored longest ago is the next; metadata come behind all payloads.
#[derive(Debug, Default)]
pub(super) struct PayloadsByAge {
    order: BTreeMap<(bool, u64), ObjectId>,
    places: BTreeMap<ObjectId, (bool, u64)>,
    stored: u64,
}

impl PayloadsByAge {
    pub(super) fn boxed(_seed: u64) -> Box<dyn Policy> {
        Box::new(Self::default())
    }
}

impl Policy for PayloadsByAge {
    fn insert(&mut self, id: ObjectId, facts: &Facts) {
        let place = (facts.bytes < METADATA_BYTES.end, self.stored);
        self.stored += 1;
        self.order.insert(place, id);
        self.places.insert(id, place);
    }

    fn used(&mut self, _id: ObjectId) {}

    fn remove(&mut self, id: ObjectId, _key_hash: u64, _why: Leaving) {
        if let Some(place) = self.places.remove(&id) {
            self.order.remove(&place);
        }
    }

    // Nobody leases or pins an object here.
    fn hide(&mut self, _id: ObjectId) {}

    fn show(&mut self, _id: ObjectId) {}

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        for &id in self.order.values() {
            if visit(id).is_break() {
                return;
            }
        }
    }

    /// Returns so much more for metadata that they leave last.
    fn worth(&self, id: ObjectId) -> f64 {
        match self.places.get(&id) {
            Some((true, _)) => 1e6,
            Some((false, _)) | None => 1.0,
        }
    }
}
