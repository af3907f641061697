//! What a put evicts: about its own bytes, the old ones first, and never what
//! is in use.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::collections::HashMap;

use crate::common::{mount_sizes, pool};
use mc_segment::{SegmentId, Strategy};
use mc_store::{
    Cause, EventKind, Eviction, Lease, ObjectStore, PolicyKind, PutError, PutRequest, Removal,
    StoreOptions,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A store that has been full for a while.
struct Aged {
    store: ObjectStore,
    /// The call that used each object last, by its number.
    last_use: HashMap<u64, u64>,
}

/// Returns a store with small records beside payloads of 10.5 to 12.4 MiB.
fn aged_store(eviction: Eviction, sizes: &[u64]) -> Aged {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, sizes);
    let options = StoreOptions {
        eviction,
        policy: PolicyKind::Lru,
        ..StoreOptions::default()
    };
    let store = ObjectStore::new(pool, options).unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    let capacity: u64 = sizes.iter().sum();
    let mut last_use = HashMap::new();
    let mut number = 0_u64;
    while store.stats().committed_bytes < 3 * capacity {
        let size = match random.random_range(0..4) {
            0 => random.random_range(256..=10 * KIB),
            _ => random.random_range(10 * MIB + MIB / 2..=12 * MIB + 2 * MIB / 5),
        };
        put(&store, number, size).unwrap();
        last_use.insert(number, number);
        // Some of what was stored of late is used again.
        let back = random.random_range(0..100.min(number + 1));
        if store.get(&(number - back).to_le_bytes()).is_some() {
            last_use.insert(number - back, number);
        }
        number += 1;
    }
    Aged { store, last_use }
}

fn put(store: &ObjectStore, number: u64, size: u64) -> Result<(), PutError> {
    let put = store.put(&number.to_le_bytes(), &PutRequest::new(size))?;
    put.commit().unwrap();
    Ok(())
}

/// Returns the bytes that a put evicts.
fn evicted_by_put(store: &ObjectStore, size: u64) -> u64 {
    let before = store.stats().on_demand.bytes;
    put(store, u64::MAX, size).unwrap();
    store.stats().on_demand.bytes - before
}

#[test]
fn an_object_of_one_and_a_quarter_gib_evicts_about_its_own_bytes() {
    const HUGE: u64 = 1_280 * MIB;
    for sizes in [&[16 << 30][..], &[4 << 30; 4]] {
        let aged = aged_store(Eviction::Window, sizes);
        let bytes = evicted_by_put(&aged.store, HUGE);
        assert!(bytes < HUGE * 11 / 10, "{bytes} bytes evicted");

        let aged = aged_store(Eviction::InOrder, sizes);
        let bytes = evicted_by_put(&aged.store, HUGE);
        assert!(bytes > 2 * HUGE, "{bytes} bytes evicted without windows");
    }
}

#[test]
fn windows_prefer_old_objects() {
    let Aged { store, last_use } = aged_store(Eviction::Window, &[16 << 30]);
    let last = last_use.len() as u64;
    let events = store.events(10_000);
    put(&store, u64::MAX, 256 * MIB).unwrap();
    let ages: Vec<u64> = events
        .drain()
        .iter()
        .filter(|event| event.kind == EventKind::Left(Cause::OnDemand))
        .map(|event| last - last_use[&u64::from_le_bytes(event.key[..].try_into().unwrap())])
        .collect();
    let mean = ages.iter().sum::<u64>() / ages.len() as u64;
    // Ages run from 0 to about one call per object.
    let objects = store.stats().objects;
    assert!(
        mean > objects * 6 / 10,
        "victims of mean age {mean}, {objects} objects"
    );
}

#[test]
fn objects_in_use_are_in_no_window() {
    let Aged { store, .. } = aged_store(Eviction::Window, &[1 << 30]);
    let last = store.stats().committed;
    let mut held: Vec<Lease> = Vec::new();
    let mut pinned = Vec::new();
    for number in (0..last).rev() {
        let key = number.to_le_bytes();
        match number % 9 {
            0 => held.extend(store.get(&key)),
            1 if store.pin(&key) => pinned.push(number),
            _ => {}
        }
    }
    let in_flight = store.put(b"in flight", &PutRequest::new(3 * MIB)).unwrap();
    let bytes_in_use: u64 = held.iter().map(Lease::size).sum();
    assert!(bytes_in_use > 50 * MIB && !pinned.is_empty());
    let (mut size, mut number) = (200 * MIB, u64::MAX);
    while size > KIB {
        number -= 1;
        match put(&store, number, size) {
            Ok(()) => assert!(store.pin(&number.to_le_bytes())),
            Err(PutError::NoRoom { .. }) => size = size * 9 / 10,
            Err(error) => panic!("{error}"),
        }
        store.check_invariants();
    }
    assert!(held.iter().all(|lease| store.exists(lease.key())));
    assert!(
        pinned
            .iter()
            .all(|number| store.exists(&number.to_le_bytes()))
    );
    in_flight.commit().unwrap();
    assert!(store.exists(b"in flight"));
}

#[test]
fn equal_objects_leave_in_the_order_of_their_last_use() {
    for eviction in [Eviction::Window, Eviction::InOrder] {
        let pool = pool(Strategy::Random, 1);
        mount_sizes(&pool, &[100 * MIB, 100 * MIB]);
        let options = StoreOptions {
            eviction,
            ..StoreOptions::default()
        };
        let store = ObjectStore::new(pool, options).unwrap();
        for number in 0..1_000 {
            put(&store, number, MIB).unwrap();
            let is_stored = |number: u64| store.exists(&number.to_le_bytes());
            assert!(is_stored(number.saturating_sub(199)), "{number}: too few");
            assert!(
                number < 200 || !is_stored(number - 200),
                "{number}: too many"
            );
        }
        assert_eq!(store.stats().evicted_bytes_per_placed_byte(), Some(1.0));
    }
}

#[test]
fn a_put_takes_the_place_over_of_the_one_that_leaves_for_it() {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, &[8 * MIB]);
    let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
    let address = |number: u64| {
        let lease = store.get(&number.to_le_bytes()).unwrap();
        lease.descriptors()[0].address
    };
    for (number, size) in [MIB / 2, MIB, MIB / 4, 25 * MIB / 4]
        .into_iter()
        .enumerate()
    {
        put(&store, number as u64, size).unwrap();
    }
    let before = address(1);
    assert!(store.get(&3_u64.to_le_bytes()).is_some());
    // What is free then begins before it and ends behind it: whoever looked for room there would
    // find another place.
    for number in [0_u64, 2] {
        store.remove(&number.to_le_bytes(), Removal::Now).unwrap();
    }
    put(&store, 4, MIB).unwrap();
    assert!(!store.exists(&1_u64.to_le_bytes()));
    assert_eq!(address(4), before);
    store.check_invariants();
}

#[test]
fn a_put_is_refused_only_if_nothing_more_may_go() {
    let Aged { store, .. } = aged_store(Eviction::Window, &[256 * MIB, 256 * MIB]);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(9);
    for round in 0..300_u64 {
        let size = random.random_range(1..=256 * MIB);
        put(&store, u64::MAX - round, size).unwrap();
        store.check_invariants();
    }
    assert_eq!(store.stats().refused.no_space, 0);
}

/// Returns which of some objects a put of 4 MiB leaves, in a full segment that
/// holds them in this order; those marked are pinned.
fn left_by_a_put(sizes_mib: &[(u64, bool)]) -> Vec<u64> {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, &[sizes_mib.iter().map(|(size, _)| size * MIB).sum()]);
    let options = StoreOptions {
        policy: PolicyKind::Lru,
        ..StoreOptions::default()
    };
    let store = ObjectStore::new(pool, options).unwrap();
    for (number, &(size, is_pinned)) in (0..).zip(sizes_mib) {
        put(&store, number, size * MIB).unwrap();
        assert!(!is_pinned || store.pin(&number.to_le_bytes()));
    }
    put(&store, u64::MAX, 4 * MIB).unwrap();
    let numbers = 0..sizes_mib.len() as u64;
    numbers
        .filter(|number| store.exists(&number.to_le_bytes()))
        .collect()
}

#[test]
fn those_whose_turn_has_come_leave_with_a_plan() {
    const PIN: (u64, bool) = (1, true);
    let free = |size| (size, false);
    // The oldest makes no hole alone, and goes with the next one, which does.
    assert_eq!(
        left_by_a_put(&[free(1), PIN, free(4), free(4), PIN]),
        [1, 3, 4]
    );
    // Up to twice the bytes of the request.
    let sizes = [free(3), PIN, free(3), PIN, free(3), PIN, free(4), PIN];
    assert_eq!(left_by_a_put(&sizes), [1, 3, 4, 5, 7]);
    // Eight at most.
    let mut sizes = [free(1), PIN].repeat(10);
    sizes.push(free(4));
    let stay = [1, 3, 5, 7, 9, 11, 13, 15, 16, 17, 18, 19];
    assert_eq!(left_by_a_put(&sizes), stay);
    // None if the oldest makes the hole.
    assert_eq!(left_by_a_put(&[free(4), PIN, free(1), free(4)]), [1, 2, 3]);
}

#[test]
fn those_whose_turn_has_come_stay_where_the_plan_is_for_another_segment() {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, &[8 * MIB; 2]);
    let options = StoreOptions {
        policy: PolicyKind::Lru,
        ..StoreOptions::default()
    };
    let store = ObjectStore::new(pool, options).unwrap();
    // The oldest is in one segment, beside one that is pinned; the next makes a hole in the other.
    for (number, segment, size) in [(0_u64, 1, MIB), (1, 1, 7 * MIB), (2, 2, 8 * MIB)] {
        let request = PutRequest {
            preferred: &[SegmentId(segment)],
            ..PutRequest::new(size)
        };
        let put = store.put(&number.to_le_bytes(), &request).unwrap();
        put.commit().unwrap();
    }
    assert!(store.pin(&1_u64.to_le_bytes()));
    put(&store, 3, 4 * MIB).unwrap();
    let is_stored = |number: u64| store.exists(&number.to_le_bytes());
    assert_eq!((is_stored(0), is_stored(2)), (true, false));
}

#[test]
fn an_object_off_the_alignment_stays_though_its_turn_has_come() {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, &[8 * KIB]);
    let options = StoreOptions {
        policy: PolicyKind::Lru,
        ..StoreOptions::default()
    };
    let store = ObjectStore::new(pool, options).unwrap();
    for (number, size) in (0..).zip([1_000, 300, 2_796, 300, 3_796]) {
        put(&store, number, size).unwrap();
    }
    for number in [0_u64, 2, 4] {
        assert!(store.pin(&number.to_le_bytes()));
    }
    let (off, on) = (1_u64.to_le_bytes(), 3_u64.to_le_bytes());
    let address = |key: &[u8]| store.get(key).unwrap().descriptors()[0].address;
    assert!(!address(&off).is_multiple_of(4 * KIB) && address(&on).is_multiple_of(4 * KIB));
    let request = PutRequest {
        align: 4 * KIB,
        ..PutRequest::new(100)
    };
    let put = store.put(&9_u64.to_le_bytes(), &request).unwrap();
    put.commit().unwrap();
    assert_eq!((store.exists(&off), store.exists(&on)), (true, false));
}
