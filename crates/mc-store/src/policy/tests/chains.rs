//! `Chained` against a map from keys to parents: who is an orphan, who comes before whom.

use std::{collections::HashMap, ops::ControlFlow};

use super::super::{
    Auto, Chained, Gdsf, Leaving, Lru, ObjectId, Parent, Policy, ReuseAge, S3Fifo, TailFirst,
};
use super::{Random, facts, mix, victims};

#[derive(Clone, Copy, Debug)]
struct Known {
    key: u64,
    parent: Option<u64>,
    is_hidden: bool,
}

#[derive(Default)]
struct Model {
    objects: HashMap<u32, Known>,
}

impl Model {
    fn id(&self, key: u64) -> Option<u32> {
        let mut known = self.objects.iter();
        known.find(|(_, known)| known.key == key).map(|(id, _)| *id)
    }

    fn is_orphan(&self, id: u32) -> bool {
        let parent = self.objects[&id].parent;
        parent.is_some_and(|parent| self.id(parent).is_none())
    }

    /// Returns whether something before an object has gone.
    fn is_cut_off(&self, id: u32) -> bool {
        let mut at = id;
        loop {
            match self.objects[&at].parent {
                None => return false,
                Some(parent) => match self.id(parent) {
                    None => return true,
                    Some(id) => at = id,
                },
            }
        }
    }

    #[track_caller]
    fn check(&self, policy: &mut dyn Policy, step: u64) {
        let order = victims(policy);
        let mut visible: Vec<u32> = self.objects.keys().copied().collect();
        visible.retain(|id| !self.objects[id].is_hidden);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        visible.sort_unstable();
        assert_eq!(sorted, visible, "step {step}: each visible object once");
        let at = |id: u32| order.iter().position(|known| *known == id);
        let orphans = order.iter().filter(|id| self.is_orphan(**id));
        let last_orphan = orphans.filter_map(|id| at(*id)).max();
        for (place, &id) in order.iter().enumerate() {
            if !self.is_cut_off(id) {
                assert!(last_orphan.is_none_or(|last| last < place), "step {step}");
            }
            let parent = self.objects[&id].parent.and_then(|parent| self.id(parent));
            if let Some(parent) = parent.and_then(at) {
                assert!(parent > place, "step {step}: {id} comes before its parent");
            }
            let worth = policy.worth(ObjectId(id));
            assert_eq!(worth == 0.0, self.is_orphan(id), "step {step}: {worth}");
        }
        self.check_beside(policy, &order, step);
    }

    /// Checks that who comes before one that is spared is passed over, and nobody else.
    #[track_caller]
    fn check_beside(&self, policy: &mut dyn Policy, order: &[u32], step: u64) {
        let mut ids: Vec<u32> = self.objects.keys().copied().collect();
        ids.sort_unstable();
        let Some(spared) = Random(step).pick(&ids) else {
            return;
        };
        let above = |id: &u32| self.objects[id].parent.and_then(|parent| self.id(parent));
        let line: Vec<u32> = std::iter::successors(Some(spared), above).collect();
        let mut beside = Vec::new();
        policy.victims_beside(ObjectId(spared), &mut |id, stays| {
            assert_eq!(stays, line.contains(&id.0), "step {step}: {id:?}");
            beside.push(id.0);
            ControlFlow::Continue(())
        });
        beside.sort_unstable();
        let mut order = order.to_vec();
        order.sort_unstable();
        assert_eq!(beside, order, "step {step}: beside {line:?}");
    }
}

fn run<P: Policy>(inner: P, seed: u64) {
    let mut random = Random(seed);
    let mut policy = Chained::new(inner);
    let mut model = Model::default();
    for step in 0..3_000 {
        let mut ids: Vec<u32> = model.objects.keys().copied().collect();
        ids.sort_unstable();
        let free = (0..50).find(|id| !ids.contains(id));
        match (random.below(8), random.pick(&ids), free) {
            (0..3, _, Some(id)) => {
                // Keys form a fixed tree, so that the same parents come back.
                let key = random.below(200);
                if model.id(key).is_some() {
                    continue;
                }
                let parent = (key > 3).then(|| mix(key) % key);
                let told = match parent.map(|parent| (parent, model.id(parent))) {
                    None => Parent::None,
                    Some((_, Some(id))) => Parent::Stored(ObjectId(id)),
                    Some((parent, None)) => Parent::Gone(mix(parent)),
                };
                policy.insert(ObjectId(id), &facts(key, 1 + key % 7, told));
                let known = Known {
                    key,
                    parent,
                    is_hidden: false,
                };
                model.objects.insert(id, known);
            }
            (3..5, Some(id), _) => policy.used(ObjectId(id)),
            (5, Some(id), _) => {
                let known = model.objects.remove(&id).unwrap();
                policy.remove(ObjectId(id), mix(known.key), Leaving::Evicted);
            }
            (6.., Some(id), _) => {
                let known = model.objects.get_mut(&id).unwrap();
                known.is_hidden = random.below(2) == 0;
                if known.is_hidden {
                    policy.hide(ObjectId(id));
                } else {
                    policy.show(ObjectId(id));
                }
            }
            _ => {}
        }
        model.check(&mut policy, step);
    }
}

#[test]
fn orphans_come_first_and_children_before_their_parents() {
    for seed in 0..4 {
        run(Lru::new(), seed);
        run(TailFirst::new(), seed);
        run(Gdsf::new(), seed);
        run(S3Fifo::new(), seed);
        run(ReuseAge::new(), seed);
        run(Auto::new(), seed);
    }
}

#[test]
fn a_parent_that_comes_back_ends_being_an_orphan() {
    let mut policy = Chained::new(TailFirst::new());
    policy.insert(ObjectId(0), &facts(0, 1, Parent::None));
    policy.insert(ObjectId(1), &facts(1, 1, Parent::Stored(ObjectId(0))));
    policy.insert(ObjectId(2), &facts(2, 1, Parent::None));
    policy.remove(ObjectId(0), mix(0), Leaving::Removed);
    assert_eq!(policy.worth(ObjectId(1)), 0.0);
    // Another object gets the id of the one that left.
    policy.insert(ObjectId(0), &facts(7, 1, Parent::None));
    assert_eq!(policy.worth(ObjectId(1)), 0.0);
    policy.insert(ObjectId(3), &facts(0, 1, Parent::None));
    assert!(policy.worth(ObjectId(1)) > 0.0);
}

#[test]
fn a_long_prompt_costs_no_walk_to_its_end() {
    let mut policy = Chained::new(Lru::new());
    policy.insert(ObjectId(0), &facts(0, 1, Parent::None));
    for id in 1..10_000 {
        let told = facts(u64::from(id), 1, Parent::Stored(ObjectId(id - 1)));
        policy.insert(ObjectId(id), &told);
    }
    // The oldest is the first object; the search stops on its way to the last one.
    let first = super::victim(&mut policy).unwrap();
    assert!((1..100).contains(&first.0), "{first:?}");
    // What comes before the one that is spared stays, however much that is.
    policy.victims_beside(ObjectId(5_000), &mut |id, stays| {
        assert_eq!(stays, id.0 <= 5_000, "{id:?}");
        ControlFlow::Continue(())
    });
}
