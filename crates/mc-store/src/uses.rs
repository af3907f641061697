//! Uses that are noted now and told to the policy later.
//!
//! A hit must not wait for the policy's lock. It leaves a word in the ring of its
//! stripe; whoever next holds the policy's lock empties it. Threads have stripes
//! of their own as long as there are enough. A use is lost, or told late, only if
//! another thread is at the same stripe, or if it is full while the policy is
//! busy: never where there is one thread.

#![cfg_attr(
    not(loom),
    expect(
        unreachable_pub,
        reason = "exported under cfg(loom), to the models in tests/loom.rs"
    )
)]

use std::{
    cell::Cell,
    num::{NonZeroU32, NonZeroU64},
    sync::atomic::AtomicUsize,
};

use crossbeam_utils::CachePadded;
use smallvec::SmallVec;

use crate::{
    clock::Tick,
    policy::ObjectId,
    sync::atomic::{AtomicU64, Ordering},
};

/// Stripes; a power of two.
#[cfg(not(loom))]
pub(crate) const STRIPES: usize = 16;
#[cfg(loom)]
pub(crate) const STRIPES: usize = 2;

/// Uses that a stripe holds.
#[cfg(not(loom))]
pub(crate) const STRIPE_LEN: usize = 64;
#[cfg(loom)]
pub(crate) const STRIPE_LEN: usize = 4;

/// A use of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) id: ObjectId,
    /// What had passed since the use before.
    pub(crate) gap: Tick,
}

impl Use {
    /// Returns the use as a word.
    #[inline]
    pub(crate) fn word(self) -> NonZeroU64 {
        let high = u64::from(self.id.owner().get()) << 32;
        NonZeroU64::new(high | u64::from(self.gap.0)).expect("marks are not zero")
    }

    /// Returns the use that made a word.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the halves are what is meant"
    )]
    pub(crate) fn of_word(word: NonZeroU64) -> Self {
        let mark = NonZeroU32::new((word.get() >> 32) as u32).expect("marks are not zero");
        Self {
            id: ObjectId::of_owner(mark),
            gap: Tick(word.get() as u32),
        }
    }
}

/// Uses of objects as words, in stripes.
#[derive(Debug)]
pub struct Uses {
    stripes: Box<[CachePadded<Stripe>]>,
}

/// A ring of words. Each is a message of its own: that what a thread noted is
/// seen in order follows from the counter, whose changes are `AcqRel`.
#[derive(Debug)]
struct Stripe {
    /// Uses so far, those included that found no room.
    noted: AtomicU64,
    /// Those of them that were told or lost. Written by whoever takes; an old
    /// value says that there is less room than there is.
    told: AtomicU64,
    /// Reads that did not find their object: a sum, so `Relaxed`.
    misses: AtomicU64,
    /// Zero where nothing is to be told.
    ring: [AtomicU64; STRIPE_LEN],
}

impl Uses {
    /// Returns empty stripes.
    pub fn new() -> Self {
        let stripe = || {
            CachePadded::new(Stripe {
                noted: AtomicU64::new(0),
                told: AtomicU64::new(0),
                misses: AtomicU64::new(0),
                ring: std::array::from_fn(|_| AtomicU64::new(0)),
            })
        };
        Self {
            stripes: (0..STRIPES).map(|_| stripe()).collect(),
        }
    }

    /// Notes a use; returns whether the stripe is full and wants to be taken.
    #[inline]
    pub fn note(&self, stripe: usize, used: NonZeroU64) -> bool {
        let stripe = &self.stripes[stripe];
        let number = stripe.noted.fetch_add(1, Ordering::AcqRel);
        let told = stripe.told.load(Ordering::Relaxed);
        // If another thread has taken the stripe meanwhile, the number is over.
        let Some(waiting) = number.checked_sub(told) else {
            return false;
        };
        if waiting < STRIPE_LEN as u64 {
            place(&stripe.ring, number).store(used.get(), Ordering::Relaxed);
        }
        waiting >= STRIPE_LEN as u64 - 1
    }

    /// Counts a read that did not find its object.
    #[inline]
    pub fn note_miss(&self, stripe: usize) {
        self.stripes[stripe].misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands the uses of a stripe over, the earliest first, if there are any.
    /// One thread takes at a time.
    pub fn take(&self, stripe: usize, tell: impl FnOnce(&[NonZeroU64])) {
        let stripe = &self.stripes[stripe];
        let told = stripe.told.load(Ordering::Relaxed);
        let noted = stripe.noted.load(Ordering::Acquire);
        let waiting = (noted - told).min(STRIPE_LEN as u64);
        if waiting == 0 {
            return;
        }
        let mut words = SmallVec::<[_; STRIPE_LEN]>::new();
        for number in told..told + waiting {
            let place = place(&stripe.ring, number);
            if let Some(used) = NonZeroU64::new(place.load(Ordering::Relaxed)) {
                place.store(0, Ordering::Relaxed);
                words.push(used);
            }
        }
        stripe.told.store(noted, Ordering::Relaxed);
        tell(&words);
    }

    /// Hands the uses of all threads over.
    pub fn take_all(&self, mut tell: impl FnMut(&[NonZeroU64])) {
        // Whoever sees a use sees its thread counted, too.
        for stripe in 0..THREADS.load(Ordering::Relaxed).min(STRIPES) {
            self.take(stripe, &mut tell);
        }
    }

    /// Returns the reads that found their object, and those that did not.
    pub fn reads(&self) -> (u64, u64) {
        self.stripes.iter().fold((0, 0), |(hits, misses), stripe| {
            (
                hits + stripe.noted.load(Ordering::Relaxed),
                misses + stripe.misses.load(Ordering::Relaxed),
            )
        })
    }
}

/// Returns where the word of a use is.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "less than the length")]
fn place(ring: &[AtomicU64; STRIPE_LEN], number: u64) -> &AtomicU64 {
    &ring[(number % STRIPE_LEN as u64) as usize]
}

/// Threads that have a stripe. Which one is no part of the protocol, so this is no
/// atomic of loom's.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Returns the stripe of this thread.
#[inline]
pub(crate) fn own_stripe() -> usize {
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let own = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
        OWN.set(Some(own));
        own
    })
}
