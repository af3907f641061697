//! `Lru` and `TailFirst` against a vector of ids, with objects hidden and shown at any time.

use super::super::{
    Auto, Gdsf, Leaving, Lru, ObjectId, Parent, Policy, ReuseAge, S3Fifo, TailFirst,
};
use super::{Random, facts, victims};

/// Objects with the time of their last use, as the policies should see them.
#[derive(Default)]
struct Model {
    /// The oldest first; id, time, whether hidden.
    objects: Vec<(u32, u64, bool)>,
    now: u64,
}

impl Model {
    fn at(&self, id: u32) -> usize {
        self.objects.iter().position(|known| known.0 == id).unwrap()
    }

    fn push(&mut self, id: u32, is_hidden: bool) {
        self.now += 1;
        self.objects.push((id, self.now, is_hidden));
    }

    fn visible(&self) -> Vec<(u32, u64)> {
        let visible = self.objects.iter().filter(|known| !known.2);
        visible.map(|known| (known.0, known.1)).collect()
    }
}

/// What a program does beside inserting, using and removing.
#[derive(Clone, Copy, PartialEq)]
enum Hiding {
    Never,
    Sometimes,
}

fn run(policy: &mut dyn Policy, has_parents: bool, hiding: Hiding, seed: u64) {
    let mut random = Random(seed);
    let mut model = Model::default();
    for step in 0..4_000 {
        let ids: Vec<u32> = model.objects.iter().map(|known| known.0).collect();
        let free = (0..60).find(|id| !ids.contains(id));
        match (random.below(10), random.pick(&ids), free) {
            (0..3, parent, Some(id)) => {
                let parent = parent.filter(|_| has_parents && random.below(3) > 0);
                let told = parent.map_or(Parent::None, |id| Parent::Stored(ObjectId(id)));
                policy.insert(ObjectId(id), &facts(step, 1, told));
                match parent {
                    Some(parent) => {
                        let at = model.at(parent);
                        let time = model.objects[at].1;
                        model.objects.insert(at, (id, time, false));
                    }
                    None => model.push(id, false),
                }
            }
            (3..6, Some(id), _) => {
                let mut used = vec![id];
                used.extend((0..random.below(4)).filter_map(|_| random.pick(&ids)));
                match used[..] {
                    [id] => policy.used(ObjectId(id)),
                    _ => policy.used_all(&used.iter().copied().map(ObjectId).collect::<Vec<_>>()),
                }
                for id in used {
                    let (_, _, is_hidden) = model.objects.remove(model.at(id));
                    model.push(id, is_hidden);
                }
            }
            (6, Some(id), _) => {
                policy.remove(ObjectId(id), 0, Leaving::Evicted);
                model.objects.remove(model.at(id));
            }
            (7..10, Some(id), _) if hiding == Hiding::Sometimes => {
                let at = model.at(id);
                let hide = random.below(2) == 0;
                model.objects[at].2 = hide;
                if hide {
                    policy.hide(ObjectId(id));
                } else {
                    policy.show(ObjectId(id));
                }
            }
            _ => {}
        }
        let (expected, found) = (model.visible(), victims(policy));
        if hiding == Hiding::Never || !has_parents {
            let expected: Vec<u32> = expected.iter().map(|known| known.0).collect();
            assert_eq!(found, expected, "seed {seed}, step {step}");
        } else {
            // Objects of one time may change places while they are hidden.
            let times = found.iter().map(|&id| model.objects[model.at(id)].1);
            assert!(times.is_sorted(), "seed {seed}, step {step}");
            assert_eq!(found.len(), expected.len(), "seed {seed}, step {step}");
        }
    }
}

#[test]
fn lru_keeps_the_order_of_last_uses_whoever_is_hidden_meanwhile() {
    for seed in 0..8 {
        run(&mut Lru::new(), false, Hiding::Never, seed);
        run(&mut Lru::new(), false, Hiding::Sometimes, seed + 100);
    }
}

#[test]
fn tail_first_stores_children_behind_their_parents() {
    for seed in 0..8 {
        run(&mut TailFirst::new(), true, Hiding::Never, seed);
        run(&mut TailFirst::new(), true, Hiding::Sometimes, seed);
        run(&mut TailFirst::new(), false, Hiding::Sometimes, seed);
    }
}

#[test]
fn many_that_are_shown_late_come_in_the_order_of_their_last_uses() {
    let mut lru = Lru::new();
    for id in 0..500 {
        lru.insert(ObjectId(id), &facts(u64::from(id), 1, Parent::None));
    }
    (0..500).for_each(|id| lru.hide(ObjectId(id)));
    assert!(victims(&mut lru).is_empty());
    for id in (0..500).rev().step_by(2).chain((0..500).step_by(2)) {
        lru.show(ObjectId(id));
    }
    assert_eq!(victims(&mut lru), (0..500).collect::<Vec<_>>());
}

#[test]
fn worth_falls_with_age() {
    let mut lru = Lru::new();
    for id in 0..10 {
        lru.insert(ObjectId(id), &facts(u64::from(id), 1, Parent::None));
    }
    let worths: Vec<f64> = (0..10).map(|id| lru.worth(ObjectId(id))).collect();
    assert!(worths.is_sorted_by(|old, new| old < new), "{worths:?}");
    // The youngest is worth as many times the oldest as it is younger.
    assert_eq!((worths[0], worths[9]), (1.0, 10.0));
    (0..5).for_each(|id| lru.remove(ObjectId(id), 0, Leaving::Removed));
    assert_eq!((lru.worth(ObjectId(5)), lru.worth(ObjectId(9))), (1.0, 5.0));
}

#[test]
fn every_policy_says_what_it_loses() {
    let of = |policy: &mut dyn Policy| {
        policy.insert(ObjectId(0), &facts(0, 10, Parent::None));
        policy.insert(ObjectId(1), &facts(1, 10, Parent::None));
        (0..200).for_each(|_| policy.used(ObjectId(1)));
        [0, 1].map(|id| policy.worth(ObjectId(id)))
    };
    let all: [&mut dyn Policy; 6] = [
        &mut Lru::new(),
        &mut TailFirst::new(),
        &mut Gdsf::new(),
        &mut S3Fifo::new(),
        &mut ReuseAge::new(),
        &mut Auto::new(),
    ];
    for policy in all {
        let [unused, used] = of(policy);
        assert!(
            0.0 < unused && unused < used,
            "{policy:?}: {unused}, {used}"
        );
    }
}
