//! `Auto` and `ReuseAge` in a cache: beside the rankings that they choose among, on requests whose
//! character changes.

use std::collections::HashMap;

use super::super::{
    Auto, Chained, Facts, Leaving, Lru, ObjectId, Parent, Policy, ReuseAge, S3Fifo, TailFirst,
};
use super::{Random, mix, victim};

/// Returns how many keys were found in a cache of so many objects.
fn hits(policy: impl Policy, capacity: usize, requests: &[u64]) -> usize {
    let mut policy = Chained::new(policy);
    let mut ids: HashMap<u64, u32> = HashMap::new();
    let mut keys: HashMap<u32, u64> = HashMap::new();
    let mut hits = 0;
    for &key in requests {
        if let Some(&id) = ids.get(&key) {
            policy.used(ObjectId(id));
            hits += 1;
            continue;
        }
        let id = if ids.len() < capacity {
            u32::try_from(ids.len()).unwrap()
        } else {
            let leaving = victim(&mut policy).unwrap();
            let left = keys.remove(&leaving.0).unwrap();
            policy.remove(leaving, mix(left), Leaving::Evicted);
            ids.remove(&left);
            leaving.0
        };
        let facts = Facts {
            bytes: 4_096,
            key_hash: mix(key),
            parent: Parent::None,
            root_hash: mix(key),
            depth: 0,
            cost: 0.0,
        };
        policy.insert(ObjectId(id), &facts);
        ids.insert(key, id);
        keys.insert(id, key);
    }
    hits
}

/// Requests for keys that come in waves: each is asked for a few times, soon, and never again.
fn waves(random: &mut Random, len: u64) -> Vec<u64> {
    let key = |at: u64, random: &mut Random| 1_000_000 + at / 3 + random.below(400);
    (0..len).map(|at| key(at, random)).collect()
}

/// Requests of which half go to a few hundred keys, and half to keys that are asked for once.
fn scans(random: &mut Random, len: u64, from: u64) -> Vec<u64> {
    let key = |at: u64, random: &mut Random| match random.below(2) {
        0 => random.below(600),
        _ => from + at,
    };
    (0..len).map(|at| key(at, random)).collect()
}

#[test]
fn auto_is_nearly_as_good_as_the_best_where_the_requests_change_their_character() {
    let mut random = Random(11);
    let mut requests = waves(&mut random, 40_000);
    requests.extend(scans(&mut random, 40_000, 10_000_000));
    requests.extend(waves(&mut random, 40_000));
    let (halves, capacity) = (requests.len() / 3, 400);
    for part in [
        &requests[..halves],
        &requests[halves..2 * halves],
        &requests,
    ] {
        let auto = hits(Auto::new(), capacity, part);
        let best = hits(TailFirst::new(), capacity, part)
            .max(hits(ReuseAge::new(), capacity, part))
            .max(hits(S3Fifo::new(), capacity, part));
        assert!(
            auto + part.len() / 50 > best,
            "{auto} of {} against {best}",
            part.len()
        );
    }
}

#[test]
fn a_round_longer_than_the_cache_is_not_all_misses() {
    let requests: Vec<u64> = (0..60_000).map(|at| at % 1_000).collect();
    assert_eq!(hits(Lru::new(), 700, &requests), 0);
    let (reuse_age, auto) = (
        hits(ReuseAge::new(), 700, &requests),
        hits(Auto::new(), 700, &requests),
    );
    // The clairvoyant policy has seven in ten.
    assert!(reuse_age > requests.len() / 2, "{reuse_age}");
    assert!(auto > requests.len() / 2, "{auto}");
}

#[test]
fn equal_requests_are_decided_equally() {
    let requests = scans(&mut Random(3), 20_000, 1_000);
    let run = || hits(Auto::new(), 300, &requests);
    assert_eq!(run(), run());
}

#[test]
fn many_objects_thin_the_sample_out() {
    let mut auto = Auto::new();
    for id in 0..40_000 {
        let facts = super::facts(u64::from(id), 1, Parent::None);
        auto.insert(ObjectId(id), &facts);
    }
    assert!((500..2_100).contains(&auto.sampled()), "{}", auto.sampled());
    for id in 0..40_000 {
        auto.used(ObjectId(id));
        auto.remove(ObjectId(id), mix(u64::from(id)), Leaving::Evicted);
    }
    assert_eq!(auto.sampled(), 0);
    assert!(super::victims(&mut auto).is_empty());
}
