//! One word that tells which magazines may hold blocks, and whether they
//! should.

use core::iter;

use crate::sync::{AtomicU64, Ordering};

/// Flags that a word has for magazines.
pub(super) const FLAG_COUNT: usize = 31;

/// One change, in the half of the word above the flags.
const CHANGE: u64 = 1 << 32;
/// Set while blocks may be kept back.
const KEEPING: u64 = 1 << FLAG_COUNT;
const MAGAZINES: u64 = KEEPING - 1;

/// A flag per magazine, one for all, and the number of times that any of them
/// changed.
///
/// Every block that is kept back reads the word and few write it, so that it
/// has cache lines of its own, away from what each operation under the lock
/// writes.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Flags {
    /// Bits 0..31: bit `m` is set if magazine `m` holds a block. Bit 31: set
    /// while requests use up whole holes, so that magazines are worth a look.
    /// Bits 32..64: changes so far, modulo 2^32.
    ///
    /// Bit `m` is changed only by the thread that occupies magazine `m`. It
    /// raises the bit before the first block is in, and lowers it when none
    /// is left and what was there is findable elsewhere. Bit 31 is changed
    /// under the lock.
    word: AtomicU64,
}

/// The flags and the number of changes at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snapshot(u64);

impl Snapshot {
    /// Returns whether no magazine holds a block.
    #[inline]
    pub(super) fn is_clear(self) -> bool {
        self.0 & MAGAZINES == 0
    }

    /// Returns the magazines that may hold blocks.
    #[inline]
    pub(super) fn raised(self) -> impl Iterator<Item = usize> {
        let mut flags = self.0 & MAGAZINES;
        iter::from_fn(move || {
            let magazine = flags.trailing_zeros();
            flags &= flags.checked_sub(1)?;
            Some(magazine as usize)
        })
    }
}

impl Flags {
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
        }
    }

    /// Reads all flags.
    ///
    /// `Acquire` pairs with the `Release` of [`lower`](Self::lower): who sees a
    /// flag lowered sees the bound that covers what the magazine held.
    #[inline]
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(self.word.load(Ordering::Acquire))
    }

    /// Returns whether blocks may be kept back. Nothing is read because of it:
    /// a thread that reads an older value goes to the lock once more, or keeps
    /// one block more, hence `Relaxed`.
    #[inline]
    pub(super) fn is_keeping(&self) -> bool {
        self.word.load(Ordering::Relaxed) & KEEPING != 0
    }

    /// Says whether blocks may be kept back; the caller has the lock.
    #[inline]
    pub(super) fn set_keeping(&self, is_keeping: bool) {
        // Seldom: the word is read by all threads.
        if self.is_keeping() != is_keeping {
            let change = if is_keeping {
                CHANGE + KEEPING
            } else {
                CHANGE - KEEPING
            };
            self.word.fetch_add(change, Ordering::Release);
        }
    }

    /// Raises a flag unless it is up; the caller occupies the magazine.
    ///
    /// `Release` orders nothing that a reader of a raised flag relies on: it
    /// goes on to the magazine and synchronizes there. It keeps the count of
    /// changes in the release sequence of the flags lowered before.
    #[inline]
    pub(super) fn raise(&self, magazine: usize) {
        // No other thread changes this bit, so that a plain read is exact.
        if self.word.load(Ordering::Relaxed) >> magazine & 1 == 0 {
            self.word
                .fetch_add(CHANGE + (1 << magazine), Ordering::Release);
        }
    }

    /// Lowers a flag that is up; the caller occupies the magazine.
    #[inline]
    pub(super) fn lower(&self, magazine: usize) {
        self.word
            .fetch_add(CHANGE - (1 << magazine), Ordering::Release);
    }

    /// Returns whether a flag is up; exact if the caller occupies the
    /// magazine.
    #[inline]
    pub(super) fn is_raised(&self, magazine: usize) -> bool {
        self.word.load(Ordering::Relaxed) >> magazine & 1 == 1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    /// The flags that are up, whether blocks are kept, and the changes so far.
    fn read(flags: &Flags) -> (Vec<usize>, bool, u64) {
        let snapshot = flags.snapshot();
        let raised = snapshot.raised().collect();
        (raised, flags.is_keeping(), snapshot.0 / CHANGE)
    }

    #[test]
    fn each_change_is_counted_and_changes_one_flag() {
        let flags = Flags::new();
        assert_eq!(read(&flags), (vec![], false, 0));
        let last = FLAG_COUNT - 1;
        flags.raise(last);
        assert_eq!(read(&flags), (vec![last], false, 1));
        flags.set_keeping(true);
        assert_eq!(read(&flags), (vec![last], true, 2));
        flags.raise(0);
        assert_eq!(read(&flags), (vec![0, last], true, 3));
        // What is so already is no change.
        flags.raise(0);
        flags.set_keeping(true);
        assert_eq!(read(&flags), (vec![0, last], true, 3));
        flags.set_keeping(false);
        assert_eq!(read(&flags), (vec![0, last], false, 4));
        flags.set_keeping(false);
        flags.lower(last);
        assert_eq!(read(&flags), (vec![0], false, 5));
        assert!(flags.is_raised(0) && !flags.is_raised(last));
        flags.lower(0);
        assert_eq!(read(&flags), (vec![], false, 6));
        assert!(flags.snapshot().is_clear());
    }
}
