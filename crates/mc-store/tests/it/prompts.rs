//! Objects of a prompt: put in one go, found up to the first that is missing, and gone from the end.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::time::Duration;

use crate::common::{
    mount_sizes,
    objects::{all_options, store_of},
    pool,
};
use mc_segment::{SegmentId, Strategy};
use mc_store::{
    Compaction, Eviction, Lease, ObjectStore, PolicyKind, PutError, PutRequest, Quota, Removal,
    StoreOptions, Watermarks,
};

const MIB: u64 = 1 << 20;

fn store_with(policy: PolicyKind, mib: u64) -> ObjectStore {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, &[mib * MIB]);
    let options = StoreOptions {
        policy,
        ..StoreOptions::default()
    };
    ObjectStore::new(pool, options).unwrap()
}

fn store(mib: u64) -> ObjectStore {
    store_with(PolicyKind::TailFirst, mib)
}

/// Returns the keys of a prompt's blocks.
fn keys(prompt: &str, blocks: usize) -> Vec<String> {
    (0..blocks).map(|at| format!("{prompt}/{at}")).collect()
}

fn requests(keys: &[String]) -> Vec<(&[u8], PutRequest<'static>)> {
    keys.iter()
        .map(|key| (key.as_bytes(), PutRequest::new(MIB)))
        .collect()
}

fn put_prompt(store: &ObjectStore, keys: &[String]) -> usize {
    let stored = store.put_many(&requests(keys)).commit().unwrap();
    store.check_invariants();
    stored
}

fn found(store: &ObjectStore, keys: &[String]) -> usize {
    store.get_many(keys).len()
}

#[test]
fn what_is_missing_is_stored_and_the_rest_is_held() {
    let store = store(10);
    let prompt = keys("a", 6);
    assert_eq!(put_prompt(&store, &prompt[..3]), 3);
    let mut chain = store.put_many(&requests(&prompt));
    assert_eq!((chain.len(), chain.found().len()), (6, 3));
    let missing: Vec<&[u8]> = chain.puts_mut().iter().map(|put| put.key()).collect();
    assert_eq!(missing, [b"a/3", b"a/4", b"a/5"]);
    let held = store.remove(prompt[0].as_bytes(), Removal::IfIdle);
    assert!(held.is_err(), "{held:?}");
    assert_eq!(chain.commit().unwrap(), 6);
    assert_eq!(store.stats().hits, 0, "nothing was read");
    assert_eq!(found(&store, &prompt), 6);
    assert_eq!((store.stats().hits, store.stats().misses), (6, 0));
}

#[test]
fn a_chain_that_is_dropped_gives_its_space_back() {
    let store = store(4);
    let prompt = keys("a", 4);
    drop(store.put_many(&requests(&prompt)));
    assert_eq!(found(&store, &prompt), 0);
    assert_eq!(put_prompt(&store, &keys("b", 4)), 4);
    assert_eq!(store.stats().on_demand.objects, 0);
}

#[test]
fn as_many_as_fit_are_stored_from_the_front() {
    let store = store(4);
    let prompt = keys("a", 7);
    let chain = store.put_many(&requests(&prompt));
    assert_eq!(chain.len(), 4);
    assert!(matches!(chain.refusal(), Some(PutError::NoRoom { .. })));
    assert_eq!(chain.commit().unwrap(), 4);
    assert_eq!(found(&store, &prompt), 4);
    // Again: nothing leaves for what cannot be stored.
    assert_eq!(put_prompt(&store, &prompt), 4);
    assert_eq!(store.stats().on_demand.objects, 0);
}

#[test]
fn the_end_of_a_prompt_leaves_before_its_beginning_under_every_policy() {
    for policy in PolicyKind::ALL {
        let store = store_with(policy, 8);
        let prompt = keys("a", 8);
        assert_eq!(put_prompt(&store, &prompt), 8);
        for left in (0..8).rev() {
            let one = format!("other/{left}");
            let other = PutRequest::new(MIB);
            // Held, so that it is not the one that leaves next.
            store.put(one.as_bytes(), &other).unwrap().commit().unwrap();
            assert!(store.pin(one.as_bytes()), "{policy:?}: {one}");
            assert_eq!(found(&store, &prompt), left, "{policy:?}");
            store.check_invariants();
        }
    }
}

#[test]
fn a_watermark_that_a_chain_passes_takes_the_end_of_it() {
    for options in all_options() {
        let options = StoreOptions {
            watermarks: Some(Watermarks {
                high_percent: 80,
                low_percent: 50,
            }),
            ..options
        };
        for stored in [0, 2] {
            let store = store_of(&[10 * MIB], options.clone());
            let prompt = keys("a", 9);
            put_prompt(&store, &prompt[..stored]);
            // All of it is taken before the first of it is committed.
            assert_eq!(put_prompt(&store, &prompt), 9);
            assert_eq!(store.stats().by_watermark.objects, 4, "{options:?}");
            assert_eq!(found(&store, &prompt), 5, "{options:?}");
        }
    }
}

/// Returns a store of ten objects: the beginning of a prompt, and others that are used more often and later.
fn full_store(options: &StoreOptions, prompt: &[String]) -> ObjectStore {
    let store = store_of(&[10 * MIB], options.clone());
    put_prompt(&store, prompt);
    for other in keys("other", 10 - prompt.len()) {
        store
            .put(other.as_bytes(), &PutRequest::new(MIB))
            .unwrap()
            .commit()
            .unwrap();
        (0..3).for_each(|_| drop(store.get(other.as_bytes())));
    }
    store
}

fn behind(parent: &str, size: u64) -> PutRequest<'_> {
    PutRequest {
        parent: Some(parent.as_bytes()),
        ..PutRequest::new(size)
    }
}

#[test]
fn what_comes_before_an_object_in_its_prompt_does_not_leave_for_it() {
    for options in all_options() {
        for compaction in [Compaction::OFF, Compaction::moving(1.0)] {
            let options = StoreOptions {
                compaction,
                ..options.clone()
            };
            let prompt = keys("a", 10);
            let store = full_store(&options, &prompt[..2]);
            for at in 2..10 {
                // Of two sizes, so that neighbors leave, too.
                let size = MIB - MIB / 4 * (at as u64 % 2);
                let put = store.put(prompt[at].as_bytes(), &behind(&prompt[at - 1], size));
                put.unwrap().commit().unwrap();
                let there = prompt[..=at].iter();
                let there = there.filter(|key| store.exists(key.as_bytes())).count();
                assert_eq!(there, at + 1, "{options:?}");
                store.check_invariants();
            }
            // Nothing else is left in the end, and this is refused.
            for size in [2 * MIB, 8 * MIB] {
                let refused = store.put(b"more", &behind(&prompt[9], size));
                assert!(matches!(refused, Err(PutError::NoRoom { .. })));
                assert_eq!(found(&store, &prompt), 10, "{options:?}");
            }
        }
    }
}

#[test]
fn what_comes_before_a_chain_does_not_leave_for_it() {
    for options in all_options() {
        let prompt = keys("a", 10);
        let store = full_store(&options, &prompt[..4]);
        let mut rest = requests(&prompt[4..]);
        rest[0].1 = behind(&prompt[3], MIB);
        assert_eq!(store.put_many(&rest).commit().unwrap(), 6);
        assert_eq!(found(&store, &prompt), 10, "{options:?}");
        assert_eq!(store.put_many(&[("b", behind(&prompt[9], MIB))]).len(), 0);
        assert_eq!(found(&store, &prompt), 10, "{options:?}");
    }
}

#[test]
fn a_tenant_at_its_limit_keeps_what_comes_before_its_objects() {
    for options in all_options() {
        let store = store_of(&[20 * MIB], options.clone());
        let quota = Quota {
            guaranteed: 0,
            most: Some(5 * MIB),
        };
        store.tenant("a", quota).unwrap();
        let of_tenant = |request| PutRequest {
            tenant: Some("a"),
            ..request
        };
        let put = |key: &str, request| {
            let put = store.put(key.as_bytes(), &of_tenant(request));
            put.map(|put| put.commit().unwrap())
        };
        let prompt = keys("a", 6);
        put(&prompt[0], PutRequest::new(MIB)).unwrap();
        for other in keys("other", 4) {
            put(&other, PutRequest::new(MIB)).unwrap();
            (0..3).for_each(|_| drop(store.get(other.as_bytes())));
        }
        for at in 1..5 {
            put(&prompt[at], behind(&prompt[at - 1], MIB)).unwrap();
            let there = prompt[..=at].iter();
            let there = there.filter(|key| store.exists(key.as_bytes())).count();
            assert_eq!(there, at + 1, "{options:?}");
        }
        let refused = put(&prompt[5], behind(&prompt[4], MIB));
        assert!(matches!(refused, Err(PutError::QuotaExceeded { .. })));
        assert_eq!(found(&store, &prompt), 5, "{options:?}");
        store.check_invariants();
    }
}

#[test]
fn what_cannot_be_reached_any_more_leaves_first() {
    let store = store(8);
    let (old, orphaned) = (keys("old", 4), keys("orphaned", 4));
    put_prompt(&store, &old);
    put_prompt(&store, &orphaned);
    store
        .remove(orphaned[0].as_bytes(), Removal::IfIdle)
        .unwrap();
    assert_eq!(put_prompt(&store, &keys("new", 4)), 4);
    assert_eq!(found(&store, &old), 4);
    let is_here = |key: &&String| store.exists(key.as_bytes());
    assert_eq!(orphaned.iter().filter(is_here).count(), 0);
}

#[test]
fn a_prompt_goes_on_behind_what_was_found() {
    let store = store(8);
    let prompt = keys("a", 8);
    put_prompt(&store, &prompt[..4]);
    let prefix: Vec<Lease> = store.get_many(&prompt);
    let parent = prefix.last().map(Lease::key);
    let rest: Vec<_> = requests(&prompt[4..])
        .into_iter()
        .map(|(key, request)| (key, PutRequest { parent, ..request }))
        .collect();
    assert_eq!(store.put_many(&rest).commit().unwrap(), 4);
    drop(prefix);
    store
        .put(b"other", &PutRequest::new(MIB))
        .unwrap()
        .commit()
        .unwrap();
    assert_eq!(found(&store, &prompt), 7);
}

#[test]
fn a_key_that_another_puts_ends_the_chain() {
    let store = store(8);
    let prompt = keys("a", 4);
    let other = store.put(b"a/2", &PutRequest::new(MIB)).unwrap();
    let chain = store.put_many(&requests(&prompt));
    assert_eq!(chain.len(), 2);
    assert!(chain.refusal().is_some());
    assert_eq!(chain.commit().unwrap(), 2);
    other.commit().unwrap();
    assert_eq!(found(&store, &prompt), 3);
}

#[test]
fn of_what_was_set_aside_ends_of_prompts_leave_before_their_beginnings() {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, &[1_000, 1_000]);
    let options = StoreOptions {
        policy: PolicyKind::Gdsf,
        eviction: Eviction::InOrder,
        ..StoreOptions::default()
    };
    let store = ObjectStore::new(pool, options).unwrap();
    let put_as = |key: &str, request: PutRequest<'_>| {
        let put = store.put(key.as_bytes(), &request).unwrap();
        put.commit().unwrap();
    };
    // The beginnings are larger, and so worth less by themselves.
    for number in 0..20 {
        let preferred = &[SegmentId(1)];
        let (beginning, end) = (format!("{number}/0"), format!("{number}/1"));
        let request = |size| PutRequest {
            preferred,
            ..PutRequest::new(size)
        };
        put_as(&beginning, request(40));
        let parent = Some(beginning.as_bytes());
        put_as(
            &end,
            PutRequest {
                parent,
                ..request(10)
            },
        );
    }
    for number in 0..100 {
        put_as(&format!("{number}"), PutRequest::new(10));
        (0..5).for_each(|_| drop(store.get(format!("{number}").as_bytes())));
    }
    let excluded = &[SegmentId(1)];
    put_as(
        "elsewhere",
        PutRequest {
            excluded,
            ..PutRequest::new(10)
        },
    );
    for number in 0..10 {
        put_as(&format!("new {number}"), PutRequest::new(40));
        for number in 0..20 {
            let exists = |at: u8| store.exists(format!("{number}/{at}").as_bytes());
            assert!(exists(0) || !exists(1), "{number} has lost its beginning");
        }
    }
    store.check_invariants();
}

#[test]
fn keys_that_name_each_other_as_parents_are_stored_and_leave() {
    for policy in [PolicyKind::Auto, PolicyKind::TailFirst, PolicyKind::Lru] {
        for ring in 1..=4 {
            let store = store_with(policy, 16);
            let ring = keys("ring", ring);
            for (at, key) in ring.iter().enumerate() {
                let next = ring[(at + 1) % ring.len()].as_bytes();
                let request = PutRequest {
                    parent: Some(next),
                    ..PutRequest::new(MIB)
                };
                store
                    .put(key.as_bytes(), &request)
                    .unwrap()
                    .commit()
                    .unwrap();
                store.check_invariants();
            }
            let kept = PutRequest {
                parent: Some(ring[0].as_bytes()),
                priority: 1,
                keep_until: Some(Duration::from_secs(60)),
                ..PutRequest::new(MIB)
            };
            store.put(b"kept", &kept).unwrap().commit().unwrap();
            store.check_invariants();
            for key in keys("other", 40) {
                let put = store.put(key.as_bytes(), &PutRequest::new(MIB));
                put.unwrap().commit().unwrap();
            }
            store.check_invariants();
            // What comes before the one that is kept is kept, too.
            assert_eq!(found(&store, &ring[..1]), 1, "of {}", ring.len());
            for key in &ring {
                let _ = store.remove(key.as_bytes(), Removal::IfIdle);
                store.check_invariants();
            }
        }
    }
}
