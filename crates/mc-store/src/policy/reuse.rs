//! [`Reuse`]: when objects come back, learned from a sample of them.
//!
//! Objects are told apart by how often they were used, and followed whether or not they are stored.
//! For each class and age the model knows how many got so old, and how many of those were used then.
//! What is worth keeping is then ranked by an index after Gittins: of an object of some age, the most
//! uses per time that can be had by keeping it for some while from now on. LHD (Beckmann et al., NSDI
//! 2018) ranks by a like estimate.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

/// Classes of objects: those of no use, of one, of two, of up to four, of up to eight, and others.
pub(super) const CLASSES: u8 = 6;

/// Ages between one power of two and the next.
const STEPS: usize = 4;

/// Ages that are told apart; the last one has no end.
const AGES: usize = 30 * STEPS;

/// Uses that every age is supposed to have seen, so that nothing is ruled out before it was observed.
const PRIOR_USES: f64 = 0.02;

/// Objects that every age is supposed to have seen.
const PRIOR_OBJECTS: f64 = 0.1;

/// What old observations count for after an update of the index, against new ones.
const DECAY: f64 = 0.8;

/// Observations between two updates of the index, at least; the first updates come sooner.
const PERIOD_MIN: usize = 256;

/// Observations before the first update.
const PERIOD_FIRST: usize = 32;

/// For each object of the sample that is stored, how many keys are followed.
const FOLLOWED_PER_STORED: usize = 5;

/// Keys that are followed at least.
const FOLLOWED_MIN: usize = 256;

/// How soon objects are used again, by class and age in ticks.
#[derive(Debug)]
pub(super) struct Reuse {
    classes: [Class; CLASSES as usize],
    /// The keys of the sample: class and tick of the last use.
    followed: HashMap<u64, (u8, u64), FixedState>,
    /// The uses of those by age; one that was used again has another tick in the map.
    order: VecDeque<(u64, u64)>,
    /// Observations until the index is updated.
    due: usize,
    /// Observations between the last two updates.
    period: usize,
}

#[derive(Debug)]
struct Class {
    /// Objects that were used at an age.
    used: [f64; AGES],
    /// Objects that were no longer followed at an age.
    lost: [f64; AGES],
    /// Uses per tick; falls with age.
    index: [f64; AGES],
}

impl Reuse {
    pub(super) fn new() -> Self {
        let class = |_| Class {
            used: [0.0; AGES],
            lost: [0.0; AGES],
            index: [0.0; AGES],
        };
        let mut reuse = Self {
            classes: std::array::from_fn(class),
            followed: HashMap::default(),
            order: VecDeque::new(),
            due: PERIOD_FIRST,
            period: PERIOD_FIRST,
        };
        reuse.update();
        reuse
    }

    /// Notes that a key of the sample, of which `stored` are stored, was asked for, and that its object
    /// has so many uses since.
    pub(super) fn observe(&mut self, hash: u64, uses: u8, now: u64, stored: usize) {
        if let Some((class, then)) = self.followed.insert(hash, (class_of(uses), now)) {
            self.classes[usize::from(class)].used[age_step(now - then)] += 1.0;
        }
        self.order.push_back((hash, now));
        let len_max = (stored * FOLLOWED_PER_STORED).max(FOLLOWED_MIN);
        while self.order.len() > len_max {
            self.give_up_oldest(now);
        }
        self.due -= 1;
        if self.due == 0 {
            self.update();
            let period = (stored / 2).max(PERIOD_MIN);
            if self.period >= period {
                self.forget();
            }
            self.period = period.min(2 * self.period);
            self.due = self.period;
        }
    }

    /// Returns the uses per tick that an object of some uses and age is kept for.
    pub(super) fn index(&self, uses: u8, age: u64) -> f64 {
        let index = &self.classes[usize::from(class_of(uses))].index;
        // From what the step before has to what this one has, so that nothing is given up before the
        // step in which it may come back has begun.
        let step = age_step(age);
        let (before, here) = (index[step.saturating_sub(1)], index[step]);
        let way = (age as f64 - age_of(step)) / (age_of(step + 1) - age_of(step));
        before + (here - before) * way.clamp(0.0, 1.0)
    }

    fn give_up_oldest(&mut self, now: u64) {
        let Some((hash, then)) = self.order.pop_front() else {
            return;
        };
        if let Some(&(class, last)) = self.followed.get(&hash)
            && last == then
        {
            self.followed.remove(&hash);
            self.classes[usize::from(class)].lost[age_step(now - then)] += 1.0;
        }
    }

    fn update(&mut self) {
        self.classes.iter_mut().for_each(Class::update);
    }

    fn forget(&mut self) {
        for class in &mut self.classes {
            let counts = class.used.iter_mut().chain(&mut class.lost);
            counts.for_each(|count| *count *= DECAY);
        }
    }
}

impl Class {
    /// Computes the index: for each age, the best ratio of uses to time over all times to wait.
    fn update(&mut self) {
        let mut older = 0.0;
        // For each age: uses, and ticks that objects spend in it.
        let mut spans = [(0.0, 0.0); AGES];
        for step in (0..AGES).rev() {
            let ended = self.used[step] + self.lost[step];
            let width = age_of(step + 1) - age_of(step);
            let present = older + ended / 2.0;
            spans[step] = (
                self.used[step] + PRIOR_USES,
                (present + PRIOR_OBJECTS) * width,
            );
            older += ended;
        }
        // The best stretch from an age on ends before one that is worse than it. Stretches that follow
        // each other are merged as long as the later one is better, as in isotonic regression.
        let mut stretches: Vec<(f64, f64)> = Vec::with_capacity(AGES);
        for step in (0..AGES).rev() {
            let (mut uses, mut ticks) = spans[step];
            while let Some(&(more_uses, more_ticks)) = stretches.last()
                && more_uses * ticks > uses * more_ticks
            {
                (uses, ticks) = (uses + more_uses, ticks + more_ticks);
                stretches.pop();
            }
            stretches.push((uses, ticks));
            self.index[step] = uses / ticks;
        }
        for step in 1..AGES {
            self.index[step] = self.index[step].min(self.index[step - 1]);
        }
    }
}

/// Returns the class of objects of some uses.
pub(super) fn class_of(uses: u8) -> u8 {
    match uses {
        0..=2 => uses,
        3..=4 => 3,
        5..=8 => 4,
        _ => CLASSES - 1,
    }
}

/// Returns the step that an age belongs to.
fn age_step(age: u64) -> usize {
    let age = age.max(1);
    let octave = age.ilog2() as usize;
    // The two bits below the highest one.
    let within = if octave >= 2 {
        age >> (octave - 2) & 3
    } else {
        age << (2 - octave) & 3
    };
    let within = usize::from(within.to_le_bytes()[0]);
    (octave * STEPS + within).min(AGES - 1)
}

/// Returns the youngest age of a step.
fn age_of(step: usize) -> f64 {
    let (octave, within) = (step / STEPS, step % STEPS);
    (1_u64 << octave) as f64 * (1.0 + within as f64 / STEPS as f64)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Random;
    use super::*;

    #[test]
    fn steps_cut_the_ages_in_order() {
        for age in 1..10_000_u64 {
            let step = age_step(age);
            let last = age_of(step + 1).max(age_of(step) + 1.0);
            assert!(
                (age_of(step)..last).contains(&(age as f64)) || age < 4,
                "{age}"
            );
        }
        assert_eq!([1, 2, 3].map(age_step), [0, 4, 6]);
        assert_eq!(age_step(u64::MAX), AGES - 1);
    }

    /// The index by its definition: all times to wait are tried.
    #[test]
    fn the_index_is_the_best_ratio_over_all_times_to_wait() {
        let mut random = Random(5);
        let mut class = Class {
            used: [0.0; AGES],
            lost: [0.0; AGES],
            index: [0.0; AGES],
        };
        for step in 0..AGES {
            class.used[step] = random.below(100) as f64;
            class.lost[step] = random.below(100) as f64;
        }
        class.update();
        let mut least = f64::INFINITY;
        for from in 0..AGES {
            let mut best = 0.0_f64;
            let (mut uses, mut ticks) = (0.0, 0.0);
            for to in from..AGES {
                let later = (to + 1..AGES).map(|step| class.used[step] + class.lost[step]);
                let present = later.sum::<f64>() + (class.used[to] + class.lost[to]) / 2.0;
                uses += class.used[to] + PRIOR_USES;
                ticks += (present + PRIOR_OBJECTS) * (age_of(to + 1) - age_of(to));
                best = best.max(uses / ticks);
            }
            least = least.min(best);
            assert!((class.index[from] / least - 1.0).abs() < 1e-9, "{from}");
        }
    }

    #[test]
    fn what_comes_back_is_worth_more_until_it_is_overdue() {
        let mut reuse = Reuse::new();
        // Keys 0 to 9 come back every 20 ticks, others never.
        for now in 1..20_000_u64 {
            let hash = if now % 2 == 0 {
                now / 2 % 10
            } else {
                now + 100
            };
            reuse.observe(hash, if now % 2 == 0 { 3 } else { 0 }, now, 50);
        }
        let (new, known) = (reuse.index(0, 10), reuse.index(3, 10));
        assert!(known > 5.0 * new, "{known} against {new}");
        assert!(known > 3.0 * reuse.index(3, 100));
    }

    #[test]
    fn five_keys_are_followed_for_each_that_is_stored_and_256_at_least() {
        for (stored, followed) in [(0, 256), (51, 256), (52, 260), (100, 500)] {
            let mut reuse = Reuse::new();
            for now in 1..=followed {
                reuse.observe(now, 0, now, stored);
            }
            let keys = |reuse: &Reuse| reuse.followed.len() as u64;
            assert_eq!(keys(&reuse), followed, "{stored} are stored");
            reuse.observe(followed + 1, 0, followed + 1, stored);
            assert_eq!(keys(&reuse), followed);
            assert!(!reuse.followed.contains_key(&1), "the oldest is given up");
        }
    }

    #[test]
    fn objects_are_told_apart_by_their_uses() {
        let classes = (0..=10).map(class_of).collect::<Vec<_>>();
        assert_eq!(classes, [0, 1, 2, 3, 3, 4, 4, 4, 4, 5, 5]);
        assert_eq!(class_of(u8::MAX), CLASSES - 1);
    }

    #[test]
    fn within_a_step_the_index_changes_in_a_straight_line() {
        let mut reuse = Reuse::new();
        for step in 0..AGES {
            reuse.classes[0].index[step] = 1_000.0 / (step + 1) as f64;
        }
        let index = reuse.classes[0].index;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "ages of these steps are whole numbers"
        )]
        let age_of = |step: usize| age_of(step) as u64;
        // From 8 ticks on, the middle of a step is a whole number, too.
        for step in 3 * STEPS..60 {
            let (from, to) = (age_of(step), age_of(step + 1));
            let check = |age: u64, expected: f64| {
                let found = reuse.index(0, age);
                assert!((found / expected - 1.0).abs() < 1e-9, "{found} at {age}");
            };
            check(from, index[step - 1]);
            check(
                from + (to - from) / 2,
                f64::midpoint(index[step - 1], index[step]),
            );
        }
        assert!((reuse.index(0, 0) - index[0]).abs() < 1e-9);
        assert!((reuse.index(0, u64::MAX) - index[AGES - 1]).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_longer_so_is_forgotten() {
        let mut reuse = Reuse::new();
        for now in 1..20_000_u64 {
            reuse.observe(now % 20, 3, now, 50);
        }
        let before = reuse.index(3, 10);
        for now in 20_000..60_000_u64 {
            reuse.observe(now, 3, now, 50);
        }
        let after = reuse.index(3, 10);
        assert!(after < before / 20.0, "{after} and {before} before");
    }
}
