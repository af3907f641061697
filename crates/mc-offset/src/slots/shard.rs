//! How many slots of a region may still be promised, in one word that answers exactly.

use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// The balance of one region of slots, on cache lines of its own.
///
/// 128 bytes, because x86-64 processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    /// Low half: how many free slots of the region are promised to nobody. High half: how many times
    /// a slot was put back, modulo 2^32.
    ///
    /// The region has at least as many bits set as this balance and the promises in progress
    /// together: a slot's bit is set before it is counted here, and taken off here before its bit is
    /// cleared. The halves share one word so that two equal readings of zero tell that the balance
    /// was zero all the time between them.
    ///
    /// Written by [`promise`](Self::promise) and [`put_back`](Self::put_back), both read-modify-write
    /// with Release, so that a reading acquires every change before it.
    balance: AtomicU64,
    /// Word of the region's level 0 that probably has a free slot, often the one put back last, which
    /// is still cached. Written by [`recommend`](Self::recommend). Relaxed is enough: any word of the
    /// region will do, because its bits decide.
    likely_word: AtomicUsize,
}

/// What putting one slot back adds to a balance: one free slot, one more time.
const PUT_BACK: u64 = (1 << 32) + 1;

/// A balance as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading(u64);

impl Reading {
    /// Number of free slots that were promised to nobody.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the high half is cut off on purpose"
    )]
    pub(super) fn free_slots(self) -> u32 {
        self.0 as u32
    }

    /// Number of times a slot was put back, modulo 2^32.
    #[inline]
    pub(super) fn put_backs(self) -> u64 {
        self.0 >> 32
    }
}

impl Shard {
    /// Makes the balance of a region of `slots` free slots that starts at word `first_word`.
    pub(super) fn new(slots: u32, first_word: usize) -> Self {
        Self {
            balance: AtomicU64::new(u64::from(slots)),
            likely_word: AtomicUsize::new(first_word),
        }
    }

    /// Takes one slot off the balance and tells whether there was one: then the caller may claim one
    /// free slot of the region, whichever it finds.
    #[inline]
    pub(super) fn promise(&self) -> bool {
        let mut reading = self.read();
        while reading.free_slots() > 0 {
            // Acquire pairs with the Release in `put_back`: who finds a balance finds the bits too.
            // Release pairs with the Acquire in `read`.
            match self.balance.compare_exchange_weak(
                reading.0,
                reading.0 - 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(current) => reading = Reading(current),
            }
        }
        false
    }

    /// Adds one slot, whose bit the caller has set or whose promise it gives up.
    #[inline]
    pub(super) fn put_back(&self) {
        // Release pairs with the Acquire in `promise` and `read`.
        self.balance.fetch_add(PUT_BACK, Ordering::Release);
    }

    /// Returns the balance of this moment.
    #[inline]
    pub(super) fn read(&self) -> Reading {
        // Acquire pairs with the Release in `promise` and `put_back`: whatever led to this balance is
        // seen by the readings of other shards that follow.
        Reading(self.balance.load(Ordering::Acquire))
    }

    /// Returns the word of the region's level 0 to try first.
    #[inline]
    pub(super) fn likely_word(&self) -> usize {
        self.likely_word.load(Ordering::Relaxed)
    }

    /// Has the next claim try `word` of the region's level 0 first.
    #[inline]
    pub(super) fn recommend(&self, word: usize) {
        self.likely_word.store(word, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_put_back_is_one_free_slot_and_one_time_more() {
        let shard = Shard::new(1, 7);
        assert_eq!(shard.likely_word(), 7);
        let check = |free_slots, put_backs| {
            let reading = shard.read();
            assert_eq!(
                (reading.free_slots(), reading.put_backs()),
                (free_slots, put_backs)
            );
        };
        check(1, 0);
        assert!(shard.promise());
        check(0, 0);
        assert!(!shard.promise());
        shard.put_back();
        check(1, 1);
        shard.put_back();
        check(2, 2);
    }
}
