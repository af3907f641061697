//! Objects that clients are reading.

use std::sync::Arc;

use bytes::Bytes;
use mc_store::{Lease, ObjectStore};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{ages::Ages, outcome, timed::Timed};
use crate::wire::{Outcome, lookup_response};

/// Leases by the number that their client knows.
#[derive(Debug)]
pub(crate) struct Leases {
    leased_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    leases: Timed<Granted>,
    figures: LeaseFigures,
}

#[derive(Debug)]
struct Granted {
    objects: Arc<[Option<Lease>]>,
    since: Instant,
}

/// What is known of leases.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaseFigures {
    /// Objects of those that are held.
    pub(crate) objects: usize,
    /// Leases that ended because their time was over.
    pub(crate) expired: u64,
    /// How long leases were held that have ended.
    pub(crate) held: Ages,
}

/// That as many objects are leased as the limits allow.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Leases {
    pub(crate) fn new(leased_max: usize) -> Self {
        let held = Held {
            leases: Timed::new(),
            figures: LeaseFigures::default(),
        };
        Self {
            leased_max,
            held: Mutex::new(held),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.lock().leases.len()
    }

    pub(crate) fn figures(&self) -> LeaseFigures {
        self.held.lock().figures.clone()
    }

    /// Keeps objects from one moment to another; returns the number of the lease.
    pub(crate) fn keep(
        &self,
        objects: Vec<Option<Lease>>,
        since: Instant,
        until: Instant,
    ) -> Result<u64, TooMany> {
        let mut held = self.held.lock();
        let kept = held.figures.objects + objects.len();
        if kept > self.leased_max {
            return Err(TooMany);
        }
        held.figures.objects = kept;
        let objects = objects.into();
        Ok(held.leases.insert(until, Granted { objects, since }))
    }

    /// Returns the objects of a lease that is not over.
    pub(crate) fn objects(&self, lease: u64, now: Instant) -> Option<Arc<[Option<Lease>]>> {
        let held = self.held.lock();
        let granted = held.leases.get(lease, now)?;
        Some(Arc::clone(&granted.objects))
    }

    pub(crate) fn release(&self, lease: u64, now: Instant) -> Outcome {
        let mut held = self.held.lock();
        let Some(granted) = held.leases.remove(lease) else {
            return Outcome::Unknown;
        };
        held.figures.count(&granted, now);
        // The store may have work to do when an object is free again.
        drop(held);
        drop(granted);
        Outcome::Done
    }

    pub(crate) fn end_late(&self, now: Instant) {
        let mut held = self.held.lock();
        let due = held.leases.take_due(now);
        held.figures.expired += due.len() as u64;
        for granted in &due {
            held.figures.count(granted, now);
        }
        drop(held);
        drop(due);
    }
}

impl LeaseFigures {
    /// Takes note of a lease that ends.
    fn count(&mut self, granted: &Granted, now: Instant) {
        self.objects -= granted.objects.len();
        self.held.add(now.saturating_duration_since(granted.since));
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
