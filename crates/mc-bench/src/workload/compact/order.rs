//! Who leaves: orders that know nothing of places.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mc_store::policy::{Facts, Leaving, ObjectId, Policy};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::churn::victims;
use crate::workload::bimodal::METADATA_BYTES;

/// The mean time after which an object leaves, in units of which no two draws fall into one.
const MEAN: f64 = (1_u64 << 40) as f64;

/// Whether an object is of those that leave last, and when it leaves among its like.
type Place = (bool, u64);

/// Objects by the place that they get when they are stored.
#[derive(Debug)]
pub(super) struct Ordered {
    order: BTreeMap<Place, ObjectId>,
    places: BTreeMap<ObjectId, Place>,
    /// The last time that has come.
    now: u64,
    /// Draws how long an object stays; without it the one stored longest ago is the next.
    generator: Option<Xoshiro256PlusPlus>,
}

impl Ordered {
    fn boxed(generator: Option<Xoshiro256PlusPlus>) -> Box<dyn Policy> {
        Box::new(Self {
            order: BTreeMap::new(),
            places: BTreeMap::new(),
            now: 0,
            generator,
        })
    }

    /// Each live object is as likely as any other to be the next.
    ///
    /// The time at which an object leaves is from an exponential distribution behind the last such time
    /// that has come: that distribution forgets, so that at every moment the order of those that live is one
    /// drawn at random, and it stays the same until somebody comes or goes.
    pub(super) fn at_random(seed: u64) -> Box<dyn Policy> {
        Self::boxed(Some(victims(seed)))
    }

    /// The payload stored longest ago is the next; metadata come behind all payloads.
    pub(super) fn payloads_by_age(_seed: u64) -> Box<dyn Policy> {
        Self::boxed(None)
    }
}

impl Policy for Ordered {
    fn insert(&mut self, id: ObjectId, facts: &Facts) {
        let mut place = match &mut self.generator {
            Some(generator) => {
                let drawn: f64 = generator.random_range(f64::MIN_POSITIVE..1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the logarithm of a number between 0 and 1 is negative, and above -709"
                )]
                let stays = (-libm::log(drawn) * MEAN) as u64;
                (false, self.now + stays)
            }
            None => {
                self.now += 1;
                (facts.bytes < METADATA_BYTES.end, self.now)
            }
        };
        while self.order.contains_key(&place) {
            place.1 += 1;
        }
        self.order.insert(place, id);
        self.places.insert(id, place);
    }

    fn used(&mut self, _id: ObjectId) {}

    fn remove(&mut self, id: ObjectId, _key_hash: u64, _why: Leaving) {
        if let Some(place) = self.places.remove(&id) {
            self.order.remove(&place);
            self.now = self.now.max(place.1);
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
