//! Objects that clients are reading.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use mc_store::{Lease, ObjectStore};
use parking_lot::Mutex;

use super::{outcome, timed::Timed};
use crate::wire::{Outcome, lookup_response};

/// Leases by the number that their client knows.
#[derive(Debug)]
pub(crate) struct Leases {
    leased_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    leases: Timed<Arc<[Option<Lease>]>>,
    /// Objects of all leases.
    objects: usize,
}

/// That as many objects are leased as the limits allow.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Leases {
    pub(crate) fn new(leased_max: usize) -> Self {
        let held = Held {
            leases: Timed::new(),
            objects: 0,
        };
        Self {
            leased_max,
            held: Mutex::new(held),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.lock().leases.len()
    }

    /// Keeps objects until a moment; returns the number of the lease.
    pub(crate) fn keep(&self, objects: Vec<Option<Lease>>, until: Instant) -> Result<u64, TooMany> {
        let mut held = self.held.lock();
        let kept = held.objects + objects.len();
        if kept > self.leased_max {
            return Err(TooMany);
        }
        held.objects = kept;
        Ok(held.leases.insert(until, objects.into()))
    }

    /// Returns the objects of a lease that is not over.
    pub(crate) fn objects(&self, lease: u64, now: Instant) -> Option<Arc<[Option<Lease>]>> {
        self.held.lock().leases.get(lease, now).cloned()
    }

    pub(crate) fn release(&self, lease: u64) -> Outcome {
        let mut held = self.held.lock();
        let Some(objects) = held.leases.remove(lease) else {
            return Outcome::Unknown;
        };
        held.objects -= objects.len();
        // The store may have work to do when an object is free again.
        drop(held);
        drop(objects);
        Outcome::Done
    }

    pub(crate) fn end_late(&self, now: Instant) {
        let mut held = self.held.lock();
        let due = held.leases.take_due(now);
        let objects: usize = due.iter().map(|objects| objects.len()).sum();
        held.objects -= objects;
        drop(held);
        drop(due);
    }
}

/// Leases the objects of the first keys, or of all of them.
pub(crate) fn find(store: &ObjectStore, keys: &[Bytes], all_keys: bool) -> Vec<Option<Lease>> {
    if !all_keys {
        return store.get_many(keys).into_iter().map(Some).collect();
    }
    // The last one first, so that the first one is the youngest.
    let mut found: Vec<_> = keys.iter().rev().map(|key| store.get(key)).collect();
    found.reverse();
    found
}

pub(crate) fn describe(lease: Option<&Lease>) -> lookup_response::Object {
    let Some(lease) = lease else {
        return lookup_response::Object {
            is_missing: true,
            ..Default::default()
        };
    };
    let mut replicas = lease.replicas();
    lookup_response::Object {
        bytes: lease.size(),
        checksum: lease.checksum(),
        extents: replicas.next().map_or_else(Vec::new, outcome::extents),
        is_missing: false,
    }
}
