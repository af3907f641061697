//! `S3Fifo` and `Gdsf` in a cache, against searches of plain vectors: the same keys leave.

use std::collections::VecDeque;

use super::super::{Gdsf, Leaving, ObjectId, Parent, Policy, S3Fifo};
use super::{Random, facts, mix, victim};

/// A cache as a policy sees it: who is there, and who leaves for whom.
trait Model {
    fn use_or_insert(&mut self, key: u64, bytes: u64);
    /// Evicts one object and returns its key.
    fn evict(&mut self) -> u64;
    fn contains(&self, key: u64) -> bool;
}

/// Objects that the policy and the model hold, by id.
fn compare(policy: &mut dyn Policy, model: &mut dyn Model, capacity: u64, seed: u64) {
    let mut random = Random(seed);
    let mut keys: Vec<Option<u64>> = vec![None; 1_000];
    let size = |key: u64| 1 + mix(key ^ seed) % 50;
    let mut bytes = 0;
    for step in 0..20_000 {
        // Half of the requests go to a few keys, and some keys are asked for once.
        let key = match random.below(4) {
            0 | 1 => random.below(20),
            2 => random.below(300),
            _ => 1_000 + step,
        };
        let found = keys.iter().position(|known| *known == Some(key));
        assert_eq!(
            found.is_some(),
            model.contains(key),
            "seed {seed}, step {step}"
        );
        if let Some(id) = found {
            policy.used(ObjectId(u32::try_from(id).unwrap()));
            model.use_or_insert(key, size(key));
            continue;
        }
        while bytes + size(key) > capacity {
            let leaving = victim(policy).unwrap();
            let id = usize::try_from(leaving.0).unwrap();
            let left = keys[id].take().unwrap();
            assert_eq!(left, model.evict(), "seed {seed}, step {step}");
            policy.remove(leaving, mix(left), Leaving::Evicted);
            bytes -= size(left);
        }
        let id = keys.iter().position(Option::is_none).unwrap();
        keys[id] = Some(key);
        let told = facts(key, size(key), Parent::None);
        policy.insert(ObjectId(u32::try_from(id).unwrap()), &told);
        model.use_or_insert(key, size(key));
        bytes += size(key);
    }
}

/// Greedy dual: a vector that is searched for the least.
#[derive(Default)]
struct PlainGdsf {
    /// Key, bytes, uses, merit.
    objects: Vec<(u64, u64, u32, f64)>,
    inflation: f64,
    /// Ids as the cache hands them out, which decide among equals.
    ids: Vec<Option<u64>>,
}

impl Model for PlainGdsf {
    fn use_or_insert(&mut self, key: u64, bytes: u64) {
        let known = self.objects.iter_mut().find(|known| known.0 == key);
        if let Some(known) = known {
            known.2 += 1;
            known.3 = self.inflation + f64::from(known.2) * (1.0 / bytes as f64);
            return;
        }
        let merit = self.inflation + 1.0 / bytes as f64;
        self.objects.push((key, bytes, 1, merit));
        match self.ids.iter().position(Option::is_none) {
            Some(id) => self.ids[id] = Some(key),
            None => self.ids.push(Some(key)),
        }
    }

    fn evict(&mut self) -> u64 {
        let id = |key: u64| self.ids.iter().position(|known| *known == Some(key));
        let least = self
            .objects
            .iter()
            .min_by(|a, b| a.3.total_cmp(&b.3).then_with(|| id(a.0).cmp(&id(b.0))));
        let &(key, _, _, merit) = least.unwrap();
        self.inflation = merit;
        self.objects.retain(|known| known.0 != key);
        let id = id(key).unwrap();
        self.ids[id] = None;
        key
    }

    fn contains(&self, key: u64) -> bool {
        self.objects.iter().any(|known| known.0 == key)
    }
}

/// Three queues as the paper draws them; an object moves on after one use.
#[derive(Default)]
struct PlainS3Fifo {
    /// Key, bytes, uses; the oldest first.
    small: VecDeque<(u64, u64, u8)>,
    main: VecDeque<(u64, u64, u8)>,
    ghosts: VecDeque<u64>,
}

fn bytes_of(queue: &VecDeque<(u64, u64, u8)>) -> u64 {
    queue.iter().map(|known| known.1).sum()
}

impl Model for PlainS3Fifo {
    fn use_or_insert(&mut self, key: u64, bytes: u64) {
        let mut all = self.small.iter_mut().chain(&mut self.main);
        if let Some(known) = all.find(|known| known.0 == key) {
            known.2 = (known.2 + 1).min(3);
        } else if let Some(at) = self.ghosts.iter().position(|ghost| *ghost == key) {
            self.ghosts.remove(at);
            self.main.push_back((key, bytes, 0));
        } else {
            self.small.push_back((key, bytes, 0));
        }
    }

    fn evict(&mut self) -> u64 {
        loop {
            let (small, main) = (bytes_of(&self.small), bytes_of(&self.main));
            let is_small_due = small > (small + main) / 10 || self.main.is_empty();
            if is_small_due && !self.small.is_empty() {
                let (key, bytes, uses) = self.small.pop_front().unwrap();
                if uses >= 1 {
                    self.main.push_back((key, bytes, 0));
                    continue;
                }
                self.ghosts.push_back(key);
                while self.ghosts.len() > self.small.len() + self.main.len() {
                    self.ghosts.pop_front();
                }
                return key;
            }
            let (key, bytes, uses) = self.main.pop_front().unwrap();
            if uses == 0 {
                return key;
            }
            self.main.push_back((key, bytes, uses - 1));
        }
    }

    fn contains(&self, key: u64) -> bool {
        self.small
            .iter()
            .chain(&self.main)
            .any(|known| known.0 == key)
    }
}

#[test]
fn gdsf_lets_those_leave_that_a_search_of_all_finds() {
    for seed in 0..4 {
        compare(&mut Gdsf::new(), &mut PlainGdsf::default(), 2_000, seed);
    }
}

#[test]
fn s3_fifo_lets_those_leave_that_plain_queues_do() {
    for seed in 0..4 {
        compare(&mut S3Fifo::new(), &mut PlainS3Fifo::default(), 2_000, seed);
    }
}

#[test]
fn gdsf_prefers_what_is_costly_and_small() {
    let mut gdsf = Gdsf::new();
    let tell = |bytes, cost| super::super::Facts {
        cost,
        ..facts(bytes, bytes, Parent::None)
    };
    gdsf.insert(ObjectId(0), &tell(1_000, 0.0));
    gdsf.insert(ObjectId(1), &tell(10, 0.0));
    gdsf.insert(ObjectId(2), &tell(999, 200.0));
    assert_eq!(super::victims(&mut gdsf), [0, 1, 2]);
    let worth = |id| gdsf.worth(ObjectId(id));
    assert!(worth(0) < worth(1) && worth(1) < worth(2));
}

/// Returns a policy after requests that bring objects into both queues, and the ids that are there.
fn used_s3_fifo(seed: u64) -> (S3Fifo, Vec<u32>) {
    let mut policy = S3Fifo::new();
    let mut random = Random(seed);
    let mut keys: Vec<Option<u64>> = vec![None; 100];
    for _ in 0..5_000 {
        let key = random.below(150);
        if let Some(id) = keys.iter().position(|known| *known == Some(key)) {
            policy.used(ObjectId(u32::try_from(id).unwrap()));
            continue;
        }
        let id = keys.iter().position(Option::is_none).unwrap_or_else(|| {
            let leaving = victim(&mut policy).unwrap();
            let id = usize::try_from(leaving.0).unwrap();
            policy.remove(leaving, mix(keys[id].unwrap()), Leaving::Evicted);
            id
        });
        keys[id] = Some(key);
        let told = facts(key, 1 + mix(key) % 50, Parent::None);
        policy.insert(ObjectId(u32::try_from(id).unwrap()), &told);
    }
    let ids = (0..100).filter(|id| keys[usize::try_from(*id).unwrap()].is_some());
    (policy, ids.collect())
}

#[test]
fn all_victims_of_s3_fifo_at_once_are_those_one_after_the_other() {
    for seed in 0..8 {
        let (mut policy, ids) = used_s3_fifo(seed);
        let (mut other, _) = used_s3_fifo(seed);
        let mut single = Vec::new();
        while let Some(next) = victim(&mut other) {
            other.remove(next, 0, Leaving::Removed);
            single.push(next.0);
        }
        let all = super::victims(&mut policy);
        assert_eq!(all, single, "seed {seed}");
        assert_eq!(all.len(), ids.len());
    }
}

#[test]
fn s3_fifo_stores_children_behind_their_parents() {
    let mut policy = S3Fifo::new();
    policy.insert(ObjectId(0), &facts(0, 1, Parent::None));
    policy.insert(ObjectId(1), &facts(1, 1, Parent::Stored(ObjectId(0))));
    policy.insert(ObjectId(2), &facts(2, 1, Parent::Stored(ObjectId(1))));
    policy.insert(ObjectId(3), &facts(3, 1, Parent::None));
    assert_eq!(super::victims(&mut policy), [2, 1, 0, 3]);
}

#[test]
fn s3_fifo_counts_uses_and_youth_as_worth() {
    let mut policy = S3Fifo::new();
    for id in 0..10 {
        policy.insert(ObjectId(id), &facts(u64::from(id), 1, Parent::None));
    }
    let worths = |policy: &S3Fifo| {
        (0..10)
            .map(|id| policy.worth(ObjectId(id)))
            .collect::<Vec<_>>()
    };
    let new = worths(&policy);
    assert!(new.is_sorted_by(|old, young| old < young), "{new:?}");
    assert!(
        new.iter().all(|worth| (0.1..=0.2).contains(worth)),
        "{new:?}"
    );
    policy.used(ObjectId(4));
    policy.used(ObjectId(5));
    policy.used(ObjectId(5));
    let used = worths(&policy);
    assert!(
        used[4] > 5.0 * used[9] && used[5] > 1.5 * used[4],
        "{used:?}"
    );
    // One that left and comes back is in the main queue, and worth a round more.
    policy.remove(ObjectId(0), mix(0), Leaving::Evicted);
    policy.insert(ObjectId(0), &facts(0, 1, Parent::None));
    assert!(policy.worth(ObjectId(0)) > 5.0 * policy.worth(ObjectId(9)));
}

#[test]
fn an_overdue_object_still_costs_a_part_of_a_use_under_gdsf() {
    let mut gdsf = Gdsf::new();
    gdsf.insert(ObjectId(0), &facts(0, 10, Parent::None));
    let fresh = gdsf.worth(ObjectId(0));
    gdsf.hide(ObjectId(0));
    gdsf.insert(ObjectId(1), &facts(1, 1, Parent::None));
    gdsf.remove(ObjectId(1), mix(1), Leaving::Evicted);
    gdsf.show(ObjectId(0));
    let overdue = gdsf.worth(ObjectId(0));
    assert!(0.0 < overdue && overdue < fresh, "{overdue} of {fresh}");
}
