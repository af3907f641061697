//! [`Shadows`]: small caches without bytes, which tell how many hits each ranking would have.

use std::collections::HashMap;
use std::ops::ControlFlow;

use foldhash::fast::FixedState;

use super::classes::{Classes, Learned, Ranking, Weight};
use super::{Leaving, ObjectId, Parent};

/// Caches of the sample, one under each of `N` rankings.
///
/// A key has the same id in all of them, so that it is looked up once.
#[derive(Debug)]
pub(super) struct Shadows<const N: usize> {
    caches: [(Ranking, Classes); N],
    ids: HashMap<u64, u32, FixedState>,
    /// The key of each id.
    keys: Vec<Key>,
    vacant: Vec<u32>,
}

/// A key that some cache stores; of a vacant id, one that none does.
#[derive(Clone, Copy, Debug, Default)]
struct Key {
    hash: u64,
    /// A bit for each cache that stores it.
    stored: u8,
}

impl<const N: usize> Shadows<N> {
    pub(super) fn new(rankings: [Ranking; N]) -> Self {
        const { assert!(N <= u8::BITS as usize, "a bit for each cache") };
        Self {
            caches: rankings.map(|ranking| (ranking, Classes::new())),
            ids: HashMap::default(),
            keys: Vec::new(),
            vacant: Vec::new(),
        }
    }

    /// Asks every cache for a key, which stores it if it is not there; returns which had it, and the
    /// uses that the key has now in each.
    pub(super) fn access(
        &mut self,
        hash: u64,
        weight: Weight,
        now: u64,
        capacity: f64,
        learned: &mut Learned,
    ) -> [(bool, u8); N] {
        let id = self.id(hash);
        std::array::from_fn(|cache| {
            let has_it = self.keys[id.0 as usize].stored >> cache & 1 == 1;
            self.caches[cache].1.advance(now);
            if has_it {
                self.caches[cache].1.used(id);
            } else {
                while self.caches[cache].1.bytes() + f64::from(weight.bytes) > capacity
                    && self.evict(cache, learned)
                {}
                let classes = &mut self.caches[cache].1;
                classes.insert(id, hash, weight, Parent::None);
                self.keys[id.0 as usize].stored |= 1 << cache;
            }
            (has_it, self.caches[cache].1.uses(id))
        })
    }

    /// Drops the keys that are no longer in the sample.
    pub(super) fn retain(&mut self, is_member: impl Fn(u64) -> bool) {
        for at in 0..self.keys.len() {
            if !is_member(self.keys[at].hash) {
                let id = ObjectId(u32::try_from(at).expect("a sample is small"));
                (0..N).for_each(|cache| self.drop(cache, id, Leaving::Removed));
            }
        }
    }

    /// Returns the id of a key, which the caller stores if no cache does.
    fn id(&mut self, hash: u64) -> ObjectId {
        let id = *self.ids.entry(hash).or_insert_with(|| {
            let id = self.vacant.pop().unwrap_or_else(|| {
                self.keys.push(Key::default());
                u32::try_from(self.keys.len() - 1).expect("a sample is small")
            });
            self.keys[id as usize].hash = hash;
            id
        });
        ObjectId(id)
    }

    fn evict(&mut self, cache: usize, learned: &mut Learned) -> bool {
        let (ranking, classes) = &mut self.caches[cache];
        let mut victim = None;
        classes.victims(*ranking, learned, &mut |id| {
            victim = Some(id);
            ControlFlow::Break(())
        });
        let Some(id) = victim else {
            return false;
        };
        if *ranking == Ranking::Merit {
            let merit = classes.merit(id, learned);
            learned
                .inflation
                .raise(classes.now(), classes.age(id), merit);
        }
        self.drop(cache, id, Leaving::Evicted);
        true
    }

    fn drop(&mut self, cache: usize, id: ObjectId, why: Leaving) {
        let key = &mut self.keys[id.0 as usize];
        if key.stored >> cache & 1 == 0 {
            return;
        }
        key.stored &= !(1 << cache);
        self.caches[cache].1.remove(id, key.hash, why);
        if key.stored == 0 {
            self.ids.remove(&key.hash);
            self.vacant.push(id.0);
        }
    }
}
