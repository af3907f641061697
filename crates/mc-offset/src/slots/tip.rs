//! Where the first slot came back after a refusal: advice for the request that is tried again.

use crate::sync::{AtomicUsize, Ordering};

/// One shard number, asked for by a refusal, given by the next slot put back, taken by the next request.
///
/// A full allocator whose caller evicts something and tries again has its free slot in a region that
/// nobody could guess. While requests succeed, nobody writes here.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Tip {
    /// `QUIET`, `ASKED`, or `GIVEN` plus the number of a shard. Written by all three methods. Relaxed
    /// is enough, and so are a load and a store where others may write in between: a tip that is lost,
    /// late or taken twice sends a request to a shard that it could have tried anyhow.
    state: AtomicUsize,
}

/// No request was refused since the last tip was taken.
const QUIET: usize = 0;
/// A request was refused, and no slot was put back since.
const ASKED: usize = 1;
/// A slot was put back, in the shard numbered by what this state exceeds `GIVEN` by.
const GIVEN: usize = 2;

impl Tip {
    /// Makes a tip that nobody has asked for.
    pub(super) fn new() -> Self {
        Self {
            state: AtomicUsize::new(QUIET),
        }
    }

    /// Asks for the shard of the next slot put back.
    #[inline]
    pub(super) fn ask(&self) {
        if self.state.load(Ordering::Relaxed) != ASKED {
            self.state.store(ASKED, Ordering::Relaxed);
        }
    }

    /// Gives `shard`, if a tip has been asked for.
    #[inline]
    pub(super) fn give(&self, shard: usize) {
        if self.state.load(Ordering::Relaxed) == ASKED {
            self.state.store(GIVEN + shard, Ordering::Relaxed);
        }
    }

    /// Takes the shard that was given, if any.
    #[inline]
    pub(super) fn take(&self) -> Option<usize> {
        let shard = self.state.load(Ordering::Relaxed).checked_sub(GIVEN)?;
        self.state.store(QUIET, Ordering::Relaxed);
        Some(shard)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_and_given_is_taken_once() {
        let tip = Tip::new();
        tip.give(3);
        assert_eq!(tip.take(), None, "nobody has asked");
        tip.ask();
        assert_eq!(tip.take(), None, "nothing was given");
        tip.give(3);
        tip.give(4);
        assert_eq!(tip.take(), Some(3));
        assert_eq!(tip.take(), None, "taken already");
        tip.give(5);
        assert_eq!(tip.take(), None, "the wish is fulfilled");
    }
}
