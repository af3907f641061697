//! Random programs against a store, on one thread and on several: what is in
//! use stays, nothing overlaps, and all space comes back.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use std::{collections::HashMap, thread, time::Duration};

use common::{mount_sizes, pool};
use mc_segment::{Replicas, Strategy};
use mc_store::{
    Eviction, Lease, ObjectStore, Put, PutError, PutRequest, Removal, RemoveError, StoreOptions,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SIZES: [u64; 3] = [100_000, 70_000, 150_000];
const CAPACITY: u64 = 320_000;
const KEYS: u32 = 300;

fn store(eviction: Eviction, strategy: Strategy, seed: u64) -> ObjectStore {
    let pool = pool(strategy, seed);
    mount_sizes(&pool, &SIZES);
    let options = StoreOptions {
        eviction,
        ..StoreOptions::default()
    };
    ObjectStore::new(pool, options).unwrap()
}

/// What a program holds, which the store must keep.
#[derive(Default)]
struct Program {
    in_flight: HashMap<u32, Put>,
    held: HashMap<u32, Lease>,
    pinned: Vec<u32>,
}

impl Program {
    fn step(&mut self, store: &ObjectStore, random: &mut Xoshiro256PlusPlus) {
        let number = random.random_range(0..KEYS);
        let key = number.to_le_bytes();
        match random.random_range(0..20) {
            0..8 => self.put(store, number, random),
            8..11 => {
                if let Some(lease) = store.get(&key) {
                    assert_eq!(lease.key(), key);
                    self.held.insert(number, lease);
                }
            }
            11..13 => self.held.clear(),
            13 if self.pinned.len() < 5 && store.pin(&key) => self.pinned.push(number),
            14 => {
                for number in self.pinned.drain(..) {
                    assert!(store.unpin(&number.to_le_bytes()));
                }
            }
            15 => self.remove(store, number),
            16..18 => {
                for (_, put) in self.in_flight.drain() {
                    put.commit().unwrap();
                }
            }
            18 => self.in_flight.clear(),
            _ => drop(store.get_for(&key, Duration::from_nanos(1))),
        }
        for lease in self.held.values() {
            assert!(store.exists(lease.key()));
        }
        for number in &self.pinned {
            assert!(store.exists(&number.to_le_bytes()));
        }
    }

    fn put(&mut self, store: &ObjectStore, number: u32, random: &mut Xoshiro256PlusPlus) {
        let request = PutRequest {
            replicas: Replicas::exact(random.random_range(1..=2)),
            max_extents: random.random_range(1..=3),
            align: 1 << random.random_range(0..8),
            ..PutRequest::new(match random.random_range(0..10) {
                0 => random.random_range(1..=70_000),
                _ => random.random_range(1..=5_000),
            })
        };
        match store.put(&number.to_le_bytes(), &request) {
            Ok(put) => {
                assert_eq!(put.replicas().len(), request.replicas.count as usize);
                self.in_flight.insert(number, put);
            }
            Err(PutError::InFlight) => assert!(self.in_flight.contains_key(&number)),
            Err(PutError::Exists) => assert!(store.exists(&number.to_le_bytes())),
            Err(error @ PutError::NoRoom { .. }) => {
                let in_use = self.in_flight.len() + self.held.len() + self.pinned.len();
                assert!(
                    in_use > 0,
                    "nothing is in the way of {request:?}: {error:?}"
                );
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn remove(&mut self, store: &ObjectStore, number: u32) {
        match store.remove(&number.to_le_bytes(), Removal::IfIdle) {
            Ok(()) => assert!(!self.held.contains_key(&number) && !self.pinned.contains(&number)),
            Err(RemoveError::Pinned) => assert!(self.pinned.contains(&number)),
            Err(RemoveError::NotStored) => assert!(!store.exists(&number.to_le_bytes())),
            // Held, or leased for a nanosecond just now.
            Err(_) => {}
        }
    }
}

/// Checks that no two objects of a store share bytes, and that those that are
/// charged are those of its objects.
#[track_caller]
fn check_space(store: &ObjectStore) {
    let mut extents = Vec::new();
    for number in 0..KEYS {
        let lease = store.get(&number.to_le_bytes());
        for descriptor in lease.iter().flat_map(Lease::descriptors) {
            let pieces = descriptor.extents.iter();
            extents.extend(pieces.map(|piece| (descriptor.segment, piece.address, piece.size)));
        }
    }
    extents.sort_unstable();
    for pair in extents.windows(2) {
        let ((segment, address, size), (next_segment, next, _)) = (pair[0], pair[1]);
        assert!(
            segment != next_segment || address + size <= next,
            "{pair:?}"
        );
    }
    let live: u64 = extents.iter().map(|(_, _, size)| size).sum();
    assert_eq!(store.stats().live_bytes, live);
    assert_eq!(store.pool().stats().total.live_bytes, live);
}

#[test]
fn random_programs_keep_what_is_in_use_and_lose_no_space() {
    for (seed, strategy) in (0..).zip(Strategy::ALL) {
        for eviction in [Eviction::Window, Eviction::InOrder] {
            let store = store(eviction, strategy, seed);
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            let mut program = Program::default();
            for _ in 0..3_000 {
                program.step(&store, &mut random);
                store.check_invariants();
            }
            drop(program);
            check_space(&store);
        }
    }
}

#[test]
fn threads_share_a_store() {
    for seed in 0..4 {
        let store = store(Eviction::Window, Strategy::Random, seed);
        thread::scope(|scope| {
            for number in 0..4_u32 {
                let store = store.clone();
                scope.spawn(move || use_keys_of_a_thread(&store, number, seed));
            }
        });
        store.check_invariants();
        let stats = store.stats();
        assert_eq!((stats.in_flight, stats.pinned), (0, 0));
        assert!(stats.on_demand.objects > 0 && stats.live_bytes <= CAPACITY);
        assert_eq!(store.pool().stats().total.live_bytes, stats.live_bytes);
    }
}

/// Puts objects of its own and reads those of all.
fn use_keys_of_a_thread(store: &ObjectStore, thread: u32, seed: u64) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed << 8 | u64::from(thread));
    for round in 0..3_000_u32 {
        let key = (round << 2 | thread).to_le_bytes();
        let request = PutRequest {
            replicas: Replicas::exact(random.random_range(1..=2)),
            ..PutRequest::new(random.random_range(1..=8_000))
        };
        // Others may have taken the hole that was made; a thread then goes on.
        match store.put(&key, &request) {
            Ok(put) => put.commit().unwrap(),
            Err(PutError::NoRoom { .. }) => continue,
            Err(error) => panic!("{error}"),
        }
        let back = random.random_range(0..8_u32);
        let other = round.saturating_sub(back) << 2 | random.random_range(0..4);
        let lease = store.get(&other.to_le_bytes());
        if let Some(lease) = &lease {
            assert!(store.exists(lease.key()));
            assert_ne!(store.remove(lease.key(), Removal::IfIdle), Ok(()));
        }
        drop(lease);
        if round % 16 == 0 {
            let _ = store.remove(&key, Removal::IfIdle);
        }
    }
}
