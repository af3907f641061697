//! Space that nobody can find any more and somebody may still use: of objects
//! that were detached or moved under a timed lease, and of puts whose deadline
//! has passed.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use mc_segment::PlacedBuffer;
use parking_lot::Mutex;

use crate::{clock::Moment, object::Object, pending::Buffers};

/// Things that are kept until a time.
#[derive(Debug, Default)]
pub(crate) struct Limbo {
    /// By the time at which they go, and a number. Nothing is waited for, and
    /// nothing dropped, under the lock.
    kept: Mutex<BTreeMap<(Moment, u64), Kept>>,
    numbers: AtomicU64,
    /// The earliest of these times, a [`Moment`]; a hint, so `Relaxed`.
    next: AtomicU64,
}

/// Something whose space is free when it is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) space: KeptSpace,
    /// Under which the journal knows that the space is taken, if there is one.
    pub(crate) number: u64,
}

/// Whose space it was.
#[derive(Debug)]
pub(crate) enum KeptSpace {
    Object(Object),
    Put(Buffers),
}

impl Kept {
    pub(crate) fn places(&self) -> Vec<&PlacedBuffer> {
        match &self.space {
            KeptSpace::Object(object) => object.replicas().collect(),
            KeptSpace::Put(buffers) => buffers.iter().collect(),
        }
    }
}

/// Things that one call lets go.
const SWEEP_MAX: usize = 256;

impl Limbo {
    pub(crate) fn new() -> Self {
        Self {
            next: AtomicU64::new(u64::MAX),
            ..Self::default()
        }
    }

    pub(crate) fn keep(&self, until: Moment, kept: Kept) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut all = self.kept.lock();
        all.insert((until, number), kept);
        self.next.fetch_min(until.0, Ordering::Relaxed);
    }

    /// Returns what is due, some at a time.
    pub(crate) fn due(&self, now: Moment) -> Vec<Kept> {
        let mut due = Vec::new();
        if now.0 < self.next.load(Ordering::Relaxed) {
            return due;
        }
        let mut all = self.kept.lock();
        while due.len() < SWEEP_MAX
            && let Some(first) = all.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        let next = all.first_key_value().map_or(u64::MAX, |(key, _)| key.0.0);
        self.next.store(next, Ordering::Relaxed);
        due
    }

    /// Visits all that is kept, with the time until which it is.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(Moment, &Kept)) {
        for ((until, _), kept) in self.kept.lock().iter() {
            visit(*until, kept);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.lock().len()
    }
}
