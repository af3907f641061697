//! [`ReuseAge`]: objects stay for the uses that they are expected to have.

use std::ops::ControlFlow;

use super::classes::{Classes, Learned, Ranking};
use super::sample::Sample;
use super::{Facts, Leaving, ObjectId, Policy};

/// The object that is expected to have the fewest uses for each byte and for the time it is kept
/// leaves first.
///
/// What is expected is learned online, from how often an object was used and how long ago, on a sample
/// of the keys that is followed for longer than they are stored. It finds out that objects come back
/// only after a while, or hardly ever, or all in turn. Sizes count as under [`Gdsf`](super::Gdsf).
///
/// 24 bytes per object, four to eight for keys that have left, and the sample.
#[derive(Debug)]
pub struct ReuseAge {
    classes: Classes,
    learned: Learned,
    sample: Sample,
}

impl ReuseAge {
    /// Makes a policy without objects.
    #[must_use]
    pub fn new() -> Self {
        Self {
            classes: Classes::new(),
            learned: Learned::new(),
            sample: Sample::new(),
        }
    }

    fn observe(&mut self, id: ObjectId, hash: u64) {
        let (uses, now) = (self.classes.uses(id), self.classes.now());
        self.learned
            .reuse
            .observe(hash, uses, now, self.sample.len());
    }
}

impl Default for ReuseAge {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for ReuseAge {
    fn insert(&mut self, id: ObjectId, facts: &Facts) {
        let weight = self.classes.weigh(facts);
        self.classes
            .insert(id, facts.key_hash, weight, facts.parent);
        if self.sample.add(id, facts.key_hash) {
            self.observe(id, facts.key_hash);
            self.sample.thin_out();
        }
    }

    fn used(&mut self, id: ObjectId) {
        self.classes.used(id);
        if let Some(hash) = self.sample.hash(id) {
            self.observe(id, hash);
        }
    }

    fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        self.classes.remove(id, key_hash, why);
        self.sample.remove(id);
    }

    fn hide(&mut self, id: ObjectId) {
        self.classes.hide(id);
    }

    fn show(&mut self, id: ObjectId) {
        self.classes.show(id);
    }

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        self.classes
            .victims(Ranking::ReuseAge, &self.learned, visit);
    }

    fn worth(&self, id: ObjectId) -> f64 {
        self.classes.worth(id, Ranking::ReuseAge, &self.learned)
    }
}
