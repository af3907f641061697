//! Policies from outside that do not keep to what [`Policy`] asks of them cost their store hits and nothing
//! else: no call waits for ever, and nothing is lost that is in use.

use std::{ops::ControlFlow, time::Duration};

use crate::common::{
    mount_sizes,
    objects::{EVICTIONS, ends, key, put, put_as, refusal},
    pool,
};
use mc_segment::Strategy;
use mc_store::{
    Eviction, ObjectStore, PutError, PutRequest, StoreOptions, Watermarks,
    policy::{Facts, Leaving, ObjectId, Policy},
};

/// What a policy does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It names objects that are hidden.
    NamesHidden,
    /// It names ids that no object has, and each object twice.
    NamesNobody,
    /// It goes on when it is told to stop.
    GoesOn,
    /// Its objects come before themselves, and their worth is no number.
    IsCircular,
}

const FAULTS: [Fault; 4] = [
    Fault::NamesHidden,
    Fault::NamesNobody,
    Fault::GoesOn,
    Fault::IsCircular,
];

/// Lets objects leave in the order in which they came.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    order: Vec<ObjectId>,
    hidden: Vec<ObjectId>,
}

impl Policy for Faulty {
    fn insert(&mut self, id: ObjectId, _facts: &Facts) {
        self.order.push(id);
    }

    fn used(&mut self, _id: ObjectId) {}

    fn remove(&mut self, id: ObjectId, _key_hash: u64, _why: Leaving) {
        self.order.retain(|other| *other != id);
        self.hidden.retain(|other| *other != id);
    }

    fn hide(&mut self, id: ObjectId) {
        self.hidden.push(id);
    }

    fn show(&mut self, id: ObjectId) {
        self.hidden.retain(|other| *other != id);
    }

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        let mut ids: Vec<ObjectId> = Vec::new();
        if self.fault == Fault::NamesNobody {
            ids.extend((0..100).flat_map(|more| [u32::MAX - more, 1_000_000 + more].map(ObjectId)));
            ids.extend(&self.order);
        }
        ids.extend(&self.order);
        for id in ids {
            let is_hidden = self.fault != Fault::NamesHidden && self.hidden.contains(&id);
            if !is_hidden && visit(id).is_break() && self.fault != Fault::GoesOn {
                return;
            }
        }
    }

    fn worth(&self, _id: ObjectId) -> f64 {
        match self.fault {
            Fault::IsCircular => f64::NAN,
            _ => 1.0,
        }
    }

    fn parent(&self, id: ObjectId) -> Option<ObjectId> {
        (self.fault == Fault::IsCircular).then_some(id)
    }
}

fn store(fault: Fault, options: StoreOptions) -> ObjectStore {
    let segments = pool(Strategy::Random, 1);
    mount_sizes(&segments, &[20_000]);
    let policy = Faulty {
        fault,
        order: Vec::new(),
        hidden: Vec::new(),
    };
    ObjectStore::with_policy(segments, options, Box::new(policy)).expect("they make sense")
}

fn check(fault: Fault, eviction: Eviction, watermarks: Option<Watermarks>) {
    let store = store(
        fault,
        StoreOptions {
            eviction,
            watermarks,
            ..StoreOptions::default()
        },
    );
    // So many are in use at once that they are hidden some at a time.
    for number in 0..200 {
        put(&store, number, 100);
        if number < 150 {
            assert!(store.pin(&key(number)));
        }
    }
    for number in 200..300 {
        let request = PutRequest {
            priority: 1,
            keep_until: Some(store.now() + Duration::from_secs(60)),
            ..PutRequest::new(100)
        };
        put_as(&store, number, &request).expect("fifty objects are not in use");
    }
    assert!((0..150).all(|number| store.exists(&key(number))));
    for number in 0..300 {
        store.pin(&key(number));
    }
    let refused = refusal(&store, 1_000, &PutRequest::new(20_000));
    assert!(matches!(refused, PutError::NoRoom { .. }), "{refused}");
    for number in 0..300 {
        store.unpin(&key(number));
    }
    put(&store, 1_000, 20_000);
    // It leaves for the watermark, if there is one.
    assert_eq!(store.stats().objects, u64::from(watermarks.is_none()));
}

#[test]
fn a_policy_that_keeps_to_nothing_makes_no_call_wait_for_ever() {
    let watermarks = Watermarks {
        high_percent: 99,
        low_percent: 95,
    };
    for fault in FAULTS {
        for eviction in EVICTIONS {
            for watermarks in [None, Some(watermarks)] {
                let name = format!("{fault:?}, {eviction:?}");
                ends(&name, move || check(fault, eviction, watermarks));
            }
        }
    }
}
