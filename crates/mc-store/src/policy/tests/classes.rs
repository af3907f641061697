//! `Classes` against a vector that is searched anew for every victim, and what they remember.

use std::ops::ControlFlow;

use super::super::classes::{Classes, Learned, Ranking, Weight};
use super::super::reuse::class_of;
use super::super::sample::Sample;
use super::super::{Facts, Leaving, ObjectId, Parent};
use super::{Random, mix};

/// An object as the classes should see it.
#[derive(Clone, Copy, Debug)]
struct Plain {
    id: u32,
    weight: Weight,
    uses: u8,
    /// Insertions and uses up to its last use.
    tick: u64,
    is_hidden: bool,
    is_marked: bool,
}

impl Plain {
    /// Objects of equal class keep to the order of their ages: those of about as many uses whose sizes
    /// have the same power of two, or in pairs of two from 2^20 on.
    fn class(&self) -> (u8, u32) {
        let power = self.weight.bytes.log2().floor();
        let size = match power < 20.0 {
            true => power,
            false => 20.0 + ((power - 20.0) / 2.0).floor(),
        };
        (class_of(self.uses), size.to_bits())
    }
}

/// A cache and the vector that says what it should do.
struct Pair {
    classes: Classes,
    plain: Vec<Plain>,
    now: u64,
}

impl Pair {
    fn new() -> Self {
        Self {
            classes: Classes::new(),
            plain: Vec::new(),
            now: 0,
        }
    }

    fn insert(&mut self, id: u32, weight: Weight) {
        self.now += 1;
        let key_hash = mix(self.now);
        self.classes
            .insert(ObjectId(id), key_hash, weight, Parent::None);
        self.plain.push(Plain {
            id,
            weight,
            uses: 0,
            tick: self.now,
            is_hidden: false,
            is_marked: false,
        });
    }

    fn use_at(&mut self, at: usize) {
        self.now += 1;
        let object = &mut self.plain[at];
        (object.uses, object.tick) = ((object.uses + 1).min(15), self.now);
        self.classes.used(ObjectId(object.id));
    }

    fn remove_at(&mut self, at: usize) {
        let object = self.plain.swap_remove(at);
        self.classes
            .remove(ObjectId(object.id), 0, Leaving::Removed);
    }

    fn set_hidden_at(&mut self, at: usize, is_hidden: bool) {
        let object = &mut self.plain[at];
        object.is_hidden = is_hidden;
        match is_hidden {
            true => self.classes.hide(ObjectId(object.id)),
            false => self.classes.show(ObjectId(object.id)),
        }
    }

    fn mark_at(&mut self, at: usize) {
        self.plain[at].is_marked = true;
        self.classes.mark(ObjectId(self.plain[at].id));
    }

    /// Does one thing at random, with objects of 64 KiB to 16 MiB.
    fn step(&mut self, random: &mut Random) {
        let at = usize::try_from(random.below(self.plain.len().max(1) as u64)).unwrap();
        let free = (0..40).find(|id| self.plain.iter().all(|object| object.id != *id));
        match (random.below(10), free) {
            (0..3, Some(id)) => {
                let size = 1_u32 << (16 + random.below(8));
                let gain = (1 + random.below(9)) as f32;
                let bytes = (size + u32::try_from(random.below(u64::from(size))).unwrap()) as f32;
                self.insert(id, Weight { bytes, gain });
            }
            _ if self.plain.is_empty() => {}
            (0..6, _) => self.use_at(at),
            (6, _) => self.remove_at(at),
            (7, _) => self.mark_at(at),
            _ => self.set_hidden_at(at, random.below(2) == 0),
        }
    }

    /// Shows what is hidden, at its latest use.
    fn show_all(&mut self) {
        for at in 0..self.plain.len() {
            if self.plain[at].is_hidden {
                self.set_hidden_at(at, false);
                self.use_at(at);
            }
        }
    }

    /// Objects that were never used, and whether they have more than a tenth of the bytes.
    fn is_probation_full(&self) -> bool {
        let bytes = |of: &mut dyn Iterator<Item = &Plain>| {
            of.map(|object| f64::from(object.weight.bytes)).sum::<f64>()
        };
        let all = bytes(&mut self.plain.iter());
        bytes(&mut self.plain.iter().filter(|object| object.uses == 0)) > all / 10.0
    }

    fn victims(&mut self, ranking: Ranking, learned: &Learned) -> Vec<u32> {
        let mut found = Vec::new();
        self.classes.victims(ranking, learned, &mut |id| {
            found.push(id.0);
            ControlFlow::Continue(())
        });
        found
    }
}

/// Compares all victims after each step of a program; returns whether new objects were ever few, and
/// ever many.
fn compare(ranking: Ranking, seed: u64) -> [bool; 2] {
    let (mut random, learned) = (Random(seed), Learned::new());
    let mut pair = Pair::new();
    let mut seen = [false; 2];
    for step in 0..3_000 {
        pair.step(&mut random);
        let is_full = pair.is_probation_full();
        seen[usize::from(is_full)] = true;
        let leaves_first = |object: &Plain| match ranking {
            Ranking::Probation => (object.uses == 0) == is_full,
            _ => true,
        };
        let mut visible: Vec<_> = pair.plain.iter().filter(|one| !one.is_hidden).collect();
        visible.sort_by_key(|object| (!leaves_first(object), object.tick));
        let expected: Vec<u32> = visible.iter().map(|object| object.id).collect();
        for object in &pair.plain {
            let id = ObjectId(object.id);
            assert_eq!(pair.classes.is_marked(id), object.is_marked);
            assert_eq!(pair.classes.uses(id), object.uses);
            let age = (pair.now - object.tick + 1) as f64;
            let times = if leaves_first(object) { 1.0 } else { 2.0 };
            let worth = pair.classes.worth(id, ranking, &learned);
            assert!((worth * age / times - 1.0).abs() < 1e-9, "step {step}");
        }
        let found = pair.victims(ranking, &learned);
        assert_eq!(found, expected, "seed {seed}, step {step}");
    }
    seen
}

#[test]
fn by_recency_the_oldest_leave_first_whatever_their_class() {
    for seed in 0..3 {
        compare(Ranking::Recency, seed);
    }
}

#[test]
fn on_probation_new_objects_leave_first_while_they_have_more_than_a_tenth() {
    let mut seen = [false; 2];
    for seed in 0..6 {
        let both = compare(Ranking::Probation, seed);
        seen = [seen[0] || both[0], seen[1] || both[1]];
    }
    assert_eq!(seen, [true; 2]);
}

/// Returns the objects of each class, the oldest first.
fn by_class(plain: &[Plain]) -> Vec<Vec<Plain>> {
    let mut classes: Vec<Vec<Plain>> = Vec::new();
    let mut sorted = plain.to_vec();
    sorted.sort_by_key(|object| object.tick);
    for object in sorted {
        match classes
            .iter_mut()
            .find(|of| of[0].class() == object.class())
        {
            Some(of) => of.push(object),
            None => classes.push(vec![object]),
        }
    }
    classes
}

/// Returns the object that a ranking lets go first.
fn least(of: impl Iterator<Item = Plain>, rank: impl Fn(&Plain) -> f64) -> Option<Plain> {
    of.min_by(|a, b| {
        let by_age = a.tick.cmp(&b.tick);
        rank(a).total_cmp(&rank(b)).then(by_age)
    })
}

/// The order by the model: of each class the oldest remaining one competes by its rank.
fn by_rank(plain: &[Plain], rank: impl Fn(&Plain) -> f64) -> Vec<u32> {
    let mut classes = by_class(plain);
    let mut order = Vec::new();
    while let Some(next) = least(classes.iter().filter_map(|of| of.first().copied()), &rank) {
        order.push(next.id);
        for of in &mut classes {
            of.retain(|object| object.id != next.id);
        }
    }
    order
}

/// As by rank, but the first of all is the one stored last in a class, if that is worth no more than the
/// first by rank.
fn by_reuse(plain: &[Plain], density: impl Fn(&Plain) -> f64) -> Vec<u32> {
    let classes = by_class(plain);
    let Some(first) = least(classes.iter().map(|of| of[0]), &density) else {
        return Vec::new();
    };
    let newest = classes.iter().map(|of| of[of.len() - 1]);
    let youngest = least(
        newest.filter(|one| density(one) <= density(&first)),
        &density,
    );
    let youngest = youngest.map(|object| object.id);
    let others = by_rank(plain, density);
    let others = others.into_iter().filter(|id| Some(*id) != youngest);
    youngest.into_iter().chain(others).collect()
}

#[test]
fn by_reuse_those_leave_first_that_are_worth_least_for_their_bytes() {
    for seed in 0..4 {
        let mut random = Random(seed);
        let mut learned = Learned::new();
        for now in 1..4_000_u64 {
            let key = random.below(1 + now % 60);
            learned
                .reuse
                .observe(key, u8::try_from(key % 10).unwrap(), now, 30);
        }
        let mut pair = Pair::new();
        for step in 0..400 {
            pair.step(&mut random);
            pair.show_all();
            // So many searches later, none of them goes by a rank of before.
            (0..20).for_each(|_| drop(pair.victims(Ranking::ReuseAge, &learned)));
            let now = pair.now;
            let density = |object: &Plain| {
                learned.reuse.index(object.uses, now - object.tick) * f64::from(object.weight.gain)
            };
            for object in &pair.plain {
                let worth = pair
                    .classes
                    .worth(ObjectId(object.id), Ranking::ReuseAge, &learned);
                assert!((worth - density(object)).abs() < 1e-12, "step {step}");
            }
            let expected = by_reuse(&pair.plain, density);
            let found = pair.victims(Ranking::ReuseAge, &learned);
            assert_eq!(found, expected, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn by_merit_uses_and_sizes_count_until_they_have_faded() {
    for seed in 0..4 {
        let (mut random, mut learned) = (Random(seed), Learned::new());
        let mut pair = Pair::new();
        for step in 0..400 {
            pair.step(&mut random);
            pair.show_all();
            if random.below(4) == 0 {
                let merit = learned.inflation.now() + random.below(100) as f64 / 1e3;
                learned.inflation.raise(pair.now, 1, merit);
            }
            // So many searches later, none of them goes by a rank of before.
            (0..20).for_each(|_| drop(pair.victims(Ranking::Merit, &learned)));
            let inflation = &learned.inflation;
            let merit = |object: &Plain| {
                let uses = f64::from(object.uses + 1) * f64::from(object.weight.gain);
                inflation.at(object.tick) + uses
            };
            for object in &pair.plain {
                let left = merit(object) - inflation.now();
                let least = f64::from(object.weight.gain) / 2.0;
                let id = ObjectId(object.id);
                let worth = pair.classes.worth(id, Ranking::Merit, &learned);
                assert!((worth - left.max(least)).abs() < 1e-12, "step {step}");
            }
            let expected = by_rank(&pair.plain, merit);
            let found = pair.victims(Ranking::Merit, &learned);
            assert_eq!(found, expected, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn an_object_that_comes_back_has_one_more_use_and_fewer_if_it_had_many() {
    let weight = Weight {
        bytes: 10.0,
        gain: 1.0,
    };
    for uses in 0..=15_u8 {
        let mut classes = Classes::new();
        let key_hash = mix(7);
        classes.insert(ObjectId(0), key_hash, weight, Parent::None);
        (0..uses).for_each(|_| assert!(!classes.used(ObjectId(0)), "nobody marked it"));
        classes.remove(ObjectId(0), key_hash, Leaving::Evicted);
        classes.insert(ObjectId(1), key_hash, weight, Parent::None);
        let expected = match uses {
            0..4 => uses + 1,
            _ => uses - uses / 4,
        };
        assert_eq!(classes.uses(ObjectId(1)), expected, "{uses} uses");
    }
}

#[test]
fn of_many_objects_many_are_remembered_when_they_leave() {
    const OBJECTS: u32 = 5_000;
    let weight = Weight {
        bytes: 10.0,
        gain: 1.0,
    };
    let key_hash = |id: u32| mix(u64::from(id));
    let mut classes = Classes::new();
    for id in 0..OBJECTS {
        classes.insert(ObjectId(id), key_hash(id), weight, Parent::None);
        classes.used(ObjectId(id));
    }
    assert_eq!(classes.len(), OBJECTS as usize);
    for id in 0..1_000 {
        classes.remove(ObjectId(id), key_hash(id), Leaving::Evicted);
    }
    for id in 0..1_000 {
        classes.insert(ObjectId(id), key_hash(id), weight, Parent::None);
    }
    let known = (0..1_000).filter(|&id| classes.uses(ObjectId(id)) == 2);
    assert!(known.count() > 900);
}

#[test]
fn a_sample_that_is_thinned_out_has_the_keys_that_it_says_it_has() {
    let mut sample = Sample::new();
    let key_hash = |id: u32| mix(u64::from(id));
    let mut thinned = 0;
    for id in 0..10_000 {
        sample.add(ObjectId(id), key_hash(id));
        thinned += u32::from(sample.thin_out());
    }
    assert!(thinned >= 2);
    assert!((sample.keys_per_member() - f64::from(1 << thinned)).abs() < 1e-9);
    for id in 0..10_000 {
        let member = sample.has(key_hash(id)).then(|| key_hash(id));
        assert_eq!(sample.hash(ObjectId(id)), member);
    }
    // About as many as should be.
    let expected = 10_000 >> thinned;
    assert!(
        (expected / 2..expected * 2).contains(&sample.len()),
        "{}",
        sample.len()
    );
}

#[test]
fn one_that_was_removed_comes_back_as_a_new_one() {
    let weight = Weight {
        bytes: 10.0,
        gain: 1.0,
    };
    let mut classes = Classes::new();
    classes.insert(ObjectId(0), mix(7), weight, Parent::None);
    classes.used(ObjectId(0));
    classes.remove(ObjectId(0), mix(7), Leaving::Removed);
    classes.insert(ObjectId(0), mix(7), weight, Parent::None);
    assert_eq!(classes.uses(ObjectId(0)), 0);
}

#[test]
fn a_small_end_of_a_prompt_is_worth_no_more_than_what_comes_before_it() {
    let mut classes = Classes::new();
    let tell = |bytes, cost, parent| Facts {
        cost,
        ..super::facts(bytes, bytes, parent)
    };
    let first = classes.weigh(&tell(100, 0.0, Parent::None));
    classes.insert(ObjectId(0), mix(100), first, Parent::None);
    let stored = Parent::Stored(ObjectId(0));
    let gain = |told: &Facts| classes.weigh(told).gain;
    assert!((gain(&tell(10, 0.0, stored)) - first.gain).abs() < 1e-9);
    assert!(gain(&tell(10, 0.0, Parent::None)) > 5.0 * first.gain);
    assert!(gain(&tell(1_000, 0.0, stored)) < first.gain);
    // Where somebody has told what it costs, that counts.
    assert!(gain(&tell(10, 5.0, stored)) > 5.0 * first.gain);
}
