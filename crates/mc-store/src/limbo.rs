//! Space that nobody can find any more and somebody may still use: of objects
//! that were detached or moved under a timed lease, and of puts whose deadline
//! has passed.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use mc_segment::PlacedBuffer;
use parking_lot::Mutex;

use crate::{clock::Moment, object::Object};

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
#[expect(dead_code, reason = "kept to be dropped")]
pub(crate) enum Kept {
    Object(Object),
    Space(Vec<PlacedBuffer>),
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

    /// Lets go what is due; returns whether that was anything.
    pub(crate) fn sweep(&self, now: Moment) -> bool {
        if now.0 < self.next.load(Ordering::Relaxed) {
            return false;
        }
        let mut due = Vec::new();
        {
            let mut all = self.kept.lock();
            while due.len() < SWEEP_MAX
                && let Some(first) = all.first_entry()
                && first.key().0 <= now
            {
                due.push(first.remove());
            }
            let next = all.first_key_value().map_or(u64::MAX, |(key, _)| key.0.0);
            self.next.store(next, Ordering::Relaxed);
        }
        !due.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.lock().len()
    }
}
