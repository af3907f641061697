//! A policy that panics costs its store objects that never leave, and nobody the bytes of another.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::common::{
    mount_local,
    objects::{EVICTIONS, ends, key},
    pool,
};
use mc_segment::Strategy;
use mc_store::{
    Eviction, ObjectStore, PutRequest, StoreOptions,
    policy::{Facts, Leaving, Lru, ObjectId, Policy},
};

/// What is asked of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Insert,
    Used,
    Remove,
    Hide,
    Show,
    Victims,
}

const CALLS: [Call; 6] = [
    Call::Insert,
    Call::Used,
    Call::Remove,
    Call::Hide,
    Call::Show,
    Call::Victims,
];

/// Panics once, when it has been asked for something some times.
#[derive(Debug)]
struct Panicking {
    lru: Lru,
    call: Call,
    times_left: u32,
}

impl Panicking {
    fn note(&mut self, call: Call) {
        if call == self.call && self.times_left > 0 {
            self.times_left -= 1;
            assert!(self.times_left > 0, "panics in {call:?}");
        }
    }
}

impl Policy for Panicking {
    fn insert(&mut self, id: ObjectId, facts: &Facts) {
        self.note(Call::Insert);
        self.lru.insert(id, facts);
    }

    fn used(&mut self, id: ObjectId) {
        self.note(Call::Used);
        self.lru.used(id);
    }

    fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        self.note(Call::Remove);
        self.lru.remove(id, key_hash, why);
    }

    fn hide(&mut self, id: ObjectId) {
        self.note(Call::Hide);
        self.lru.hide(id);
    }

    fn show(&mut self, id: ObjectId) {
        self.note(Call::Show);
        self.lru.show(id);
    }

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        self.note(Call::Victims);
        self.lru.victims(visit);
    }

    fn worth(&self, id: ObjectId) -> f64 {
        self.lru.worth(id)
    }
}

/// Puts an object whose bytes say its number, if there is room.
fn put_bytes(store: &ObjectStore, number: u64) {
    let times = 8 + usize::try_from(number % 40).unwrap();
    let bytes = number.to_le_bytes().repeat(times);
    let Ok(mut put) = store.put(&key(number), &PutRequest::new(bytes.len() as u64)) else {
        return;
    };
    put.write(0, &bytes).unwrap();
    put.commit().unwrap();
}

fn check(call: Call, times: u32, eviction: Eviction) {
    let segments = pool(Strategy::Random, 1);
    mount_local(&segments, &[6_000]);
    let options = StoreOptions {
        eviction,
        ..StoreOptions::default()
    };
    let policy = Panicking {
        lru: Lru::default(),
        call,
        times_left: times,
    };
    let store = ObjectStore::with_policy(segments, options, Box::new(policy)).unwrap();
    let mut panics = 0;
    for number in 0..300_u64 {
        let step = || {
            put_bytes(&store, number);
            let used = key(number.saturating_sub(number % 7));
            // Used while another put is in need, so that it is hidden and shown.
            let lease = store.get(&used);
            put_bytes(&store, 1_000 + number);
            drop(lease);
            if number % 11 == 0 {
                let _ = store.remove(&key(number.saturating_sub(3)), mc_store::Removal::IfIdle);
            }
        };
        panics += u32::from(catch_unwind(AssertUnwindSafe(step)).is_err());
    }
    assert!(panics > 0, "{call:?} is asked for less than {times} times");
    let mut found = 0;
    for number in (0..300).chain(1_000..1_300) {
        if let Some(lease) = store.get(&key(number)) {
            let bytes = lease.read().unwrap();
            assert!(bytes.chunks(8).all(|chunk| chunk == number.to_le_bytes()));
            found += 1;
        }
    }
    assert!(found > 10, "{found} objects are left");
}

#[test]
fn after_a_panic_of_its_policy_every_object_has_its_own_bytes() {
    for eviction in EVICTIONS {
        for call in CALLS {
            for times in [1, 2, 5, 30] {
                let name = format!("{call:?}, {times}, {eviction:?}");
                ends(&name, move || check(call, times, eviction));
            }
        }
    }
}
