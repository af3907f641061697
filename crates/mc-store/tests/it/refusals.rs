//! A put that is refused has changed nothing, and says what is in its way.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{collections::BTreeSet, time::Duration};

use crate::common::{
    info, memory,
    objects::{
        Hand, all_options, assert_all_space_is_of_objects, key, left, numbers, put, put_as, put_in,
        refusal, store_of,
    },
    pool,
};
use mc_segment::{
    Fit, Memory, RegistrationLimit, ReplicaPolicy, Replicas, Segment, SegmentId, SegmentInfo,
    Strategy,
};
use mc_store::{
    Compaction, InTheWay, ObjectStore, PolicyKind, PutError, PutRequest, Quota, Removal,
    StoreOptions,
};

/// Refuses a put and checks that nothing has changed.
#[track_caller]
fn refuse(store: &ObjectStore, request: &PutRequest<'_>) -> PutError {
    let before = numbers(store);
    let events = store.events(10);
    let refused = refusal(store, u64::MAX, request);
    assert_eq!(numbers(store), before, "{refused}");
    assert_eq!(events.drain(), []);
    assert_all_space_is_of_objects(store);
    refused
}

/// As [`refuse`]; returns what is in the way.
#[track_caller]
fn in_the_way(store: &ObjectStore, request: &PutRequest<'_>) -> InTheWay {
    match refuse(store, request) {
        PutError::NoRoom { in_the_way, .. } => in_the_way,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_pinned_object_costs_no_other_its_place() {
    for options in all_options() {
        for (count, pinned) in [(1_000, 500), (100, 3), (20, 19)] {
            let store = store_of(&[count * 10], options.clone());
            (0..count).for_each(|number| put(&store, number, 10));
            assert!(store.pin(&key(pinned)));
            for _ in 0..20 {
                let found = in_the_way(&store, &PutRequest::new(count * 10));
                assert_eq!((found.pinned, found.leased, found.in_flight), (1, 0, 0));
            }
            assert!(store.unpin(&key(pinned)));
            put(&store, u64::MAX, count * 10);
            assert_eq!(numbers(&store), BTreeSet::from([u64::MAX]));
        }
    }
}

#[test]
fn leases_are_in_the_way_until_they_end() {
    for options in all_options() {
        for count in [100, 700] {
            let hand = Hand::default();
            let options = hand.with(options.clone());
            let store = store_of(&[count * 10], options);
            (0..count).for_each(|number| put(&store, number, 10));
            let held: Vec<_> = (0..count / 2)
                .map(|n| store.get(&key(n)).unwrap())
                .collect();
            for number in count / 2..count {
                drop(store.get_for(&key(number), Duration::from_secs(10)));
            }
            for _ in 0..3 {
                assert_eq!(in_the_way(&store, &PutRequest::new(1)).leased, count);
            }
            drop(held);
            // Those that are held no more leave, the others stay.
            let half = count / 2 * 10;
            let found = in_the_way(&store, &PutRequest::new(half + 1));
            assert_eq!(found.leased, count - count / 2);
            let pieces = PutRequest {
                max_extents: 1_024,
                ..PutRequest::new(half)
            };
            put_as(&store, 1_000, &pieces).unwrap();
            hand.pass_seconds(10);
            put(&store, 1_001, count * 10);
            assert_eq!(numbers(&store), BTreeSet::from([1_001]));
            assert_all_space_is_of_objects(&store);
        }
    }
}

#[test]
fn puts_in_flight_are_in_the_way_until_they_end() {
    for options in all_options() {
        for (count, unit) in [(10, 10), (300, 1_000)] {
            let store = store_of(&[count * unit], options.clone());
            let mut puts = Vec::new();
            for number in 0..count {
                let request = PutRequest::new(unit);
                match number % 2 {
                    0 => puts.push(store.put(&key(number), &request).unwrap()),
                    _ => put(&store, number, unit),
                }
            }
            let most = count / 2 * unit;
            let refused = refusal(&store, 1_000, &PutRequest::new(most + 1));
            let PutError::NoRoom { in_the_way, .. } = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(in_the_way.in_flight, count / 2);
            assert_eq!(numbers(&store).len() as u64, count / 2);
            drop(puts);
            put(&store, 1_000, most + 1);
        }
    }
}

#[test]
fn one_replica_without_room_costs_nothing_for_the_other() {
    for options in all_options() {
        for (count, unit) in [(10, 100), (200, 7)] {
            let store = store_of(&[count * unit; 3], options.clone());
            for number in 0..3 * count {
                put_in(&store, u128::from(number / count + 1), number, unit);
            }
            // Room can be made in the first segment only.
            (count..3 * count).for_each(|number| assert!(store.pin(&key(number))));
            for replicas in [2, 3] {
                let request = PutRequest {
                    replicas: Replicas::exact(replicas),
                    ..PutRequest::new(unit)
                };
                assert_eq!(in_the_way(&store, &request).pinned, 2 * count);
            }
            put(&store, 1_000, unit);
            assert_eq!(store.stats().on_demand.objects, 1);
        }
    }
}

#[test]
fn what_can_never_be_placed_evicts_nothing() {
    for options in all_options() {
        for unit in [10, 4_096] {
            let store = store_of(&[10 * unit, 5 * unit], options.clone());
            (0..15).for_each(|number| put(&store, number, unit));
            let all = [SegmentId(1), SegmentId(2)];
            for request in [
                PutRequest::new(10 * unit + 1),
                PutRequest::new(u64::MAX),
                PutRequest {
                    excluded: &all,
                    ..PutRequest::new(1)
                },
                PutRequest {
                    excluded: &all[..1],
                    ..PutRequest::new(5 * unit + 1)
                },
                PutRequest {
                    replicas: Replicas::exact(3),
                    ..PutRequest::new(1)
                },
                PutRequest {
                    replicas: Replicas::exact(2),
                    ..PutRequest::new(5 * unit + 1)
                },
                PutRequest {
                    align: 1 << 63,
                    ..PutRequest::new(1)
                },
            ] {
                let refused = refuse(&store, &request);
                assert!(matches!(refused, PutError::Place(_)), "{refused:?}");
            }
            assert_eq!(store.stats().refused.impossible, 7);
        }
    }
}

#[test]
fn refused_puts_leave_the_order_of_leaving_as_it_was() {
    // Those that learn rank anew with some searches, whether or not somebody leaves after them.
    let learns = |policy| matches!(policy, PolicyKind::ReuseAge | PolicyKind::Auto);
    for options in all_options().filter(|options| !learns(options.policy)) {
        for (count, pinned) in [(30, 11), (200, 120)] {
            let [quiet, refusing] = [(); 2].map(|()| store_of(&[count * 10], options.clone()));
            for store in [&quiet, &refusing] {
                (0..count).for_each(|number| put(store, number, 10));
                for number in (0..count).step_by(7) {
                    drop(store.get(&key(number)));
                }
                assert!(store.pin(&key(pinned)));
            }
            let events = [quiet.events(10_000), refusing.events(10_000)];
            for number in 0..count {
                refuse(&refusing, &PutRequest::new(count * 10));
                for store in [&quiet, &refusing] {
                    put(store, 1_000 + number, 10);
                }
            }
            let [quiet, refusing] = events.map(|events| left(&events));
            assert_eq!(quiet, refusing, "{options:?}");
        }
    }
}

#[test]
fn detached_objects_that_are_held_are_in_the_way() {
    for options in all_options() {
        let hand = Hand::default();
        let options = hand.with(options.clone());
        let store = store_of(&[1_000], options);
        (0..10).for_each(|number| put(&store, number, 100));
        drop(store.get_for(&key(0), Duration::from_secs(5)));
        let held = store.get(&key(1)).unwrap();
        for number in 0..2 {
            store.remove(&key(number), Removal::Detach).unwrap();
        }
        let whole = PutRequest::new(1_000);
        let refused = |expected| {
            let before = numbers(&store);
            let refused = refusal(&store, 50, &whole);
            let PutError::NoRoom { in_the_way, .. } = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(in_the_way.lingering, expected);
            assert_eq!(numbers(&store), before);
        };
        refused(1);
        drop(held);
        refused(1);
        hand.pass_seconds(5);
        put_as(&store, 50, &whole).unwrap();
        assert_eq!(numbers(&store), BTreeSet::from([50]));
    }
}

/// Returns a store over remote segments that are full of objects of some size, numbered from 0 on in the order
/// of their addresses; all are pinned but those of some numbers.
fn full_but(
    segments: impl IntoIterator<Item = SegmentInfo>,
    size: u64,
    idle: std::ops::Range<u64>,
    options: &StoreOptions,
) -> ObjectStore {
    let pool = pool(Strategy::default(), 1);
    let mut next = 0;
    let store = ObjectStore::new(pool, options.clone()).unwrap();
    for segment in segments {
        let (id, base, bytes) = (segment.id.0, segment.base, segment.size);
        store.pool().mount(Segment::remote(segment)).unwrap();
        for at in 0..bytes / size {
            put_in(&store, id, next, size);
            let lease = store.get(&key(next)).unwrap();
            assert_eq!(lease.descriptors()[0].address, base + at * size);
            if !idle.contains(&next) {
                assert!(store.pin(&key(next)));
            }
            next += 1;
        }
    }
    store
}

#[test]
fn pieces_before_the_last_have_multiples_of_the_alignment() {
    for options in all_options() {
        let store = full_but([info(1, 1_000)], 100, 0..10, &options);
        for number in (1..10).step_by(2) {
            assert!(store.pin(&key(number)));
        }
        // Behind multiples of 64, what could leave has 100, 44, 52, 60 and 68 bytes.
        let pieces = |size| PutRequest {
            align: 64,
            max_extents: 3,
            ..PutRequest::new(size)
        };
        refuse(&store, &pieces(200));
        put_as(&store, 100, &pieces(128)).unwrap();
        assert_all_space_is_of_objects(&store);
    }
}

#[test]
fn nobody_leaves_for_a_hole_across_two_registrations() {
    for options in all_options() {
        for max_extents in [1, 2] {
            let mut two = info(1, 8_192);
            two.options.registration = Some(RegistrationLimit {
                max_bytes: 4_096,
                align: 4_096,
            });
            let store = full_but([two], 1_024, 3..5, &options);
            let request = PutRequest {
                max_extents,
                ..PutRequest::new(2_048)
            };
            refuse(&store, &request);
            store.unpin(&key(2));
            put_as(&store, 100, &request).unwrap();
            assert!(!store.exists(&key(2)) && !store.exists(&key(3)));
        }
    }
}

#[test]
fn nobody_leaves_where_no_address_is_aligned_as_asked() {
    for options in all_options() {
        let mut odd = info(2, 1 << 16);
        odd.base += 512;
        let store = full_but([info(1, 1 << 16), odd], 1 << 13, 8..16, &options);
        let request = PutRequest {
            align: 4_096,
            ..PutRequest::new(1 << 13)
        };
        refuse(&store, &request);
        store.unpin(&key(0));
        put_as(&store, 100, &request).unwrap();
        assert!(!store.exists(&key(0)));
    }
}

#[test]
fn nobody_leaves_where_the_granule_lets_no_aligned_place_begin() {
    for options in all_options() {
        let mut twelve = info(1, 1_200);
        twelve.options.granule = 12;
        // Places begin at multiples of 48.
        let store = full_but([twelve], 12, 1..6, &options);
        let request = PutRequest {
            align: 16,
            ..PutRequest::new(48)
        };
        refuse(&store, &request);
        for number in 6..8 {
            store.unpin(&key(number));
        }
        put_as(&store, 100, &request).unwrap();
        assert_eq!(
            store.get(&key(100)).unwrap().descriptors()[0].address % 48,
            (1 << 40) % 48
        );
    }
}

#[test]
fn nobody_leaves_for_a_hole_that_a_fit_of_bins_does_not_find() {
    for options in all_options() {
        // A hole of 1,000 bytes is in the bin from 960 on; where one of 1,024 begins is not looked at.
        for (fit, size, align) in [(Fit::BinExact, 500, 1), (Fit::BinCeil, 512, 16)] {
            let mut bins = info(1, 32 * size + size / 5);
            bins.options.fit = fit;
            let store = full_but([bins], size, 4..6, &options);
            let request = PutRequest {
                align,
                ..PutRequest::new(2 * size)
            };
            refuse(&store, &request);
            store.unpin(&key(6));
            put_as(&store, 100, &request).unwrap();
            assert_all_space_is_of_objects(&store);
        }
    }
}

#[test]
fn one_leaves_where_a_segment_may_have_no_more_and_has_room() {
    for options in all_options() {
        for (count, size, align) in [(10, 20, 1), (100, 5_000, 1), (100, 5_000, 64)] {
            let mut few = info(1, 100_000);
            few.options.max_allocations = Some(count);
            let pool = pool(Strategy::default(), 1);
            pool.mount(Segment::remote(few)).unwrap();
            let store = ObjectStore::new(pool, options.clone()).unwrap();
            let count = u64::from(count);
            (0..count).for_each(|number| put(&store, number, 10));
            let request = PutRequest {
                align,
                ..PutRequest::new(size)
            };
            let events = store.events(100);
            for number in count..count + 5 {
                put_as(&store, number, &request).unwrap();
                let left = left(&events);
                assert_eq!(left.len(), 1, "{left:?} left for {size}: {options:?}");
            }
        }
    }
}

#[test]
fn one_leaves_where_a_segment_may_have_no_more_and_has_just_the_room() {
    for options in all_options() {
        let (size, align) = (5_000, 64);
        // Wherever the hole begins, there is room from an aligned address on.
        let mut few = info(1, 100 * 10 + size + align - 1);
        few.options.max_allocations = Some(100);
        let pool = pool(Strategy::default(), 1);
        pool.mount(Segment::remote(few)).unwrap();
        let store = ObjectStore::new(pool, options.clone()).unwrap();
        (0..100).for_each(|number| put(&store, number, 10));
        let request = PutRequest {
            align,
            ..PutRequest::new(size)
        };
        put_as(&store, 100, &request).unwrap();
        assert_eq!(store.stats().on_demand.objects, 1, "{options:?}");
    }
}

#[test]
fn one_leaves_where_a_segment_may_have_no_more_though_older_ones_elsewhere_make_no_hole() {
    let options = StoreOptions {
        policy: PolicyKind::Lru,
        ..StoreOptions::default()
    };
    let mut few = info(2, 100_000);
    few.options.max_allocations = Some(10);
    let store = full_but([info(1, 4_000)], 10, 0..400, &options);
    store.pool().mount(Segment::remote(few)).unwrap();
    // Every other one stays, so that none beside another leaves.
    (0..400)
        .step_by(2)
        .for_each(|number| assert!(store.pin(&key(number))));
    (400..410).for_each(|number| put_in(&store, 2, number, 10));
    let oldest = 405;
    for number in (400..410).filter(|number| *number != oldest) {
        drop(store.get(&key(number)).unwrap());
    }
    let events = store.events(100);
    put(&store, 500, 1_000);
    assert_eq!(left(&events), [oldest]);
}

#[test]
fn nothing_moves_where_only_the_number_of_allocations_is_in_the_way() {
    let pool = pool(Strategy::default(), 1);
    let mut few = info(1, 100_000);
    few.options.max_allocations = Some(10);
    let memory = Memory::pool(memory(100_000));
    pool.mount(Segment::local(few, memory)).unwrap();
    let options = StoreOptions {
        compaction: Compaction::moving(1.0),
        ..StoreOptions::default()
    };
    let store = ObjectStore::new(pool, options).unwrap();
    (0..10).for_each(|number| put(&store, number, 1_000));
    for number in 10..15 {
        put(&store, number, 10_000);
        assert_eq!(store.stats().on_demand.objects, number - 9);
    }
    assert_eq!(store.stats().moved.objects, 0);
    store.check_invariants();
}

#[test]
fn objects_leave_where_a_segment_may_have_no_more() {
    for options in all_options() {
        let mut ten = info(1, 100_000);
        ten.options.max_allocations = Some(10);
        let pool = pool(Strategy::default(), 1);
        pool.mount(Segment::remote(ten)).unwrap();
        let store = ObjectStore::new(pool, options.clone()).unwrap();
        for number in 0..10 {
            put(&store, number, 10);
        }
        for number in 10..30 {
            put(&store, number, 20);
        }
        let pieces = PutRequest {
            max_extents: 4,
            ..PutRequest::new(1_000)
        };
        for number in 30..40 {
            put_as(&store, number, &pieces).unwrap();
        }
        assert!(numbers(&store).len() <= 10, "{options:?}");
    }
}

#[test]
fn a_request_without_sense_lets_nothing_of_its_tenant_leave() {
    type Spoil = fn(&mut PutRequest<'_>);
    let spoilt: [(&str, Spoil); 6] = [
        ("no pieces", |request| request.max_extents = 0),
        ("an odd alignment", |request| request.align = 3),
        ("no alignment", |request| request.align = 0),
        ("no bytes", |request| request.size = 0),
        ("no replicas", |request| {
            request.replicas = Replicas::exact(0);
        }),
        ("more than all replicas", |request| {
            request.replicas.policy = ReplicaPolicy::AtLeast(2);
        }),
    ];
    for options in all_options() {
        for (name, spoil) in spoilt {
            let store = store_of(&[1_000], options.clone());
            let mut own = PutRequest {
                tenant: Some("own"),
                ..PutRequest::new(10)
            };
            (0..10).for_each(|number| put_as(&store, number, &own).unwrap());
            // Fewer than it has, so that every put is one too many.
            let quota = Quota {
                guaranteed: 0,
                most: Some(95),
            };
            store.tenant("own", quota).unwrap();
            spoil(&mut own);
            let refused = refuse(&store, &own);
            assert!(matches!(refused, PutError::Place(_)), "{name}: {refused}");
        }
    }
}

#[test]
fn replicas_that_a_limit_forbids_are_left_out_where_fewer_will_do() {
    for options in all_options() {
        let store = store_of(&[1_000, 1_000, 1_000], options.clone());
        let limit = |most| {
            let quota = Quota {
                guaranteed: 0,
                most: Some(most),
            };
            store.tenant("a", quota).unwrap();
        };
        limit(250);
        let replicated = |count, policy| PutRequest {
            replicas: Replicas { count, policy },
            tenant: Some("a"),
            ..PutRequest::new(100)
        };
        let used = || {
            store.check_invariants();
            store.stats().tenants["a"].used_bytes
        };
        let refused = refusal(&store, 0, &replicated(3, ReplicaPolicy::Exact));
        let is_refused = matches!(refused, PutError::QuotaExceeded { asked: 300, .. });
        assert!(is_refused, "{refused}");
        put_as(&store, 0, &replicated(3, ReplicaPolicy::BestEffort)).unwrap();
        assert_eq!(used(), 200);
        // One has to be, and its own object leaves for it; then there is room for two.
        put_as(&store, 1, &replicated(3, ReplicaPolicy::BestEffort)).unwrap();
        assert_eq!((used(), numbers(&store)), (200, [1].into()), "{options:?}");
        put_as(&store, 2, &replicated(3, ReplicaPolicy::AtLeast(2))).unwrap();
        assert_eq!((used(), numbers(&store)), (200, [2].into()), "{options:?}");
        // No own object leaves for what may be left out, however much that is.
        limit(350);
        put_as(&store, 3, &replicated(u32::MAX, ReplicaPolicy::BestEffort)).unwrap();
        assert_eq!(
            (used(), numbers(&store)),
            (300, [2, 3].into()),
            "{options:?}"
        );
    }
}

/// Where a put finds room only after all it has tried, its tenant pays for what it has got.
#[test]
fn a_tenant_is_charged_for_the_replicas_that_there_are() {
    // What one call gives back at once, and how often a put tries.
    const LATE: u64 = 256 * 64;
    let hand = Hand::default();
    let options = hand.with(StoreOptions {
        put_margin: Duration::from_secs(1),
        ..StoreOptions::default()
    });
    let store = store_of(&[LATE, 1], options);
    let late = PutRequest {
        preferred: &[SegmentId(1)],
        deadline: Some(Duration::from_secs(1)),
        ..PutRequest::new(1)
    };
    let puts: Vec<_> = (0..LATE)
        .map(|number| store.put(&key(number), &late).unwrap())
        .collect();
    hand.pass(Duration::from_secs(1));
    assert!(store.in_flight().is_empty());
    drop(puts);
    hand.pass(Duration::from_secs(1));
    let one_or_two = PutRequest {
        tenant: Some("own"),
        replicas: Replicas {
            count: 2,
            policy: ReplicaPolicy::AtLeast(1),
        },
        ..PutRequest::new(LATE)
    };
    put_as(&store, LATE, &one_or_two).unwrap();
    store.check_invariants();
    let own = store.stats().tenants["own"];
    assert_eq!((own.used_bytes, own.stored.bytes), (LATE, LATE));
}
