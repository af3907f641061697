//! The two-level bitmap over the bins and the head of each bin's list.

use alloc::{boxed::Box, vec};

use crate::{
    bins::{BinScale, MANTISSA_BITS_GOOD},
    slab::NIL,
};

const BINS_PER_WORD: u32 = u64::BITS;
/// Words that the finest scale needs: 61 top groups of 32 leaves, less the
/// ones past `u64::MAX`.
const WORDS: usize = BinScale::new(MANTISSA_BITS_GOOD)
    .bin_count(u64::MAX)
    .div_ceil(BINS_PER_WORD) as usize;
const _: () = assert!(
    WORDS <= u64::BITS as usize,
    "one summary word covers all words"
);

/// List heads by bin, with a bitmap that finds the next non-empty bin in two
/// bit scans.
///
/// ```text
/// summary        . . . . 1 . . . 1 .      one bit per word
///                        │       └───────────┐
/// words          [ 0 0 1 0 0 1 … ]   [ 0 1 0 … ]   one bit per bin
///                      │     │           │
/// heads            hole 7  hole 2      hole 9      most recent hole first
/// ```
#[derive(Debug)]
pub(crate) struct BinMap {
    /// Bit `w` is set iff `words[w]` is not zero.
    summary: u64,
    /// Bit `b % 64` of word `b / 64` is set iff `heads[b]` is not [`NIL`].
    words: [u64; WORDS],
    /// Index of the first hole of each bin, or [`NIL`].
    heads: Box<[u32]>,
}

impl BinMap {
    pub(crate) fn new(bin_count: u32) -> Self {
        Self {
            summary: 0,
            words: [0; WORDS],
            heads: vec![NIL; bin_count as usize].into_boxed_slice(),
        }
    }

    /// Returns the first hole of `bin`, or [`NIL`].
    ///
    /// A bin past the capacity's own is empty by construction.
    #[inline]
    pub(crate) fn head(&self, bin: u32) -> u32 {
        self.heads.get(bin as usize).copied().unwrap_or(NIL)
    }

    /// Makes `hole`, which is not [`NIL`], the first of `bin`.
    #[inline]
    pub(crate) fn set_head(&mut self, bin: u32, hole: u32) {
        debug_assert_ne!(hole, NIL);
        let word = bin / BINS_PER_WORD;
        self.heads[bin as usize] = hole;
        self.words[word as usize] |= 1 << (bin % BINS_PER_WORD);
        self.summary |= 1 << word;
    }

    /// Empties `bin`.
    #[inline]
    pub(crate) fn clear_head(&mut self, bin: u32) {
        let word = bin / BINS_PER_WORD;
        self.heads[bin as usize] = NIL;
        self.words[word as usize] &= !(1 << (bin % BINS_PER_WORD));
        if self.words[word as usize] == 0 {
            self.summary &= !(1 << word);
        }
    }

    /// Returns the lowest non-empty bin that is at least `bin`.
    #[inline]
    pub(crate) fn first_at_or_above(&self, bin: u32) -> Option<u32> {
        let word = bin / BINS_PER_WORD;
        let here = self.words.get(word as usize)? & (!0 << (bin % BINS_PER_WORD));
        if here != 0 {
            return Some(word * BINS_PER_WORD + here.trailing_zeros());
        }
        // Shifting twice keeps a word number of 63 from overflowing.
        let above = self.summary & (!0 << word << 1);
        if above == 0 {
            return None;
        }
        let word = above.trailing_zeros();
        Some(word * BINS_PER_WORD + self.words[word as usize].trailing_zeros())
    }

    /// Returns the highest non-empty bin.
    #[inline]
    pub(crate) fn last(&self) -> Option<u32> {
        let word = self.summary.checked_ilog2()?;
        let leaf = self.words[word as usize].checked_ilog2()?;
        Some(word * BINS_PER_WORD + leaf)
    }

    /// Returns the non-empty bins from `bin` upwards.
    pub(crate) fn non_empty_from(&self, bin: u32) -> impl Iterator<Item = u32> + '_ {
        let mut next = bin;
        core::iter::from_fn(move || {
            let found = self.first_at_or_above(next)?;
            next = found + 1;
            Some(found)
        })
    }

    /// Panics unless the bitmap agrees with the heads.
    pub(crate) fn check_invariants(&self) {
        for (bin, &head) in (0..).zip(self.heads.iter()) {
            let word = self.words[(bin / BINS_PER_WORD) as usize];
            let is_marked = word >> (bin % BINS_PER_WORD) & 1 == 1;
            assert_eq!(
                is_marked,
                head != NIL,
                "bitmap and head of bin {bin} disagree"
            );
        }
        for (index, &word) in self.words.iter().enumerate() {
            let is_marked = self.summary >> index & 1 == 1;
            assert_eq!(is_marked, word != 0, "summary bit {index} is wrong");
        }
    }

    /// Returns the heap bytes of the heads.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.heads)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn searches_cross_words_in_both_directions() {
        let mut map = BinMap::new(1920);
        assert_eq!(map.first_at_or_above(0), None);
        assert_eq!(map.last(), None);
        for bin in [3, 64, 700, 1919] {
            map.set_head(bin, bin);
        }
        map.check_invariants();
        for (from, found) in [
            (0, 3),
            (3, 3),
            (4, 64),
            (65, 700),
            (701, 1919),
            (1919, 1919),
        ] {
            assert_eq!(map.first_at_or_above(from), Some(found), "from {from}");
        }
        assert_eq!(map.first_at_or_above(1920), None);
        assert_eq!(map.last(), Some(1919));
        map.clear_head(1919);
        map.clear_head(64);
        map.check_invariants();
        assert_eq!(map.last(), Some(700));
        assert_eq!(map.non_empty_from(0).collect::<Vec<_>>(), [3, 700]);
    }
}
