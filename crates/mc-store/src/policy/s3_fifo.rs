//! [`S3Fifo`]: three queues that a hit does not move.
//!
//! Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023).

use std::ops::ControlFlow;

use super::ghosts::Ghosts;
use super::queues::Queues;
use super::{Facts, Leaving, ObjectId, Parent, Policy};

/// New objects, a tenth of the bytes.
const SMALL: u8 = 0;

/// Objects that came back.
const MAIN: u8 = 1;

/// One in how many bytes the small queue may have.
const SMALL_SHARE: u64 = 10;

/// The most uses that are counted.
const USES_MAX: u8 = 3;

/// Uses after which an object moves from the small queue to the main one, instead of leaving.
const USES_TO_MOVE: u8 = 1;

/// Objects that one search for victims moves at most, so that its time is bounded.
const MOVES_MAX: usize = 256;

/// New objects wait in a small queue, and leave from there unless they were used. Those that were, and
/// those that come back soon after they left, stay in a main queue for as many rounds as they are used.
///
/// A hit changes one byte. 24 bytes per object and the hashes of as many keys that have left.
#[derive(Debug)]
pub struct S3Fifo {
    /// The note of an object is its number of uses; its bytes go with it.
    queues: Queues<u64>,
    queue_bytes: [u64; 2],
    ghosts: Ghosts,
}

impl S3Fifo {
    /// Makes a policy without objects.
    #[must_use]
    pub fn new() -> Self {
        Self {
            queues: Queues::new(2),
            queue_bytes: [0; 2],
            ghosts: Ghosts::new(),
        }
    }

    fn bytes(&self, id: ObjectId) -> u64 {
        self.queues.content(id)
    }

    /// Moves an object to the new end of the main queue.
    fn keep(&mut self, id: ObjectId, uses: u8) {
        let bytes = self.bytes(id);
        self.queue_bytes[usize::from(self.queues.queue(id))] -= bytes;
        self.queue_bytes[usize::from(MAIN)] += bytes;
        self.queues.renew(id, MAIN);
        self.queues.set_note(id, uses);
    }
}

impl Default for S3Fifo {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for S3Fifo {
    fn insert(&mut self, id: ObjectId, facts: &Facts) {
        let queue = if self.ghosts.take(facts.key_hash) {
            MAIN
        } else {
            SMALL
        };
        match facts.parent {
            // The end of a prompt is older than its beginning, as under `TailFirst`.
            Parent::Stored(parent) if self.queues.queue(parent) == queue => {
                self.queues.insert_behind(id, parent, queue, facts.bytes);
            }
            _ => self.queues.insert(id, queue, facts.bytes),
        }
        self.queue_bytes[usize::from(queue)] += facts.bytes;
    }

    fn used(&mut self, id: ObjectId) {
        let uses = self.queues.note(id);
        self.queues.set_note(id, (uses + 1).min(USES_MAX));
    }

    fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        let queue = self.queues.queue(id);
        self.queue_bytes[usize::from(queue)] -= self.bytes(id);
        self.queues.remove(id);
        if why == Leaving::Evicted && queue == SMALL {
            self.ghosts.remember(key_hash, self.queues.len());
        }
    }

    fn hide(&mut self, id: ObjectId) {
        self.queues.hide(id);
    }

    fn show(&mut self, id: ObjectId) {
        self.queues.show(id);
    }

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        let mut cursors = [self.queues.cursor(SMALL), self.queues.cursor(MAIN)];
        // What the queues would have if those that were visited had left.
        let mut left = [0, 0];
        let mut moves = 0;
        loop {
            let [small, main] = [0, 1].map(|queue| self.queue_bytes[queue] - left[queue]);
            let is_small_due = small > (small + main) / SMALL_SHARE;
            let order = if is_small_due { [0, 1] } else { [1, 0] };
            let next = order.into_iter().find_map(|queue| {
                let id = self.queues.next(&mut cursors[queue])?;
                Some((queue, id))
            });
            let Some((queue, id)) = next else {
                return;
            };
            let uses = self.queues.note(id);
            let least = if queue == 0 { USES_TO_MOVE } else { 1 };
            if uses >= least && moves < MOVES_MAX {
                moves += 1;
                self.keep(id, if queue == 0 { 0 } else { uses - 1 });
                self.queues.extend(&mut cursors[1], id);
                continue;
            }
            left[queue] += self.bytes(id);
            if visit(id).is_break() {
                return;
            }
        }
    }

    /// Returns one more than the rounds that the object has left, and less the older it is.
    fn worth(&self, id: ObjectId) -> f64 {
        let (queue, uses) = (self.queues.queue(id), self.queues.note(id));
        let age = |tick: u64| (self.queues.now() - tick + 1) as f64;
        let oldest = self.queues.oldest_tick(queue).map_or(1.0, age);
        let rounds = f64::from(uses) + if queue == MAIN { 1.0 } else { 0.1 };
        rounds * (2.0 - age(self.queues.tick(id)) / oldest.max(1.0)).max(0.1)
    }
}
