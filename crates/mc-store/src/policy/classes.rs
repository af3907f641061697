//! [`Classes`]: objects by uses and size, which several rankings put in order.
//!
//! An object belongs to one of a few classes, and each class is a queue by age. Rankings differ in how
//! they compare objects of different classes, not in where these are, so that a ranking can be changed
//! at any time and at no cost. Within a class, an older object ranks below a younger one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::ControlFlow;

use super::queues::{Cursor, Queues};
use super::recall::{Recall, USES_MAX};
use super::reuse::{self, Reuse, class_of};
use super::table::Table;
use super::{Facts, Leaving, ObjectId, Parent};

/// Classes by size, for each number of uses.
const SIZES: u8 = 20;

/// All classes.
const CLASSES: usize = reuse::CLASSES as usize * SIZES as usize;

/// One in how many bytes objects may have that were never used, under [`Ranking::Probation`].
const PROBATION_SHARE: f64 = 10.0;

/// Uses from which on an object that left has fewer when it comes back.
const FADING_USES: u8 = 4;

/// How objects are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ranking {
    /// By age alone.
    Recency,
    /// Objects that were never used go first while they have more than a tenth of the bytes; otherwise
    /// the others do. By age among themselves (after 2Q: Johnson and Shasha, VLDB 1994).
    Probation,
    /// By uses per byte and tick, as learned.
    ReuseAge,
}

/// The objects of a cache in classes.
#[derive(Debug)]
pub(super) struct Classes {
    queues: Queues,
    objects: Table<Weight>,
    /// Objects in each class, and a bit for each class that has some.
    counts: [u32; CLASSES],
    occupied: u128,
    /// Bytes of objects that were never used, and of the others.
    bytes: [f64; 2],
    recall: Recall,
    heads: Vec<Head>,
}

/// What an object takes and gives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    pub(super) bytes: f32,
    /// What a use is worth, for each byte.
    pub(super) gain: f32,
}

/// The next object of a class in a search for victims.
#[derive(Clone, Copy, Debug)]
struct Head {
    cursor: Cursor,
    id: ObjectId,
    rank: f64,
    tick: u64,
}

/// The greatest is the one that leaves first: of the least rank, and among equals the oldest.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_age = || other.tick.cmp(&self.tick);
        other.rank.total_cmp(&self.rank).then_with(by_age)
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

impl Weight {
    fn class(self, uses: u8) -> u8 {
        // Sizes of one class differ by less than a factor of four. The exponent of a number is the
        // logarithm, rounded down.
        let octaves = (self.bytes.max(1.0).to_bits() >> 23).saturating_sub(127);
        let size = u8::try_from(octaves / 2).map_or(SIZES - 1, |size| size.min(SIZES - 1));
        class_of(uses) * SIZES + size
    }
}

impl Classes {
    pub(super) fn new() -> Self {
        Self {
            queues: Queues::new(CLASSES),
            objects: Table::new(),
            counts: [0; CLASSES],
            occupied: 0,
            bytes: [0.0; 2],
            recall: Recall::new(),
            heads: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn bytes(&self) -> f64 {
        self.bytes[0] + self.bytes[1]
    }

    pub(super) fn now(&self) -> u64 {
        self.queues.now()
    }

    pub(super) fn advance(&mut self, now: u64) {
        self.queues.advance(now);
    }

    pub(super) fn uses(&self, id: ObjectId) -> u8 {
        self.queues.note(id)
    }

    pub(super) fn weight(&self, id: ObjectId) -> Weight {
        let weight = self.objects.get(id.0);
        weight.unwrap_or_else(|| panic!("object {} is not here", id.0))
    }

    /// Returns what a new object takes and gives. The parts of a prompt are worth the bytes that they
    /// have in common, so that a last part is not preferred for being small.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seven digits are enough to compare by"
    )]
    pub(super) fn weigh(&self, facts: &Facts) -> Weight {
        let mut gain = super::gdsf::gain(facts) as f32;
        if let Parent::Stored(parent) = facts.parent
            && facts.cost <= 0.0
        {
            gain = gain.min(self.weight(parent).gain);
        }
        let bytes = facts.bytes as f32;
        Weight { bytes, gain }
    }

    pub(super) fn insert(&mut self, id: ObjectId, key_hash: u64, weight: Weight, parent: Parent) {
        // Merit fades: an object that left for all its uses has fewer when it comes back.
        let again = |uses| {
            if uses < FADING_USES {
                uses + 1
            } else {
                uses - uses / FADING_USES
            }
        };
        let uses = self.recall.uses(key_hash).map_or(0, again);
        let class = weight.class(uses);
        match parent {
            Parent::Stored(parent) => self.queues.insert_behind(id, parent, class),
            Parent::None | Parent::Gone(_) => self.queues.insert(id, class),
        }
        self.queues.set_note(id, uses);
        self.objects.insert(id.0, weight);
        self.count(class, weight);
    }

    pub(super) fn used(&mut self, id: ObjectId) {
        let weight = self.weight(id);
        self.discount(self.queues.queue(id), weight);
        let uses = (self.queues.note(id) + 1).min(USES_MAX);
        let class = weight.class(uses);
        self.queues.renew(id, class);
        self.queues.set_note(id, uses);
        self.count(class, weight);
    }

    pub(super) fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        let weight = self.weight(id);
        self.discount(self.queues.queue(id), weight);
        let uses = self.queues.note(id);
        self.queues.remove(id);
        self.objects.remove(id.0);
        if why == Leaving::Evicted {
            self.recall.remember(key_hash, uses, self.len());
        }
    }

    pub(super) fn hide(&mut self, id: ObjectId) {
        self.queues.hide(id);
    }

    pub(super) fn show(&mut self, id: ObjectId) {
        self.queues.show(id);
    }

    /// Visits the objects in the order of a ranking.
    pub(super) fn victims(
        &mut self,
        ranking: Ranking,
        reuse: &Reuse,
        visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>,
    ) {
        let mut heads = std::mem::take(&mut self.heads);
        heads.clear();
        self.fill(&mut heads, ranking, reuse);
        let youngest = self.youngest_to_go(&heads, ranking, reuse);
        let mut heads = BinaryHeap::from(heads);
        if youngest.is_none_or(|id| visit(id).is_continue()) {
            self.merge(
                &mut heads,
                youngest,
                |id| self.rank(id, ranking, reuse),
                visit,
            );
        }
        self.heads = heads.into_vec();
    }

    /// Returns what the loss of an object costs, for each of its bytes.
    pub(super) fn worth(&self, id: ObjectId, ranking: Ranking, reuse: &Reuse) -> f64 {
        let age = (self.now() - self.queues.tick(id)) as f64 + 1.0;
        match ranking {
            Ranking::ReuseAge => self.density(id, reuse),
            Ranking::Recency => age.recip(),
            Ranking::Probation if self.is_on_probation(id) == self.is_probation_full() => {
                age.recip()
            }
            // Twice: those who stay are not beyond comparison.
            Ranking::Probation => 2.0 / age,
        }
    }

    fn fill(&self, heads: &mut Vec<Head>, ranking: Ranking, reuse: &Reuse) {
        let mut occupied = self.occupied;
        while occupied != 0 {
            let class = occupied.trailing_zeros().to_le_bytes()[0];
            occupied &= occupied - 1;
            let cursor = self.queues.cursor(class);
            if let Some(id) = self.queues.peek(&cursor) {
                let (rank, tick) = (self.rank(id, ranking, reuse), self.queues.tick(id));
                heads.push(Head {
                    cursor,
                    id,
                    rank,
                    tick,
                });
            }
        }
    }

    /// Visits the objects of all classes in order, but the one that has been visited.
    fn merge(
        &self,
        heads: &mut BinaryHeap<Head>,
        visited: Option<ObjectId>,
        rank: impl Fn(ObjectId) -> f64,
        visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>,
    ) {
        while let Some(mut head) = heads.peek_mut() {
            if Some(head.id) != visited && visit(head.id).is_break() {
                return;
            }
            let mut cursor = head.cursor;
            self.queues.next(&mut cursor);
            match self.queues.peek(&cursor) {
                Some(id) => {
                    let (rank, tick) = (rank(id), self.queues.tick(id));
                    *head = Head {
                        cursor,
                        id,
                        rank,
                        tick,
                    };
                }
                None => drop(PeekMut::pop(head)),
            }
        }
    }

    /// Returns an object that was stored just now and is worth no more than the oldest ones.
    ///
    /// In a round of requests that is longer than the cache, all have the same prospects, but the
    /// oldest are the next to be asked for.
    fn youngest_to_go(&self, heads: &[Head], ranking: Ranking, reuse: &Reuse) -> Option<ObjectId> {
        if ranking != Ranking::ReuseAge {
            return None;
        }
        let least = heads.iter().map(|head| head.rank).min_by(f64::total_cmp)?;
        let newest = heads
            .iter()
            .filter_map(|head| self.queues.newest(head.cursor.queue()));
        let ranked = newest.map(|id| (id, self.rank(id, ranking, reuse)));
        let youngest = ranked.min_by(|a, b| a.1.total_cmp(&b.1))?;
        (youngest.1 <= least).then_some(youngest.0)
    }

    /// Returns what orders victims; among equals, age does.
    fn rank(&self, id: ObjectId, ranking: Ranking, reuse: &Reuse) -> f64 {
        match ranking {
            Ranking::Recency => 0.0,
            Ranking::Probation if self.is_on_probation(id) == self.is_probation_full() => 0.0,
            Ranking::Probation => 1.0,
            Ranking::ReuseAge => self.density(id, reuse),
        }
    }

    fn density(&self, id: ObjectId, reuse: &Reuse) -> f64 {
        let age = self.now() - self.queues.tick(id);
        reuse.index(self.queues.note(id), age) * f64::from(self.weight(id).gain)
    }

    fn is_on_probation(&self, id: ObjectId) -> bool {
        self.queues.note(id) == 0
    }

    fn is_probation_full(&self) -> bool {
        self.bytes[0] > self.bytes() / PROBATION_SHARE
    }

    fn count(&mut self, class: u8, weight: Weight) {
        self.counts[usize::from(class)] += 1;
        self.occupied |= 1 << class;
        self.bytes[usize::from(class >= SIZES)] += f64::from(weight.bytes);
    }

    fn discount(&mut self, class: u8, weight: Weight) {
        self.counts[usize::from(class)] -= 1;
        if self.counts[usize::from(class)] == 0 {
            self.occupied &= !(1 << class);
        }
        self.bytes[usize::from(class >= SIZES)] -= f64::from(weight.bytes);
    }
}
