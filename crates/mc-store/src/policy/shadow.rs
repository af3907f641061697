//! [`Shadow`]: a small cache without bytes, which tells how many hits a ranking would have.

use std::collections::HashMap;
use std::ops::ControlFlow;

use foldhash::fast::FixedState;

use super::classes::{Classes, Learned, Ranking, Weight};
use super::{Leaving, ObjectId, Parent};

/// A cache of the sample under one ranking.
#[derive(Debug)]
pub(super) struct Shadow {
    ranking: Ranking,
    classes: Classes,
    ids: HashMap<u64, u32, FixedState>,
    /// The key's hash of each id; those of vacant ids mean nothing.
    hashes: Vec<u64>,
    vacant: Vec<u32>,
}

impl Shadow {
    pub(super) fn new(ranking: Ranking) -> Self {
        Self {
            ranking,
            classes: Classes::new(),
            ids: HashMap::default(),
            hashes: Vec::new(),
            vacant: Vec::new(),
        }
    }

    pub(super) fn ranking(&self) -> Ranking {
        self.ranking
    }

    /// Asks for a key and stores it if it is not there; returns whether it was.
    pub(super) fn access(
        &mut self,
        hash: u64,
        weight: Weight,
        now: u64,
        capacity: f64,
        learned: &mut Learned,
    ) -> bool {
        self.classes.advance(now);
        if let Some(&id) = self.ids.get(&hash) {
            self.classes.used(ObjectId(id));
            return true;
        }
        while self.classes.bytes() + f64::from(weight.bytes) > capacity && self.evict(learned) {}
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.hashes.push(0);
            u32::try_from(self.hashes.len() - 1).expect("a sample is small")
        });
        self.hashes[id as usize] = hash;
        self.ids.insert(hash, id);
        self.classes
            .insert(ObjectId(id), hash, weight, Parent::None);
        false
    }

    /// Returns the uses of a key that is stored; 0 otherwise.
    pub(super) fn uses(&self, hash: u64) -> u8 {
        let id = self.ids.get(&hash);
        id.map_or(0, |id| self.classes.uses(ObjectId(*id)))
    }

    /// Drops the keys that are no longer in the sample.
    pub(super) fn retain(&mut self, is_member: impl Fn(u64) -> bool) {
        for id in 0..self.hashes.len() {
            let hash = self.hashes[id];
            let id = u32::try_from(id).expect("a sample is small");
            if self.ids.get(&hash) == Some(&id) && !is_member(hash) {
                self.drop(ObjectId(id), Leaving::Removed);
            }
        }
    }

    fn evict(&mut self, learned: &mut Learned) -> bool {
        let mut victim = None;
        self.classes.victims(self.ranking, learned, &mut |id| {
            victim = Some(id);
            ControlFlow::Break(())
        });
        if let Some(id) = victim
            && self.ranking == Ranking::Merit
        {
            let (now, age) = (self.classes.now(), self.classes.age(id));
            let merit = self.classes.merit(id, learned);
            learned.inflation.raise(now, age, merit);
        }
        victim.map(|id| self.drop(id, Leaving::Evicted)).is_some()
    }

    fn drop(&mut self, id: ObjectId, why: Leaving) {
        let hash = self.hashes[id.0 as usize];
        self.classes.remove(id, hash, why);
        self.ids.remove(&hash);
        self.vacant.push(id.0);
    }
}
