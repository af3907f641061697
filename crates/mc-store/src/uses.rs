//! Uses that are noted now and told to the policy later.
//!
//! A hit must not wait for the policy's lock. It leaves the id of its object in
//! the buffer of its stripe; whoever next holds the policy's lock empties it.
//! Threads have stripes of their own as long as there are enough. A use is lost
//! only if another thread is at the same stripe, or if it is full while the
//! policy is busy: never where there is one thread.

#![cfg_attr(
    not(loom),
    expect(
        unreachable_pub,
        reason = "exported under cfg(loom), to the models in tests/loom.rs"
    )
)]

use std::cell::Cell;

use crossbeam_utils::CachePadded;

use crate::{
    object::Tick,
    policy::ObjectId,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Stripes; a power of two.
pub(crate) const STRIPES: usize = 16;

/// Uses that a stripe holds.
pub(crate) const STRIPE_LEN: usize = 64;

/// A use of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) id: ObjectId,
    /// What had passed since the use before.
    pub(crate) gap: Tick,
}

/// Uses of objects, in stripes.
#[derive(Debug)]
pub struct Uses<U> {
    stripes: Box<[CachePadded<Stripe<U>>]>,
}

#[derive(Debug)]
struct Stripe<U> {
    noted: Mutex<Vec<U>>,
    /// Reads that found their object and reads that did not: sums, so `Relaxed`.
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<U> Uses<U> {
    /// Returns empty buffers.
    pub fn new() -> Self {
        let stripe = || {
            CachePadded::new(Stripe {
                noted: Mutex::new(Vec::with_capacity(STRIPE_LEN)),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
            })
        };
        Self {
            stripes: (0..STRIPES).map(|_| stripe()).collect(),
        }
    }

    /// Notes a use; returns whether the stripe is full and wants to be taken.
    #[inline]
    pub fn note(&self, stripe: usize, used: U) -> bool {
        let stripe = &self.stripes[stripe];
        stripe.hits.fetch_add(1, Ordering::Relaxed);
        let Ok(mut noted) = stripe.noted.try_lock() else {
            return false;
        };
        if noted.len() < STRIPE_LEN {
            noted.push(used);
        }
        noted.len() == STRIPE_LEN
    }

    /// Counts a read that did not find its object.
    #[inline]
    pub fn note_miss(&self, stripe: usize) {
        self.stripes[stripe].misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands the uses of a stripe over, the earliest first.
    pub fn take(&self, stripe: usize, mut each: impl FnMut(U)) {
        if let Ok(mut noted) = self.stripes[stripe].noted.try_lock() {
            noted.drain(..).for_each(&mut each);
        }
    }

    /// Hands the uses of all stripes over.
    pub fn take_all(&self, mut each: impl FnMut(U)) {
        for stripe in 0..STRIPES {
            self.take(stripe, &mut each);
        }
    }

    /// Returns the reads that found their object, and those that did not.
    pub fn reads(&self) -> (u64, u64) {
        self.stripes.iter().fold((0, 0), |(hits, misses), stripe| {
            (
                hits + stripe.hits.load(Ordering::Relaxed),
                misses + stripe.misses.load(Ordering::Relaxed),
            )
        })
    }
}

/// Returns the stripe of this thread.
#[inline]
pub(crate) fn own_stripe() -> usize {
    // Stripes are no part of the protocol, and this is no constant of loom's.
    static THREADS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let own = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
        OWN.set(Some(own));
        own
    })
}
