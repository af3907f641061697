//! [`Auto`]: the ranking that would have had the most hits lately.

use std::ops::ControlFlow;

use super::classes::{Classes, Learned, Ranking, Weight};
use super::sample::Sample;
use super::shadow::Shadows;
use super::{Facts, Leaving, ObjectId, Parent, Policy};

/// The rankings that compete; the first one begins, and is in use unless another one is better.
const CANDIDATES: [Ranking; 4] = [
    Ranking::Recency,
    Ranking::Probation,
    Ranking::ReuseAge,
    Ranking::Merit,
];

/// Which candidate goes by what the model has learned.
const REUSE_AGE: usize = 2;
const _: () = assert!(matches!(CANDIDATES[REUSE_AGE], Ranking::ReuseAge));

/// Requests to the sample between two looks at the scores, at least.
const PERIOD_MIN: u32 = 128;

/// What old scores count for after a period, against new ones.
const DECAY: f64 = 0.95;

/// How much better than the first ranking another one has to be, as a share of all requests: the first
/// lets neighbors in age leave, whose places are often neighbors, of which a shadow knows nothing.
const LEAD: f64 = 0.004;

/// What is added to that, by the square root of the objects: scores of few objects tell little.
const LEAD_NOISE: f64 = 0.1;

/// Stores of fewer objects are small, and [`Ranking::Probation`] is better there than its score says.
///
/// Shadows see the objects of a prompt that were stored, and not those for which there was no room. In
/// a small store these are many: a new prompt would wash all others out if it were not on probation.
const SMALL: f64 = 128.0;

/// What probation is thought to be better by in a store of one object, as a share of all requests; half
/// of it in one of two, and nothing in one that is not small, or has no prompts.
const SMALL_LEAD: f64 = 2.0;

/// Objects of one prompt that are held until their order is known.
const RUN_MAX: usize = 256;

/// Least recently used, probation for new objects, the index of [`ReuseAge`](super::ReuseAge), or uses
/// and sizes as under [`Gdsf`](super::Gdsf): whichever would have had the most hits lately.
///
/// Each ranking runs in a *shadow*, a cache without bytes that sees a sample of the keys and has the
/// same share of the capacity. A change moves no object, as all rankings order the same classes.
///
/// 24 bytes per object, four to eight for keys that have left, and the shadows: 2,048 objects in each
/// at most, however many are stored.
#[derive(Debug)]
pub struct Auto {
    classes: Classes,
    learned: Learned,
    sample: Sample,
    shadows: Shadows<{ CANDIDATES.len() }>,
    scores: [f64; CANDIDATES.len()],
    /// The ranking in use.
    chosen: usize,
    /// What could have been scored.
    score_max: f64,
    requests: u32,
    /// Whether any object has come behind another.
    has_prompts: bool,
    /// Bytes that the store had when it was fullest lately.
    capacity: f64,
    run: Run,
}

/// Objects of the sample that were stored one after the other for the same prompt.
#[derive(Debug, Default)]
struct Run {
    objects: Vec<(u64, Weight)>,
    root_hash: u64,
    depth: u32,
}

impl Auto {
    /// Makes a policy without objects.
    #[must_use]
    pub fn new() -> Self {
        Self {
            classes: Classes::new(),
            learned: Learned::new(),
            sample: Sample::new(),
            shadows: Shadows::new(CANDIDATES),
            scores: [0.0; CANDIDATES.len()],
            chosen: 0,
            score_max: 0.0,
            requests: 0,
            has_prompts: false,
            capacity: 0.0,
            run: Run::default(),
        }
    }

    /// Returns how many objects of the sample are stored.
    #[cfg(test)]
    pub(super) fn sampled(&self) -> usize {
        self.sample.len()
    }

    fn ranking(&self) -> Ranking {
        CANDIDATES[self.chosen]
    }

    /// Ends a run: a prompt's last object is requested first, as that of a prompt that is found.
    fn finish_run(&mut self) {
        let mut objects = std::mem::take(&mut self.run.objects);
        while let Some((hash, weight)) = objects.pop() {
            self.request(hash, weight);
        }
        self.run.objects = objects;
    }

    #[inline]
    fn count_use(&mut self, id: ObjectId) {
        // Few are marked, and of those all that are in the sample.
        if self.classes.used(id)
            && let Some(hash) = self.sample.hash(id)
        {
            self.request(hash, self.classes.weight(id));
        }
    }

    /// Lets the shadows and the model see a request for a key of the sample.
    fn request(&mut self, hash: u64, weight: Weight) {
        let now = self.classes.now();
        let capacity = self.capacity / self.sample.keys_per_member();
        let value = f64::from(weight.gain) * f64::from(weight.bytes);
        self.score_max += value;
        let seen = self
            .shadows
            .access(hash, weight, now, capacity, &mut self.learned);
        for (score, (had_it, _)) in self.scores.iter_mut().zip(seen) {
            if had_it {
                *score += value;
            }
        }
        // The model has to know the classes that its own ranking brings about, whichever is in use.
        let (_, uses) = seen[REUSE_AGE];
        self.learned
            .reuse
            .observe(hash, uses, now, self.sample.len());
        self.requests += 1;
        if self.requests as usize > (self.sample.len() / 4).max(PERIOD_MIN as usize) {
            self.requests = 0;
            self.choose();
        }
    }

    fn choose(&mut self) {
        let objects = self.classes.len().max(1) as f64;
        let first = LEAD + LEAD_NOISE / objects.sqrt();
        let small = (SMALL_LEAD / objects - SMALL_LEAD / SMALL).max(0.0);
        let standing = |of: usize| {
            let share = match CANDIDATES[of] {
                Ranking::Recency => first,
                Ranking::Probation if self.has_prompts => small,
                Ranking::Probation | Ranking::ReuseAge | Ranking::Merit => 0.0,
            };
            self.scores[of] + share * self.score_max
        };
        let candidates = (0..CANDIDATES.len()).rev();
        let best = candidates.max_by(|&a, &b| standing(a).total_cmp(&standing(b)));
        self.chosen = best.unwrap_or_default();
        self.score_max *= DECAY;
        self.scores.iter_mut().for_each(|score| *score *= DECAY);
    }

    fn thin_out(&mut self) {
        if self.sample.thin_out() {
            self.shadows.retain(|hash| self.sample.has(hash));
        }
    }
}

impl Default for Auto {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for Auto {
    fn insert(&mut self, id: ObjectId, facts: &Facts) {
        let weight = self.classes.weigh(facts);
        self.classes
            .insert(id, facts.key_hash, weight, facts.parent);
        self.capacity = self.capacity.max(self.classes.bytes());
        self.has_prompts |= facts.parent != Parent::None;
        let run = &self.run;
        let continues = facts.parent != Parent::None
            && (facts.root_hash, facts.depth) == (run.root_hash, run.depth + 1);
        if !continues || run.objects.len() == RUN_MAX {
            self.finish_run();
        }
        (self.run.root_hash, self.run.depth) = (facts.root_hash, facts.depth);
        if self.sample.add(id, facts.key_hash) {
            self.classes.mark(id);
            self.run.objects.push((facts.key_hash, weight));
            self.thin_out();
        }
    }

    fn used(&mut self, id: ObjectId) {
        self.finish_run();
        self.count_use(id);
    }

    fn used_all(&mut self, ids: &[ObjectId]) {
        self.finish_run();
        self.classes.touch(ids);
        ids.iter().for_each(|id| self.count_use(*id));
    }

    fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        if why == Leaving::Evicted {
            // The store was full; it may have become smaller since it was full last.
            self.capacity = self.classes.bytes();
        }
        if self.classes.is_marked(id) {
            self.sample.remove(id);
        }
        self.classes.remove(id, key_hash, why);
    }

    fn hide(&mut self, id: ObjectId) {
        self.classes.hide(id);
    }

    fn show(&mut self, id: ObjectId) {
        self.classes.show(id);
    }

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        let ranking = self.ranking();
        self.classes.victims(ranking, &self.learned, visit);
    }

    fn worth(&self, id: ObjectId) -> f64 {
        self.classes.worth(id, self.ranking(), &self.learned)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::mix;
    use super::*;

    /// Returns what is in use after a look at these scores, of as much as could have been scored,
    /// where so many objects are stored, of one prompt.
    fn chosen(objects: u32, scores: [f64; CANDIDATES.len()], score_max: f64) -> Ranking {
        chosen_behind(Parent::Gone(0), objects, scores, score_max)
    }

    /// As [`chosen`], with objects behind another.
    fn chosen_behind(
        parent: Parent,
        objects: u32,
        scores: [f64; CANDIDATES.len()],
        score_max: f64,
    ) -> Ranking {
        let mut auto = Auto::new();
        for id in 0..objects {
            let facts = Facts {
                bytes: 1,
                key_hash: mix(u64::from(id)),
                parent,
                ..Facts::default()
            };
            auto.insert(ObjectId(id), &facts);
        }
        (auto.scores, auto.score_max) = (scores, score_max);
        auto.choose();
        assert!((auto.score_max / score_max - DECAY).abs() < 1e-9);
        for (after, before) in auto.scores.iter().zip(scores) {
            assert!((after / before - DECAY).abs() < 1e-9);
        }
        auto.ranking()
    }

    #[test]
    fn the_best_is_in_use_if_it_is_clearly_better_than_the_first() {
        // With so many objects: 0.004 and a thousandth.
        let many = |scores| chosen(10_000, scores, 1.0);
        assert_eq!(many([0.5, 0.504, 0.504, 0.504]), Ranking::Recency);
        assert_eq!(many([0.5, 0.506, 0.506, 0.506]), Ranking::Probation);
        assert_eq!(many([0.5, 0.506, 0.507, 0.506]), Ranking::ReuseAge);
        assert_eq!(many([0.5, 0.506, 0.507, 0.508]), Ranking::Merit);
        // As a share of all that could have been scored.
        assert_eq!(
            chosen(10_000, [1.0, 1.0, 1.009, 1.0], 2.0),
            Ranking::Recency
        );
        assert_eq!(
            chosen(10_000, [1.0, 1.0, 1.011, 1.0], 2.0),
            Ranking::ReuseAge
        );
        // With fewer objects: 0.004 and a hundredth.
        assert_eq!(chosen(400, [0.5, 0.5, 0.508, 0.5], 1.0), Ranking::Recency);
        assert_eq!(chosen(400, [0.5, 0.5, 0.510, 0.5], 1.0), Ranking::ReuseAge);
    }

    #[test]
    fn in_a_small_store_new_objects_are_on_probation() {
        // With 16 objects: two in 16 less two in 128, against 0.004 and a tenth by four.
        let few = |scores| chosen(16, scores, 1.0);
        assert_eq!(few([0.5, 0.421, 0.5, 0.5]), Ranking::Probation);
        assert_eq!(few([0.5, 0.419, 0.5, 0.5]), Ranking::Recency);
        assert_eq!(chosen(128, [0.5, 0.5, 0.5, 0.5], 1.0), Ranking::Recency);
        // Objects without prompts are all seen.
        let alone = |scores| chosen_behind(Parent::None, 16, scores, 1.0);
        assert_eq!(alone([0.5, 0.52, 0.5, 0.5]), Ranking::Recency);
        assert_eq!(alone([0.5, 0.53, 0.5, 0.5]), Ranking::Probation);
    }
}
