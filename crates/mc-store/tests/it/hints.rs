//! What puts say of when their objects should leave.
//!
//! Claims: under every policy and eviction, objects of lower priority leave
//! before those of higher, and what is to be kept for some time leaves before
//! only if nothing else can, up to a share; both hold for what comes before an
//! object in its prompt; what is costly stays longer where the policy weighs.

use std::time::Duration;

use crate::common::{
    info,
    objects::{Hand, all_options, key, numbers, put_as, refusal, store_of},
    pool,
};
use mc_segment::{Segment, SegmentId, SegmentInfo, Strategy};
use mc_store::{
    ObjectStore, PolicyKind, PutError, PutRequest, Removal, StoreOptions, StoreOptionsError,
};

/// All policies that come with the crate, with each eviction.
fn options(hand: &Hand) -> Vec<StoreOptions> {
    all_options().map(|options| hand.with(options)).collect()
}

fn of_priority(priority: i8) -> PutRequest<'static> {
    PutRequest {
        priority,
        ..PutRequest::new(100)
    }
}

fn kept_until(seconds: u64) -> PutRequest<'static> {
    PutRequest {
        keep_until: Some(Duration::from_secs(seconds)),
        ..PutRequest::new(100)
    }
}

#[test]
fn lower_priorities_leave_first() {
    for options in options(&Hand::default()) {
        let store = store_of(&[900], options.clone());
        for number in 0..9 {
            let priority = [-1, 0, 1][usize::try_from(number / 3).unwrap()];
            put_as(&store, number, &of_priority(priority)).unwrap();
        }
        // However often those of low priority are used.
        for _ in 0..5 {
            (0..3).for_each(|number| drop(store.get(&key(number))));
        }
        for number in 10..13 {
            put_as(&store, number, &of_priority(2)).unwrap();
        }
        let there: Vec<u64> = numbers(&store).into_iter().collect();
        assert_eq!(there, [3, 4, 5, 6, 7, 8, 10, 11, 12], "{options:?}");
        for number in 13..16 {
            put_as(&store, number, &of_priority(2)).unwrap();
        }
        let there: Vec<u64> = numbers(&store).into_iter().collect();
        assert_eq!(there, [6, 7, 8, 10, 11, 12, 13, 14, 15], "{options:?}");
        store.check_invariants();
    }
}

#[test]
fn few_of_low_priority_are_found_behind_many_others() {
    for options in options(&Hand::default()) {
        let store = store_of(&[200_000], options);
        for number in 0..1_990 {
            put_as(&store, number, &of_priority(1)).unwrap();
        }
        for number in 1_990..2_000 {
            put_as(&store, number, &of_priority(0)).unwrap();
        }
        for number in 3_000..3_010 {
            put_as(&store, number, &of_priority(1)).unwrap();
        }
        let there = numbers(&store);
        assert!((0..1_990).all(|number| there.contains(&number)));
        store.check_invariants();
    }
}

#[test]
fn what_was_there_before_the_first_rank_leaves_before_what_has_one() {
    for options in options(&Hand::default()) {
        let store = store_of(&[120_100], options.clone());
        for number in 0..1_200 {
            // The first half is a prompt, the rest came later.
            let parent = (1..600).contains(&number).then(|| key(number - 1));
            let request = PutRequest {
                parent: parent.as_ref().map(|key| &key[..]),
                ..of_priority(0)
            };
            put_as(&store, number, &request).unwrap();
        }
        let end = PutRequest {
            parent: Some(&key(599)),
            ..of_priority(1)
        };
        put_as(&store, 1_200, &end).unwrap();
        for number in 2_000..2_400 {
            put_as(&store, number, &of_priority(0)).unwrap();
        }
        let there = numbers(&store);
        let has_prompt = (0..600)
            .chain([1_200])
            .all(|number| there.contains(&number));
        assert!(has_prompt, "{options:?}");
        assert!(there.range(2_000..).count() >= 300, "{options:?}");
        store.check_invariants();
    }
}

#[test]
fn what_was_set_aside_has_the_rank_that_it_got_since() {
    for options in options(&Hand::default()) {
        let store = store_of(&[3_200, 3_200], options.clone());
        let put_as = |number: u64, parent: Option<u64>, request: PutRequest<'_>| {
            let parent = parent.map(key);
            let parent = parent.as_ref().map(|key| &key[..]);
            put_as(&store, number, &PutRequest { parent, ..request }).unwrap();
        };
        let preferred = &[SegmentId(1)];
        let excluded = preferred;
        for number in 0..32 {
            // The first half is a prompt.
            let parent = (1..16).contains(&number).then(|| number - 1);
            let request = PutRequest {
                preferred,
                ..of_priority(0)
            };
            put_as(number, parent, request);
        }
        (32..64).for_each(|number| put_as(number, None, of_priority(0)));
        let elsewhere = |priority| PutRequest {
            excluded,
            ..of_priority(priority)
        };
        (100..110).for_each(|number| put_as(number, None, elsewhere(0)));
        put_as(200, Some(15), elsewhere(1));
        (300..310).for_each(|number| put_as(number, None, of_priority(0)));
        let there = numbers(&store);
        let has_prompt = (0..16).chain([200]).all(|number| there.contains(&number));
        assert!(has_prompt, "{options:?}: {there:?}");
        store.check_invariants();
    }
}

#[test]
fn what_is_kept_stays_until_its_time_or_until_nothing_else_can_leave() {
    let hand = Hand::default();
    for options in options(&hand) {
        let store = store_of(&[1_000], options.clone());
        let now = store.now().as_secs();
        put_as(&store, 0, &kept_until(now + 100)).unwrap();
        put_as(&store, 1, &kept_until(now + 200)).unwrap();
        for number in 10..50 {
            put_as(&store, number, &PutRequest::new(100)).unwrap();
        }
        assert!(
            store.exists(&key(0)) && store.exists(&key(1)),
            "{options:?}"
        );
        hand.pass_seconds(150);
        for number in 50..90 {
            put_as(&store, number, &PutRequest::new(100)).unwrap();
        }
        assert!(
            !store.exists(&key(0)) && store.exists(&key(1)),
            "{options:?}"
        );
        // It leaves before its time if there is no other way.
        for number in numbers(&store).into_iter().filter(|number| *number != 1) {
            assert!(store.pin(&key(number)));
        }
        put_as(&store, 100, &PutRequest::new(100)).unwrap();
        assert!(!store.exists(&key(1)));
        store.pin(&key(100));
        let refused = refusal(&store, 101, &PutRequest::new(100));
        assert!(matches!(refused, PutError::NoRoom { .. }));
        store.check_invariants();
    }
}

#[test]
fn no_more_is_kept_than_the_share() {
    let hand = Hand::default();
    for options in options(&hand) {
        let store = store_of(&[1_000], options.clone());
        let now = store.now().as_secs();
        for number in 0..10 {
            put_as(&store, number, &kept_until(now + 100)).unwrap();
        }
        for number in 10..60 {
            put_as(&store, number, &PutRequest::new(100)).unwrap();
        }
        // A quarter of the bytes is two and a half objects.
        let there: Vec<u64> = numbers(&store).range(..10).copied().collect();
        assert_eq!(there, [0, 1], "{options:?}");
        store.remove(&key(0), Removal::IfIdle).unwrap();
        put_as(&store, 5, &kept_until(now + 100)).unwrap();
        for number in 60..90 {
            put_as(&store, number, &PutRequest::new(100)).unwrap();
        }
        assert!(
            store.exists(&key(5)) && store.exists(&key(1)),
            "{options:?}"
        );
    }
    let options = StoreOptions {
        keep_percent: 101,
        ..StoreOptions::default()
    };
    let refused = ObjectStore::new(pool(Strategy::Random, 1), options).unwrap_err();
    assert_eq!(refused, StoreOptionsError::Keep { keep_percent: 101 });
}

#[test]
fn what_is_kept_no_more_takes_nothing_of_the_share() {
    let hand = Hand::default();
    for options in options(&hand) {
        let store = store_of(&[30_000], options.clone());
        let now = store.now().as_secs();
        // More than one call looks at.
        for number in 0..75 {
            put_as(&store, number, &kept_until(now + 10)).unwrap();
        }
        hand.pass_seconds(20);
        // This one is not to be kept any more, either.
        put_as(&store, 75, &kept_until(now + 20)).unwrap();
        for number in 100..175 {
            put_as(&store, number, &kept_until(now + 100)).unwrap();
        }
        for number in 1_000..1_600 {
            put_as(&store, number, &PutRequest::new(100)).unwrap();
        }
        let there = numbers(&store);
        let kept = there.range(..1_000).copied();
        assert!(kept.eq(100..175), "{options:?}");
        store.check_invariants();
    }
}

#[test]
fn what_comes_before_an_object_in_its_prompt_stays_as_long() {
    let hand = Hand::default();
    for options in options(&hand) {
        let store = store_of(&[2_000], options.clone());
        let until = store.now().as_secs() + 100;
        let keys: Vec<_> = (0..6).map(key).collect();
        // Two prompts of three; only the end of each says something.
        for first in [0, 3] {
            for number in first..first + 3 {
                let parent = (number > first).then(|| &keys[usize::try_from(number).unwrap() - 1]);
                let hint = match number {
                    2 => of_priority(1),
                    5 => kept_until(until),
                    _ => PutRequest::new(100),
                };
                let parent = parent.map(|key| &key[..]);
                put_as(&store, number, &PutRequest { parent, ..hint }).unwrap();
            }
        }
        for number in 10..100 {
            put_as(&store, number, &PutRequest::new(100)).unwrap();
        }
        let prompt: Vec<_> = (0..3).map(key).collect();
        assert_eq!(store.get_many(&prompt).len(), 3, "{options:?}");
        let prompt: Vec<_> = (3..6).map(key).collect();
        assert_eq!(store.get_many(&prompt).len(), 3, "{options:?}");
        hand.pass_seconds(200);
        for number in 100..300 {
            put_as(&store, number, &of_priority(1)).unwrap();
        }
        assert!(!store.exists(&key(3)) && !store.exists(&key(5)));
        store.check_invariants();
    }
}

#[test]
fn what_comes_back_before_an_object_in_its_prompt_stays_as_long() {
    let hand = Hand::default();
    for options in options(&hand) {
        for has_come in [false, true] {
            let store = store_of(&[2_000], options.clone());
            let until = store.now().as_secs() + 100;
            let keys: Vec<_> = (0..3).map(key).collect();
            let put_behind = |number: u64, hint| {
                let parent = number.checked_sub(1).map(key);
                let parent = parent.as_ref().map(|key| &key[..]);
                put_as(&store, number, &PutRequest { parent, ..hint }).unwrap();
            };
            for hint in [of_priority(1), kept_until(until)] {
                if has_come {
                    (0..2).for_each(|number| put_behind(number, of_priority(0)));
                }
                put_behind(2, hint);
                for number in (0..2).rev() {
                    let _ = store.remove(&key(number), Removal::IfIdle);
                    put_behind(number, of_priority(0));
                }
                for number in 10..60 {
                    put_as(&store, number, &PutRequest::new(100)).unwrap();
                }
                assert_eq!(store.get_many(&keys).len(), 3, "{options:?}");
                store.check_invariants();
                for key in store.keys() {
                    store.remove(&key, Removal::IfIdle).unwrap();
                }
            }
        }
    }
}

#[test]
fn what_is_costly_stays_longer_where_the_policy_weighs() {
    for (policy, weighs) in [
        (PolicyKind::Gdsf, true),
        (PolicyKind::ReuseAge, true),
        (PolicyKind::Lru, false),
        (PolicyKind::S3Fifo, false),
    ] {
        let options = StoreOptions {
            policy,
            ..StoreOptions::default()
        };
        let store = store_of(&[1_000], options);
        let costly = PutRequest {
            cost: Duration::from_secs(1_000),
            ..PutRequest::new(100)
        };
        put_as(&store, 0, &costly).unwrap();
        for number in 1..40 {
            put_as(&store, number, &PutRequest::new(100)).unwrap();
        }
        assert_eq!(store.exists(&key(0)), weighs, "{policy:?}");
    }
}

#[test]
fn hints_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let again = |info: &SegmentInfo| Some(Segment::remote(info.clone()));
        let (pool, options) = (pool(Strategy::Random, 1), StoreOptions::default());
        let opened = ObjectStore::open(directory.path(), pool, options, again).unwrap();
        assert_eq!((opened.damage, opened.lost.len()), (vec![], 0));
        opened.store
    };
    let store = open();
    store.pool().mount(Segment::remote(info(1, 1_000))).unwrap();
    put_as(&store, 0, &of_priority(-5)).unwrap();
    let hour = store.now() + Duration::from_secs(3_600);
    let kept = PutRequest {
        keep_until: Some(hour),
        cost: Duration::from_secs(3),
        ..PutRequest::new(100)
    };
    put_as(&store, 1, &kept).unwrap();
    for number in 2..10 {
        put_as(&store, number, &PutRequest::new(100)).unwrap();
    }
    drop(store.get(&key(0)));
    drop(store);
    let store = open();
    put_as(&store, 20, &PutRequest::new(100)).unwrap();
    assert!(!store.exists(&key(0)) && store.exists(&key(1)));
    for number in 21..60 {
        put_as(&store, number, &PutRequest::new(100)).unwrap();
    }
    assert!(store.exists(&key(1)));
    store.check_invariants();
}
