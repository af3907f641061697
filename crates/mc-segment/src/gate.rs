//! The gate that accesses to the bytes of a segment pass, and that an unmount
//! closes.
//!
//! An access that has begun may take long: a system call that writes, a slice
//! that is lent. Until the last one is over, the memory is not let go of, so
//! that no late write reaches what another segment places there.
#![cfg_attr(
    not(loom),
    expect(
        unreachable_pub,
        reason = "exported under cfg(loom), to the models in tests/loom.rs"
    )
)]

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::sync::{AtomicU64, Condvar, Mutex, Ordering, PoisonError};

/// Counts accesses while it is open; once closed it stays closed.
pub struct Gate {
    /// The accesses under way, and [`CLOSED`] iff no further one may begin.
    ///
    /// One word, so that an access either is seen by whoever closes the gate,
    /// or sees it closed. Leaving is `Release`, and finding nobody inside is
    /// `Acquire`: what was read and written before is over then.
    word: AtomicU64,
    /// Taken to wait for the last access and to wake whoever does; guards
    /// nothing else.
    waiting: Mutex<()>,
    left: Condvar,
}

/// The bit of the word that says that the gate is closed.
const CLOSED: u64 = 1 << 63;

/// One access; over when it is dropped.
#[derive(Debug)]
pub struct Access<'a>(&'a Gate);

impl Gate {
    /// Returns an open gate with nobody inside.
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            waiting: Mutex::new(()),
            left: Condvar::new(),
        }
    }

    /// Begins an access, unless the gate is closed.
    #[inline]
    pub fn enter(&self) -> Option<Access<'_>> {
        let inside_once_more = |word: u64| (word & CLOSED == 0).then_some(word + 1);
        let entered =
            self.word
                .fetch_update(Ordering::Acquire, Ordering::Relaxed, inside_once_more);
        entered.is_ok().then(|| Access(self))
    }

    /// Lets nobody in any more; those inside stay until they are done.
    pub fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::Acquire);
    }

    /// Closes the gate if nobody is inside; returns how many are otherwise.
    pub fn close_if_idle(&self) -> Result<(), u64> {
        let closed = |word: u64| (word & !CLOSED == 0).then_some(CLOSED);
        let outcome = self
            .word
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, closed);
        outcome.map(drop).map_err(|word| word & !CLOSED)
    }

    /// Returns how many are inside.
    pub fn accesses(&self) -> u64 {
        self.word.load(Ordering::Acquire) & !CLOSED
    }

    /// Waits until nobody is inside a closed gate, or `timeout` is over.
    pub fn wait(&self, timeout: Duration) {
        let begun = Instant::now();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while self.accesses() > 0 {
            let Some(left) = timeout.checked_sub(begun.elapsed()) else {
                return;
            };
            let woken = self.left.wait_timeout(waiting, left);
            (waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Access<'_> {
    #[inline]
    fn drop(&mut self) {
        let gate = self.0;
        if gate.word.fetch_sub(1, Ordering::Release) == CLOSED | 1 {
            // Who waits either has not looked at the word yet, or has let go of
            // the lock to wait.
            drop(gate.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            gate.left.notify_all();
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("accesses", &self.accesses())
            .finish_non_exhaustive()
    }
}
