//! Requests that have victims in hand.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a request waits for others, at most: at first it only lets them run, and then it sleeps.
const WAIT_MAX: Duration = Duration::from_millis(100);
const YIELD_MAX: Duration = Duration::from_micros(50);
const PAUSE: Duration = Duration::from_millis(2);

/// How many requests have claimed objects that have neither left nor been spared, and how many had.
///
/// What they have claimed nobody else can: in a small store that may be all, and a request that finds
/// nobody to claim then is not refused yet, nor if they are done when it has looked. One number for
/// both; a hint, so `Relaxed`.
#[derive(Debug, Default)]
pub(crate) struct Claimers(AtomicU64);

/// One of them, as long as it is held.
#[derive(Debug)]
pub(super) struct Claimer<'a>(&'a Claimers);

/// How many were done at some time, without the one who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done(u64);

/// One that is done; those that are not are counted below.
const DONE: u64 = 1 << 32;

impl Claimers {
    pub(super) fn begin(&self) -> Claimer<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Claimer(self)
    }

    pub(super) fn done(&self) -> Done {
        Done(self.0.load(Ordering::Relaxed) / DONE)
    }

    /// Lets others run, unless there are none and no more are done than were when the caller began to
    /// look, or it paused first long ago; returns whether it is to look again. The caller has claimed
    /// nothing.
    #[cold]
    pub(super) fn pause(&self, before: Done, begun: &mut Option<Instant>) -> bool {
        let waited = begun.get_or_insert_with(Instant::now).elapsed();
        let there_are_none = self.0.load(Ordering::Relaxed).is_multiple_of(DONE);
        if there_are_none && self.done() == before || waited > WAIT_MAX {
            return false;
        }
        if waited < YIELD_MAX {
            thread::yield_now();
        } else {
            thread::sleep(PAUSE);
        }
        true
    }
}

impl Done {
    /// Takes note of the one that the caller has been itself, if it has.
    pub(super) fn note_own(&mut self, own: Option<&Claimer<'_>>) {
        self.0 = (self.0 + u64::from(own.is_some())) % DONE;
    }
}

impl Drop for Claimer<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(DONE - 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use mc_segment::{Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};

    use super::Claimers;
    use crate::{ObjectStore, PutError, PutRequest, StoreOptions};
    use std::{thread, time::Duration};

    #[test]
    fn who_was_done_while_another_looked_is_looked_after() {
        let claimers = Claimers::default();
        let pauses = |before| claimers.pause(before, &mut None);
        let before = claimers.done();
        assert!(!pauses(before), "nobody was there");
        let first = claimers.begin();
        assert!(pauses(before) && pauses(claimers.done()));
        drop(first);
        assert!(pauses(before), "it may have left something");
        assert!(!pauses(claimers.done()));
        let mut before = claimers.done();
        let own = claimers.begin();
        before.note_own(Some(&own));
        drop(own);
        assert!(!pauses(before), "it was the caller");
    }

    #[test]
    fn what_another_request_has_in_hand_is_waited_for() {
        let pool = SegmentPool::new(SegmentPoolOptions::default());
        let info = SegmentInfo::new(SegmentId(1), "one", 0, 100);
        pool.mount(Segment::remote(info)).unwrap();
        let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
        let put = |key: &[u8]| store.put(key, &PutRequest::new(100));
        put(b"first").unwrap().commit().unwrap();
        let shared = &*store.shared;
        let object = shared.index.select(|_| true).pop().unwrap();
        assert!(object.mark(shared.now()).is_ok());
        // Where nobody has it in hand, it is as if it was leased.
        assert!(matches!(put(b"second"), Err(PutError::NoRoom { .. })));
        let claimer = shared.claimers.begin();
        // Not for ever: who has it in hand may be this thread, in a callback.
        assert!(matches!(put(b"second"), Err(PutError::NoRoom { .. })));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| put(b"second").map(drop));
            // Likely to be refused meanwhile.
            thread::sleep(Duration::from_millis(20));
            let mut ranks = shared.order.lock();
            object.claims.stay();
            ranks.look_again(&shared.index, object.id, shared.now());
            drop((ranks, claimer, object));
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
    }
}
