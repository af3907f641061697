//! [`Classes`]: objects by uses and size, which several rankings put in order.
//!
//! An object belongs to one of a few classes, and each class is a queue by age. Rankings differ in how
//! they compare objects of different classes, not in where these are, so that a ranking can be changed
//! at any time and at no cost. Within a class, an older object ranks below a younger one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::ControlFlow;

use super::inflation::Inflation;
use super::queues::{Cursor, Queues};
use super::recall::{Recall, USES_MAX};
use super::reuse::{self, Reuse, class_of};
use super::{Facts, Leaving, ObjectId, Parent};

/// Classes by size, for each number of uses.
const SIZES: u8 = 21;

/// All classes.
const CLASSES: usize = reuse::CLASSES as usize * SIZES as usize;

/// One in how many bytes objects may have that were never used, under [`Ranking::Probation`].
const PROBATION_SHARE: f64 = 10.0;

/// Uses from which on an object that left has fewer when it comes back.
const FADING_USES: u8 = 4;

/// What of a note is the mark; the rest counts uses.
const MARK: u8 = 1 << 6;
const _: () = assert!(USES_MAX < MARK && (USES_MAX + 1).is_power_of_two());

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
    /// By uses times what one is worth and, as merit fades, by when the last one was; as under
    /// [`Gdsf`](super::Gdsf).
    Merit,
}

/// What the rankings go by.
#[derive(Debug)]
pub(super) struct Learned {
    pub(super) reuse: Reuse,
    pub(super) inflation: Inflation,
}

impl Learned {
    pub(super) fn new() -> Self {
        Self {
            reuse: Reuse::new(),
            inflation: Inflation::new(),
        }
    }
}

/// The objects of a cache in classes.
#[derive(Debug)]
pub(super) struct Classes {
    queues: Queues<Weight>,
    /// Bytes of objects that were never used, and of the others.
    bytes: [f64; 2],
    recall: Recall,
    standings: Standings,
}

/// How the classes rank, so that a search for one victim looks at few objects.
#[derive(Debug)]
struct Standings {
    /// The next object of each class to leave and, of those stored just now, the last one.
    heads: [Option<(Head, Option<Head>)>; CLASSES],
    /// A bit for each class that has one to leave, and for each that has changed since it was ranked.
    present: u128,
    stale: u128,
    /// Searches until all are ranked again, as ranks change with age.
    due: u32,
    /// What they were ranked by.
    ranking: Ranking,
    is_probation_full: bool,
}

/// Searches for which ranks are taken to be as they were, unless their class changed.
const SEARCHES: u32 = 16;

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
    id: ObjectId,
    rank: f64,
    tick: u64,
}

/// The next object of a class and where it is, in a walk through all. Compared by the object.
#[derive(Clone, Copy, Debug)]
struct Step {
    head: Head,
    cursor: Cursor,
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        self.head.cmp(&other.head)
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.head == other.head
    }
}

impl Eq for Step {}

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
        // Sizes of one class differ by less than a factor of two from 256 B to 1 MiB, and of four up to
        // 64 GiB. The exponent of a number is the logarithm, rounded down.
        let octaves = (self.bytes.max(1.0).to_bits() >> 23).saturating_sub(127);
        let size = match octaves {
            ..20 => octaves.saturating_sub(7),
            20..36 => octaves / 2 + 3,
            _ => u32::from(SIZES) - 1,
        };
        let size = size.to_le_bytes()[0];
        class_of(uses) * SIZES + size
    }
}

/// Returns which of two sums of bytes counts the objects of a class: that of those that were never used,
/// or the other.
fn share_of(class: u8) -> usize {
    usize::from(class >= SIZES)
}

impl Standings {
    /// Returns the classes that have an object.
    fn present(&self) -> impl Iterator<Item = u8> + use<> {
        let mut present = self.present;
        std::iter::from_fn(move || {
            let class = (present != 0).then(|| present.trailing_zeros().to_le_bytes()[0])?;
            present &= present - 1;
            Some(class)
        })
    }

    /// Returns the next object of each class that has one, and the last one stored.
    fn heads(&self) -> impl Iterator<Item = &(Head, Option<Head>)> {
        let heads = self.present().map(|class| &self.heads[usize::from(class)]);
        heads.flatten()
    }
}

impl Classes {
    pub(super) fn new() -> Self {
        Self {
            queues: Queues::new(CLASSES),
            bytes: [0.0; 2],
            recall: Recall::new(),
            standings: Standings {
                heads: [None; CLASSES],
                present: 0,
                stale: 0,
                due: 0,
                ranking: Ranking::Recency,
                is_probation_full: false,
            },
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
        self.queues.note(id) & USES_MAX
    }

    /// Returns the ticks since an object was stored or used.
    pub(super) fn age(&self, id: ObjectId) -> u64 {
        self.now() - self.queues.tick(id)
    }

    pub(super) fn weight(&self, id: ObjectId) -> Weight {
        self.queues.content(id)
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
            Parent::Stored(parent) => self.queues.insert_behind(id, parent, class, weight),
            Parent::None | Parent::Gone(_) => self.queues.insert(id, class, weight),
        }
        self.queues.set_note(id, uses);
        self.count(class, weight);
    }

    /// Counts a use; returns whether the object is marked.
    #[inline]
    pub(super) fn used(&mut self, id: ObjectId) -> bool {
        let Self {
            queues,
            bytes,
            standings,
            ..
        } = self;
        let mut is_marked = false;
        queues.renew_with(id, |class_before, note, weight| {
            is_marked = note & MARK != 0;
            let uses = (note & USES_MAX).saturating_add(1).min(USES_MAX);
            let class = class_of(uses) * SIZES + class_before % SIZES;
            standings.stale |= 1 << class;
            if class != class_before {
                standings.stale |= 1 << class_before;
                bytes[share_of(class_before)] -= f64::from(weight.bytes);
                bytes[share_of(class)] += f64::from(weight.bytes);
            }
            (class, note & MARK | uses)
        });
        is_marked
    }

    /// Reads what is known of objects that will be used.
    pub(super) fn touch(&self, ids: &[ObjectId]) {
        self.queues.touch(ids);
    }

    /// Marks an object.
    pub(super) fn mark(&mut self, id: ObjectId) {
        self.queues.set_note(id, self.queues.note(id) | MARK);
    }

    /// Returns whether an object was marked since it was inserted.
    pub(super) fn is_marked(&self, id: ObjectId) -> bool {
        self.queues.note(id) & MARK != 0
    }

    pub(super) fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        let weight = self.weight(id);
        self.discount(self.queues.queue(id), weight);
        let uses = self.uses(id);
        self.queues.remove(id);
        if why == Leaving::Evicted {
            self.recall.remember(key_hash, uses, self.len());
        }
    }

    pub(super) fn hide(&mut self, id: ObjectId) {
        self.standings.stale |= 1 << self.queues.queue(id);
        self.queues.hide(id);
    }

    pub(super) fn show(&mut self, id: ObjectId) {
        self.standings.stale |= 1 << self.queues.queue(id);
        self.queues.show(id);
    }

    /// Visits the objects in the order of a ranking.
    pub(super) fn victims(
        &mut self,
        ranking: Ranking,
        learned: &Learned,
        visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>,
    ) {
        self.rank_stale(ranking, learned);
        let heads = || self.standings.heads();
        let Some(&(first, _)) = heads().max_by(|a, b| a.0.cmp(&b.0)) else {
            return;
        };
        let youngest = heads().filter_map(|(_, newest)| newest.as_ref());
        let youngest = youngest
            .filter(|newest| newest.rank <= first.rank)
            .max()
            .map(|newest| newest.id);
        if youngest.is_some_and(|id| visit(id).is_break()) {
            return;
        }
        if Some(first.id) != youngest && visit(first.id).is_break() {
            return;
        }
        let steps = self.standings.present().filter_map(|class| {
            let (head, _) = self.standings.heads[usize::from(class)]?;
            let cursor = self.queues.cursor(class);
            Some(Step { head, cursor })
        });
        self.merge(steps.collect(), ranking, learned, &mut |id| {
            if id == first.id || Some(id) == youngest {
                return ControlFlow::Continue(());
            }
            visit(id)
        });
    }

    /// Returns what the loss of an object costs, for each of its bytes.
    pub(super) fn worth(&self, id: ObjectId, ranking: Ranking, learned: &Learned) -> f64 {
        let age = self.age(id) as f64 + 1.0;
        match ranking {
            Ranking::ReuseAge => self.density(id, learned),
            Ranking::Merit => {
                let left = self.merit(id, learned) - learned.inflation.now();
                // An object that is overdue still costs its one use.
                left.max(f64::from(self.weight(id).gain) / 2.0)
            }
            Ranking::Recency => age.recip(),
            Ranking::Probation if self.is_on_probation(id) == self.is_probation_full() => {
                age.recip()
            }
            // Twice: those who stay are not beyond comparison.
            Ranking::Probation => 2.0 / age,
        }
    }

    /// Ranks the classes that have changed or, from time to time, all.
    fn rank_stale(&mut self, ranking: Ranking, learned: &Learned) {
        let is_probation_full = self.is_probation_full();
        let standings = &mut self.standings;
        if standings.due == 0
            || (standings.ranking, standings.is_probation_full) != (ranking, is_probation_full)
        {
            standings.stale |= standings.present;
            standings.due = SEARCHES;
            (standings.ranking, standings.is_probation_full) = (ranking, is_probation_full);
        }
        standings.due -= 1;
        let mut stale = std::mem::take(&mut standings.stale);
        while stale != 0 {
            let class = stale.trailing_zeros().to_le_bytes()[0];
            stale &= stale - 1;
            let oldest = self.queues.peek(&self.queues.cursor(class));
            let head = oldest.map(|id| self.ranked(id, ranking, learned));
            // In a round of requests that is longer than the cache, all have the same prospects, but
            // the oldest are the next to be asked for: of objects that are worth no more than the
            // oldest, the one that was stored last leaves.
            let newest = match ranking {
                Ranking::ReuseAge => self.queues.newest(class),
                Ranking::Recency | Ranking::Probation | Ranking::Merit => None,
            };
            let newest = newest.map(|id| self.ranked(id, ranking, learned));
            let standings = &mut self.standings;
            standings.heads[usize::from(class)] = head.map(|head| (head, newest));
            standings.present &= !(1 << class);
            standings.present |= u128::from(head.is_some()) << class;
        }
    }

    /// Returns the next object after a position.
    fn step(&self, cursor: Cursor, ranking: Ranking, learned: &Learned) -> Option<Step> {
        let id = self.queues.peek(&cursor)?;
        let head = self.ranked(id, ranking, learned);
        Some(Step { head, cursor })
    }

    fn ranked(&self, id: ObjectId, ranking: Ranking, learned: &Learned) -> Head {
        Head {
            id,
            rank: self.rank(id, ranking, learned),
            tick: self.queues.tick(id),
        }
    }

    /// Visits the objects of all classes in order.
    fn merge(
        &self,
        mut steps: BinaryHeap<Step>,
        ranking: Ranking,
        learned: &Learned,
        visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>,
    ) {
        while let Some(mut step) = steps.peek_mut() {
            if visit(step.head.id).is_break() {
                return;
            }
            let mut cursor = step.cursor;
            self.queues.next(&mut cursor);
            match self.step(cursor, ranking, learned) {
                Some(next) => *step = next,
                None => drop(PeekMut::pop(step)),
            }
        }
    }

    /// Returns what orders victims; among equals, age does.
    fn rank(&self, id: ObjectId, ranking: Ranking, learned: &Learned) -> f64 {
        match ranking {
            Ranking::Recency => 0.0,
            Ranking::Probation if self.is_on_probation(id) == self.is_probation_full() => 0.0,
            Ranking::Probation => 1.0,
            Ranking::ReuseAge => self.density(id, learned),
            Ranking::Merit => self.merit(id, learned),
        }
    }

    /// Returns the merit of an object: the inflation at its last use, and its uses times their gain.
    pub(super) fn merit(&self, id: ObjectId, learned: &Learned) -> f64 {
        let uses = f64::from(self.uses(id)) + 1.0;
        learned.inflation.at(self.queues.tick(id)) + uses * f64::from(self.weight(id).gain)
    }

    fn density(&self, id: ObjectId, learned: &Learned) -> f64 {
        learned.reuse.index(self.uses(id), self.age(id)) * f64::from(self.weight(id).gain)
    }

    fn is_on_probation(&self, id: ObjectId) -> bool {
        self.uses(id) == 0
    }

    fn is_probation_full(&self) -> bool {
        self.bytes[0] > self.bytes() / PROBATION_SHARE
    }

    fn count(&mut self, class: u8, weight: Weight) {
        self.standings.stale |= 1 << class;
        self.bytes[share_of(class)] += f64::from(weight.bytes);
    }

    fn discount(&mut self, class: u8, weight: Weight) {
        self.standings.stale |= 1 << class;
        self.bytes[share_of(class)] -= f64::from(weight.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_one_class_differ_by_two_and_those_of_large_objects_by_four() {
        let class = |bytes| Weight { bytes, gain: 0.0 }.class(0);
        let mut least = 256.0_f32;
        assert_eq!([1.0, least - 1.0].map(class), [0, 0]);
        for expected in 1..SIZES {
            let factor = if expected < 13 { 2.0 } else { 4.0 };
            let most = match expected == SIZES - 1 {
                true => f32::MAX,
                false => least * factor * 0.999_999,
            };
            assert_eq!([least, most].map(class), [expected; 2], "from {least}");
            least *= factor;
        }
    }
}
