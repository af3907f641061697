//! [`Lru`]: the object used longest ago leaves first.

use std::ops::ControlFlow;

use super::queues::Queues;
use super::{Facts, Leaving, ObjectId, Policy};

/// The only queue.
const ALL: u8 = 0;

/// Least recently used first; a new object counts as used.
///
/// 16 bytes per object, all calls in constant time.
#[derive(Debug)]
pub struct Lru {
    queues: Queues,
}

impl Lru {
    /// Makes a policy without objects.
    #[must_use]
    pub fn new() -> Self {
        Self {
            queues: Queues::new(1),
        }
    }

    /// As [`insert`](Policy::insert), as if the object was used right before another.
    pub(super) fn insert_behind(&mut self, id: ObjectId, newer: ObjectId) {
        self.queues.insert_behind(id, newer, ALL, ());
    }
}

impl Default for Lru {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for Lru {
    fn insert(&mut self, id: ObjectId, _facts: &Facts) {
        self.queues.insert(id, ALL, ());
    }

    fn used(&mut self, id: ObjectId) {
        self.queues.renew(id, ALL);
    }

    fn used_all(&mut self, ids: &[ObjectId]) {
        self.queues.touch(ids);
        ids.iter().for_each(|id| self.queues.renew(*id, ALL));
    }

    fn remove(&mut self, id: ObjectId, _key_hash: u64, _why: Leaving) {
        self.queues.remove(id);
    }

    fn hide(&mut self, id: ObjectId) {
        self.queues.hide(id);
    }

    fn show(&mut self, id: ObjectId) {
        self.queues.show(id);
    }

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        let mut cursor = self.queues.cursor(ALL);
        while let Some(id) = self.queues.next(&mut cursor) {
            if visit(id).is_break() {
                return;
            }
        }
    }

    /// Returns the age of the oldest object over that of this one.
    fn worth(&self, id: ObjectId) -> f64 {
        let age = |tick: u64| (self.queues.now() - tick + 1) as f64;
        let oldest = self.queues.oldest_tick(ALL);
        oldest.map_or(1.0, age) / age(self.queues.tick(id))
    }
}
