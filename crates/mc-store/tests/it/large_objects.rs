//! Idle objects of one size leave for requests of another.

use crate::common::objects::{key, put, store_of};
use mc_store::{ObjectStore, PolicyKind, StoreOptions};

const MIB: u64 = 1 << 20;

/// A program in which some objects are stored once and others are looked up
/// again and again.
#[derive(Clone, Copy, Debug)]
struct Phases {
    idle: u64,
    idle_bytes: u64,
    looped: u64,
    looped_bytes: u64,
    rounds: u64,
    capacity_percent: u64,
    /// Small idle objects that are stored before the large ones.
    small_first: u64,
}

/// That of the finding, and others of its kind.
const PHASES: [Phases; 6] = [
    Phases::of(10, 160 * MIB, 20, 34 * MIB + 327_680),
    Phases::of(10, 160 * MIB, 20, 34 * MIB + 327_680).after(30),
    Phases::of(40, 1_000_000, 20, 333_333),
    Phases::of(4, 500, 40, 40),
    Phases::of(6, 1 << 30, 30, 100 * MIB).after(7),
    Phases::of(10, 160 * MIB, 400, 1_700_000).after(11),
];

impl Phases {
    const fn of(idle: u64, idle_bytes: u64, looped: u64, looped_bytes: u64) -> Self {
        Self {
            idle,
            idle_bytes,
            looped,
            looped_bytes,
            rounds: 60,
            capacity_percent: 70,
            small_first: 0,
        }
    }

    const fn after(self, small_first: u64) -> Self {
        Self {
            small_first,
            ..self
        }
    }

    /// Returns the objects in the order in which they are looked up.
    fn lookups(self) -> impl Iterator<Item = (u64, u64)> {
        let small = (0..self.small_first).map(move |n| (1_000_000 + n, self.looped_bytes));
        let idle = (0..self.idle).map(move |n| (2_000_000 + n, self.idle_bytes));
        let looped = move || (0..self.looped).map(move |n| (n, self.looped_bytes));
        small
            .chain(idle)
            .chain((0..self.rounds).flat_map(move |_| looped()))
    }

    fn keys(self) -> u64 {
        self.small_first + self.idle + self.looped
    }

    fn capacity(self) -> u64 {
        let small = self.small_first * self.looped_bytes;
        let bytes = small + self.idle * self.idle_bytes + self.looped * self.looped_bytes;
        bytes * self.capacity_percent / 100
    }

    /// Returns the hits of a store that is asked for each object and given it
    /// if it has it not, over all lookups.
    fn hit_rate(self, store: &ObjectStore) -> f64 {
        let (mut hits, mut lookups) = (0_u64, 0_u64);
        for (number, bytes) in self.lookups() {
            lookups += 1;
            if store.get(&key(number)).is_some() {
                hits += 1;
            } else {
                put(store, number, bytes);
            }
        }
        store.check_invariants();
        hits as f64 / lookups as f64
    }
}

#[test]
fn idle_objects_leave_for_those_that_are_looked_up() {
    for policy in PolicyKind::ALL {
        for phases in PHASES {
            for segments in [1_u32, 2] {
                let options = StoreOptions {
                    policy,
                    ..StoreOptions::default()
                };
                // Each object is looked up in vain once.
                let lookups = phases.lookups().count() as f64;
                let best = 1.0 - phases.keys() as f64 / lookups;
                let sizes = vec![phases.capacity() / u64::from(segments); segments as usize];
                let rate = phases.hit_rate(&store_of(&sizes, options));
                assert!(
                    rate > best - 0.012,
                    "{rate:.4} of {best:.4} with {policy:?} in {segments}: {phases:?}"
                );
            }
        }
    }
}

#[test]
fn the_oldest_leaves_alone_if_its_place_makes_the_hole() {
    for policy in PolicyKind::ALL {
        for (large, small, count) in [(160, 34, 20), (1_000_000, 1, 9), (90, 60, 3)] {
            let options = StoreOptions {
                policy,
                ..StoreOptions::default()
            };
            let store = store_of(&[large + small * count], options);
            put(&store, 0, large);
            (1..=count).for_each(|number| put(&store, number, small));
            put(&store, 100, small);
            assert!(!store.exists(&key(0)), "{policy:?}: it is the oldest");
            assert!((1..=count).all(|number| store.exists(&key(number))));
            assert_eq!(store.stats().on_demand.objects, 1);
        }
    }
}
