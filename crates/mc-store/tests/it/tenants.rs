//! Tenants: guarantees, limits and who leaves for whom.
//!
//! Claims: a tenant never has more than its limit, and makes room below it out
//! of its own objects; what it is sure of nobody else's put takes, and what it
//! has lent comes back when it puts; sums are right after all that can end an
//! object or a put; quotas and tenants of objects survive a restart. Holds
//! under every policy and eviction.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    info,
    objects::{
        EVICTIONS, Hand, all_options, key, local_store_of, numbers, put_as, put_in, refusal,
        store_of,
    },
    pool,
};
use mc_segment::{Replicas, Segment, SegmentId, SegmentInfo, Strategy};
use mc_store::{
    AddReplicaError, ObjectStore, PolicyKind, PutError, PutRequest, Quota, Removal, StoreOptions,
    TenantError, TenantStats, Watermarks, copy_bytes, journal::JournalOptions,
};

fn of(tenant: &str, size: u64) -> PutRequest<'_> {
    PutRequest {
        tenant: Some(tenant),
        ..PutRequest::new(size)
    }
}

fn quota(guaranteed: u64, most: Option<u64>) -> Quota {
    Quota { guaranteed, most }
}

#[track_caller]
fn stats(store: &ObjectStore, tenant: &str) -> TenantStats {
    store.check_invariants();
    store.stats().tenants[tenant]
}

#[test]
fn a_put_beyond_the_limit_lets_the_tenants_own_objects_leave() {
    for options in all_options() {
        // Many objects of others come first in the order, and there is room.
        let store = store_of(&[100_000], options.clone());
        for number in 0..2_000 {
            put_as(&store, number, &PutRequest::new(10)).unwrap();
        }
        store.tenant("a", quota(0, Some(300))).unwrap();
        for number in 5_000..5_010 {
            put_as(&store, number, &of("a", 100)).unwrap();
            assert!(stats(&store, "a").used_bytes <= 300);
        }
        let there = numbers(&store);
        assert!(
            (0..2_000).all(|number| there.contains(&number)),
            "{options:?}"
        );
        assert_eq!(there.range(5_000..).count(), 3);
        let own = stats(&store, "a");
        assert_eq!((own.evicted.objects, own.stored.bytes), (7, 300));
        assert_eq!(store.stats().evicted_bytes_per_placed_byte(), Some(1.0));
    }
}

/// Puts objects one behind the other, with the objects of others between those of a tenant of 40 bytes
/// at most: two of 10 bytes, and then one of 20.
fn put_beside_others(store: &ObjectStore) {
    store.tenant("a", quota(0, Some(40))).unwrap();
    for (number, size) in (0..).zip([20, 10, 20, 10, 20, 20, 20]) {
        let request = match number % 2 {
            0 => PutRequest::new(size),
            _ => of("a", size),
        };
        put_as(store, number, &request).unwrap();
    }
}

#[test]
fn at_the_limit_in_a_full_store_an_own_object_that_makes_the_hole_leaves_and_no_older_one_of_others()
 {
    for options in all_options() {
        let store = store_of(&[120], options);
        put_beside_others(&store);
        put_as(&store, 9, &of("a", 20)).unwrap();
        let there = numbers(&store);
        assert!([0, 2, 4, 6, 9].iter().all(|other| there.contains(other)));
        assert!(!there.contains(&5), "{there:?}");
    }
}

#[test]
fn at_the_limit_where_there_is_room_the_oldest_own_objects_leave_wherever_they_are() {
    for eviction in EVICTIONS {
        let options = StoreOptions {
            eviction,
            policy: PolicyKind::Lru,
            ..StoreOptions::default()
        };
        let store = store_of(&[1_000], options);
        put_beside_others(&store);
        put_as(&store, 9, &of("a", 20)).unwrap();
        assert_eq!(numbers(&store), [0, 2, 4, 5, 6, 9].into());
    }
}

/// Returns a store with room whose first segment has objects of 10 bytes: some of others, and then 112
/// of a tenant, all that it may have. Puts that may not use the segment have passed over all of them.
fn all_set_aside(options: StoreOptions, others: u64) -> ObjectStore {
    let count = others + 112;
    let store = store_of(&[count * 10, count * 10], options);
    store.tenant("a", quota(0, Some(1_120))).unwrap();
    for number in 0..count {
        let request = PutRequest {
            tenant: (number >= others).then_some("a"),
            preferred: &[SegmentId(1)],
            ..PutRequest::new(10)
        };
        put_as(&store, number, &request).unwrap();
    }
    (count..2 * count).for_each(|number| put_in(&store, 2, number, 10));
    let elsewhere = PutRequest {
        excluded: &[SegmentId(1)],
        ..PutRequest::new(10)
    };
    (10_000..10_020).for_each(|number| put_as(&store, number, &elsewhere).unwrap());
    let room = Segment::remote(info(3, 1_000));
    store.pool().mount(room).unwrap();
    store
}

#[test]
fn at_the_limit_own_objects_leave_that_were_set_aside_behind_those_of_others() {
    for options in all_options() {
        let store = all_set_aside(options, 592);
        put_as(&store, 20_000, &of("a", 10)).unwrap();
        assert_eq!(stats(&store, "a").evicted.objects, 1);
        assert!((0..592).all(|number| store.exists(&key(number))));
    }
}

#[test]
fn at_the_limit_own_objects_leave_that_were_set_aside_behind_those_that_are_held() {
    for options in all_options() {
        let store = all_set_aside(options, 0);
        let own = |number| (key(number), of("a", 10));
        let own: Vec<_> = (0..80).chain([20_000]).map(own).collect();
        let chain = store.put_many(&own);
        assert_eq!(chain.refusal(), None);
        assert_eq!(chain.commit().unwrap(), 81);
        assert_eq!(stats(&store, "a").stored.bytes, 1_120);
    }
}

#[test]
fn within_its_guarantee_a_tenants_own_object_leaves_before_what_is_kept_for_others() {
    for options in all_options() {
        let hand = Hand::default();
        let options = hand.with(options);
        let store = store_of(&[1_000], options);
        store.tenant("a", quota(1_000, None)).unwrap();
        let kept = PutRequest {
            keep_until: Some(Duration::from_secs(100)),
            ..PutRequest::new(100)
        };
        (0..2).for_each(|number| put_as(&store, number, &kept).unwrap());
        (2..13).for_each(|number| put_as(&store, number, &of("a", 100)).unwrap());
        let there = numbers(&store);
        assert!(there.contains(&0) && there.contains(&1), "{there:?}");
    }
}

#[test]
fn a_put_that_is_late_gives_its_tenants_bytes_back() {
    for options in all_options() {
        let hand = Hand::default();
        let options = hand.with(options);
        let grace = options.put_deadline + options.put_margin;
        let store = store_of(&[1_000], options);
        store.tenant("a", quota(0, Some(300))).unwrap();
        let late = store.put(&key(0), &of("a", 300)).unwrap();
        let refused = refusal(&store, 1, &of("a", 100));
        assert!(matches!(refused, PutError::QuotaExceeded { .. }));
        hand.pass(grace);
        put_as(&store, 1, &of("a", 100)).unwrap();
        assert_eq!(stats(&store, "a").used_bytes, 100);
        assert!(late.commit().is_err());
    }
}

#[test]
fn in_a_full_store_the_own_objects_make_the_hole_and_nobody_elses_leave() {
    for options in all_options() {
        let store = store_of(&[3_000], options);
        store.tenant("a", quota(0, Some(1_000))).unwrap();
        for number in 0..30 {
            let request = match number % 3 {
                0 => of("a", 100),
                _ => PutRequest::new(100),
            };
            put_as(&store, number, &request).unwrap();
        }
        for number in 30..60 {
            put_as(&store, number, &of("a", 100)).unwrap();
        }
        let there = numbers(&store);
        let others = (0..30).filter(|number| number % 3 > 0);
        assert!(others.into_iter().all(|number| there.contains(&number)));
        assert_eq!(stats(&store, "a").stored.bytes, 1_000);
    }
}

#[test]
fn a_refusal_names_the_quota_and_changes_nothing() {
    let store = store_of(&[1_000], StoreOptions::default());
    store.tenant("a", quota(100, Some(300))).unwrap();
    for number in 0..3 {
        put_as(&store, number, &of("a", 100)).unwrap();
        store.pin(&key(number));
    }
    put_as(&store, 3, &PutRequest::new(100)).unwrap();
    let refused = refusal(&store, 9, &of("a", 50));
    let expected = PutError::QuotaExceeded {
        tenant: "a".into(),
        asked: 50,
        used: 300,
        guaranteed: 100,
        most: 300,
    };
    assert_eq!(refused, expected);
    assert!(
        refused
            .to_string()
            .contains("\"a\", which has 300 of at most 300")
    );
    store.unpin(&key(0));
    let refused = refusal(&store, 9, &of("a", 150));
    assert!(
        matches!(refused, PutError::QuotaExceeded { .. }),
        "{refused}"
    );
    // More than it ever may have, whoever leaves.
    let refused = refusal(&store, 9, &of("a", 301));
    assert!(matches!(
        refused,
        PutError::QuotaExceeded { asked: 301, .. }
    ));
    assert_eq!(numbers(&store).len(), 4);
    assert_eq!(
        (stats(&store, "a").refused, store.stats().refused.quota),
        (3, 3)
    );
    put_as(&store, 9, &of("a", 100)).unwrap();
    assert!(!store.exists(&key(0)) && store.exists(&key(3)));
}

#[test]
fn what_was_lent_comes_back_and_what_is_guaranteed_stays() {
    for options in all_options() {
        let store = store_of(&[1_000], options.clone());
        store.tenant("a", quota(500, None)).unwrap();
        store.tenant("b", quota(300, None)).unwrap();
        // All is lent, in part to those without a tenant.
        for number in 0..10 {
            let request = match number % 5 {
                0 => PutRequest::new(100),
                _ => of("b", 100),
            };
            put_as(&store, number, &request).unwrap();
        }
        for number in 10..15 {
            put_as(&store, number, &of("a", 100)).unwrap();
            let own = stats(&store, "a");
            assert_eq!(own.stored.objects, number - 9, "its own stay: {options:?}");
        }
        assert_eq!(stats(&store, "a").evicted.objects, 0);
        assert!(stats(&store, "b").stored.bytes >= 300);
        // Whoever puts more, each keeps what it is sure of.
        for number in 100..150 {
            let request = match number % 3 {
                0 => of("b", 100),
                1 => of("c", 100),
                _ => PutRequest::new(100),
            };
            put_as(&store, number, &request).unwrap();
            assert_eq!(stats(&store, "a").stored.bytes, 500);
            assert!(stats(&store, "b").stored.bytes >= 300);
        }
        // Idle and old, they still stay; a put of its own beyond lets others go.
        put_as(&store, 200, &of("a", 100)).unwrap();
        assert!(stats(&store, "a").stored.bytes >= 500);
        assert!(stats(&store, "b").stored.bytes >= 300);
    }
}

#[test]
fn many_old_objects_of_an_idle_tenant_are_passed_over() {
    for options in all_options() {
        let store = store_of(&[30_000], options);
        store.tenant("idle", quota(20_000, None)).unwrap();
        for number in 0..2_000 {
            put_as(&store, number, &of("idle", 10)).unwrap();
        }
        for number in 10_000..14_000 {
            put_as(&store, number, &PutRequest::new(10)).unwrap();
        }
        let idle = stats(&store, "idle");
        assert_eq!((idle.stored.objects, idle.evicted.objects), (2_000, 0));
        assert_eq!(numbers(&store).len(), 3_000);
    }
}

#[test]
fn watermarks_take_nothing_that_is_guaranteed() {
    for policy in [PolicyKind::Lru, PolicyKind::Auto] {
        let options = StoreOptions {
            policy,
            watermarks: Some(Watermarks {
                high_percent: 50,
                low_percent: 30,
            }),
            ..StoreOptions::default()
        };
        let store = store_of(&[1_000], options);
        store.tenant("a", quota(400, None)).unwrap();
        for number in 0..4 {
            put_as(&store, number, &of("a", 100)).unwrap();
        }
        for number in 10..30 {
            put_as(&store, number, &PutRequest::new(100)).unwrap();
        }
        assert_eq!(stats(&store, "a").stored.bytes, 400);
        assert!(store.stats().by_watermark.objects > 10);
    }
}

#[test]
fn quotas_that_do_not_fit_are_refused() {
    let store = store_of(&[1_000], StoreOptions::default());
    store.tenant("a", quota(600, None)).unwrap();
    let refused = store.tenant("b", quota(401, None));
    let expected = TenantError::Overcommitted {
        guaranteed: 401,
        others: 600,
        capacity: 1_000,
    };
    assert_eq!(refused, Err(expected));
    let refused = store.tenant("b", quota(300, Some(200)));
    let expected = TenantError::MostBelowGuaranteed {
        guaranteed: 300,
        most: 200,
    };
    assert_eq!(refused, Err(expected));
    assert!(!store.stats().tenants.contains_key("b"));
    store.tenant("a", quota(500, Some(500))).unwrap();
    store.tenant("b", quota(500, None)).unwrap();
    assert_eq!(stats(&store, "a").most_bytes, Some(500));
}

#[test]
fn a_limit_below_what_is_there_takes_effect_with_the_next_put() {
    let store = store_of(&[1_000], StoreOptions::default());
    for number in 0..6 {
        put_as(&store, number, &of("a", 100)).unwrap();
    }
    store.tenant("a", quota(0, Some(250))).unwrap();
    assert_eq!(stats(&store, "a").used_bytes, 600);
    put_as(&store, 6, &of("a", 100)).unwrap();
    assert_eq!(stats(&store, "a").stored.bytes, 200);
    assert!(store.exists(&key(6)));
}

#[test]
fn sums_are_right_whatever_ends_objects_and_puts() {
    let hand = Hand::default();
    let options = StoreOptions {
        put_margin: Duration::from_secs(1),
        ..hand.options()
    };
    let store = local_store_of(&[1_000, 1_000], options);
    store.tenant("a", quota(0, Some(900))).unwrap();
    let used = || stats(&store, "a").used_bytes;
    let pair = PutRequest {
        replicas: Replicas::exact(2),
        ..of("a", 100)
    };
    let put = store.put(&key(1), &pair).unwrap();
    assert_eq!(used(), 200, "a put counts before it is committed");
    drop(put);
    assert_eq!(used(), 0);
    let late = store.put(
        &key(1),
        &PutRequest {
            deadline: Some(Duration::from_secs(5)),
            ..pair
        },
    );
    let late = late.unwrap();
    hand.pass_seconds(6);
    assert_eq!(used(), 0, "the deadline gives it back");
    drop(late);
    put_as(&store, 2, &pair).unwrap();
    let one = PutRequest {
        preferred: &[SegmentId(1)],
        ..of("a", 100)
    };
    put_as(&store, 3, &one).unwrap();
    store.add_replica(&key(3), copy_bytes).unwrap().unwrap();
    assert_eq!(used(), 400, "a replica that is added counts");
    store.tenant("a", quota(0, Some(450))).unwrap();
    put_as(&store, 4, &of("a", 50)).unwrap();
    for number in [2, 3] {
        store.pin(&key(number));
    }
    store.pin(&key(4));
    let refused = store.add_replica(&key(4), copy_bytes).unwrap();
    let is_quota = |error: &AddReplicaError| {
        matches!(
            error,
            AddReplicaError::NoRoom(PutError::QuotaExceeded { .. })
        )
    };
    assert!(refused.is_err_and(|error| is_quota(&error)));
    store.remove(&key(2), Removal::Now).unwrap();
    assert_eq!(used(), 250);
    let held = store.get(&key(3)).unwrap();
    store.unpin(&key(3));
    store.remove(&key(3), Removal::Detach).unwrap();
    assert_eq!(used(), 50, "what was removed counts for nobody");
    drop(held);
    store.unmount(SegmentId(1)).unwrap();
    store.unmount(SegmentId(2)).unwrap();
    assert_eq!(used(), 0);
}

#[test]
fn moved_objects_are_charged_once() {
    let store = local_store_of(&[1_000, 1_000], StoreOptions::default());
    store.tenant("a", quota(0, Some(300))).unwrap();
    let one = PutRequest {
        preferred: &[SegmentId(1)],
        ..of("a", 100)
    };
    for number in 0..3 {
        put_as(&store, number, &one).unwrap();
    }
    store.pool().drain(SegmentId(1)).unwrap();
    let moved = store.move_out(SegmentId(1), copy_bytes).unwrap();
    assert_eq!((moved.replicas, moved.left.len()), (3, 0));
    assert_eq!(stats(&store, "a").used_bytes, 300);
}

#[test]
fn quotas_and_tenants_of_objects_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        // So that a compaction writes what is read.
        journal: JournalOptions {
            compact_bytes: 1,
            file_bytes: 4_096,
            ..JournalOptions::default()
        },
        ..StoreOptions::default()
    };
    let open = || {
        let again = |info: &SegmentInfo| Some(Segment::remote(info.clone()));
        let pool = pool(Strategy::Random, 1);
        ObjectStore::open(directory.path(), pool, options.clone(), again).unwrap()
    };
    let store = open().store;
    store
        .pool()
        .mount(Segment::remote(info(1, 10_000)))
        .unwrap();
    store.tenant("a", quota(2_000, Some(1 << 40))).unwrap();
    store.tenant("a", quota(1_000, Some(3_000))).unwrap();
    store.tenant("other", quota(5, None)).unwrap();
    for number in 0..200 {
        let tenant = ["a", "b"][usize::try_from(number % 2).unwrap()];
        put_as(&store, number, &of(tenant, 100)).unwrap();
    }
    let before = [stats(&store, "a"), stats(&store, "b")];
    assert_eq!(before[0].used_bytes, 3_000);
    // Long enough for the thread that compacts.
    thread::sleep(Duration::from_millis(300));
    drop(store);
    for _ in 0..2 {
        let opened = open();
        assert_eq!((opened.damage, opened.lost.len()), (vec![], 0));
        let store = opened.store;
        for (tenant, before) in ["a", "b"].into_iter().zip(before) {
            let after = stats(&store, tenant);
            assert_eq!(
                (after.stored, after.used_bytes),
                (before.stored, before.used_bytes)
            );
            assert_eq!(after.guaranteed_bytes, before.guaranteed_bytes);
            assert_eq!(after.most_bytes, before.most_bytes);
        }
        assert_eq!(stats(&store, "other").guaranteed_bytes, 5);
        // It is at its limit still, and what it lets go is its own.
        let newest = numbers(&store).last().unwrap() + 2;
        put_as(&store, newest, &of("a", 100)).unwrap();
        assert_eq!(stats(&store, "a").used_bytes, 3_000);
        assert_eq!(stats(&store, "b").stored, before[1].stored);
    }
}

/// Names of tenants, what each is sure of and may have, in objects.
const CROWD: [(&str, u64, Option<u64>); 3] =
    [("a", 40, None), ("b", 30, Some(50)), ("c", 20, None)];

const SIZE: u64 = 100;

/// Tells threads that it is over when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn threads_never_take_what_is_guaranteed_nor_exceed_a_limit() {
    for policy in [PolicyKind::Lru, PolicyKind::Auto] {
        // Each thread may have one put in flight, which nobody can take.
        let capacity = (40 + 30 + 20 + 2 * CROWD.len() as u64) * SIZE;
        let options = StoreOptions {
            policy,
            ..StoreOptions::default()
        };
        let store = store_of(&[capacity], options);
        for (name, guaranteed, most) in CROWD {
            let most = most.map(|most| most * SIZE);
            store.tenant(name, quota(guaranteed * SIZE, most)).unwrap();
        }
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let workers = CROWD.map(|(name, guaranteed, _)| {
                let (store, is_over) = (&store, &is_over);
                scope.spawn(move || {
                    let name_number = u64::from(name.as_bytes()[0]);
                    let mut number = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let id = name_number << 32 | number;
                        number += 1;
                        put_as(store, id, &of(name, SIZE)).unwrap();
                        let _ = store.get(&key((name_number << 32) | (number / 2)));
                    }
                    (number, guaranteed)
                })
            });
            // Whatever fails here, the others end.
            let _end = End(&is_over);
            let mut was_full = [false; CROWD.len()];
            let (begun, least) = (Instant::now(), Duration::from_millis(500));
            while begun.elapsed() < least || was_full.contains(&false) {
                assert!(begun.elapsed() < Duration::from_secs(100), "{was_full:?}");
                let stats = store.stats().tenants;
                for ((name, guaranteed, most), was_full) in CROWD.iter().zip(&mut was_full) {
                    let own = stats[*name];
                    *was_full |= own.stored.objects >= *guaranteed;
                    // Its own put may let one of its own leave before it is committed, and so again
                    // if a put in flight of another has taken the room, which nobody can take back.
                    let in_flight = CROWD.len() as u64;
                    assert!(
                        !*was_full || own.stored.objects + in_flight >= *guaranteed,
                        "{name} has {} of {guaranteed}",
                        own.stored.objects
                    );
                    assert!(most.is_none_or(|most| own.stored.objects <= most), "{name}");
                }
            }
            is_over.store(true, Ordering::Relaxed);
            for worker in workers {
                let (puts, guaranteed) = worker.join().unwrap();
                assert!(puts > guaranteed);
            }
        });
        store.check_invariants();
    }
}
