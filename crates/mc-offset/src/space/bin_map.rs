//! The two-level bitmap of the bins that have holes.

use crate::bins::{BinScale, MANTISSA_BITS_GOOD};

const BINS_PER_WORD: u32 = u64::BITS;
/// Words that the finest scale needs.
const WORDS: usize = BinScale::new(MANTISSA_BITS_GOOD)
    .bin_count(u64::MAX)
    .div_ceil(BINS_PER_WORD) as usize;
const _: () = assert!(
    WORDS <= u64::BITS as usize,
    "one summary word covers all words"
);

/// A set of bins that finds the next member in two bit scans.
///
/// ```text
/// summary   . . . . 1 . . . 1 .            one bit per word
///                   │       └────────┐
/// words     [ 0 0 1 0 0 1 … ]   [ 0 1 0 … ]   one bit per bin
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct BinMap {
    /// Bit `w` is set iff `words[w]` is not zero.
    summary: u64,
    /// Bit `b % 64` of word `b / 64` is set iff bin `b` is in the set.
    words: [u64; WORDS],
}

impl BinMap {
    pub(super) const fn new() -> Self {
        Self {
            summary: 0,
            words: [0; WORDS],
        }
    }

    #[inline]
    pub(crate) fn insert(&mut self, bin: u32) {
        let word = bin / BINS_PER_WORD;
        self.words[word as usize] |= 1 << (bin % BINS_PER_WORD);
        self.summary |= 1 << word;
    }

    #[inline]
    pub(crate) fn remove(&mut self, bin: u32) {
        let word = bin / BINS_PER_WORD;
        let rest = self.words[word as usize] & !(1 << (bin % BINS_PER_WORD));
        self.words[word as usize] = rest;
        self.summary &= !(u64::from(rest == 0) << word);
    }

    pub(crate) fn contains(&self, bin: u32) -> bool {
        self.words[(bin / BINS_PER_WORD) as usize] >> (bin % BINS_PER_WORD) & 1 == 1
    }

    /// Returns the lowest member that is at least `bin`.
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

    /// Returns the highest member.
    #[inline]
    pub(crate) fn last(&self) -> Option<u32> {
        let word = self.summary.checked_ilog2()?;
        let leaf = self.words[word as usize].checked_ilog2()?;
        Some(word * BINS_PER_WORD + leaf)
    }

    /// Returns the members from `bin` upwards.
    pub(crate) fn iter_from(&self, bin: u32) -> impl Iterator<Item = u32> + '_ {
        let mut next = bin;
        core::iter::from_fn(move || {
            let found = self.first_at_or_above(next)?;
            next = found + 1;
            Some(found)
        })
    }

    /// Returns the members, the highest first.
    pub(crate) fn iter_down(&self) -> impl Iterator<Item = u32> + '_ {
        let mut rest = *self;
        core::iter::from_fn(move || {
            let found = rest.last()?;
            rest.remove(found);
            Some(found)
        })
    }

    /// Panics unless the summary agrees with the words.
    pub(crate) fn check_invariants(&self) {
        for (index, &word) in self.words.iter().enumerate() {
            let is_marked = self.summary >> index & 1 == 1;
            assert_eq!(is_marked, word != 0, "summary bit {index} is wrong");
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn searches_cross_words_in_both_directions() {
        let mut map = BinMap::new();
        assert_eq!(map.first_at_or_above(0), None);
        assert_eq!(map.last(), None);
        for bin in [3, 64, 700, 1919] {
            map.insert(bin);
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
        map.remove(1919);
        map.remove(64);
        map.check_invariants();
        assert_eq!(map.last(), Some(700));
        assert_eq!(map.iter_from(0).collect::<Vec<_>>(), [3, 700]);
        map.insert(650);
        assert_eq!(map.iter_down().collect::<Vec<_>>(), [700, 650, 3]);
    }

    #[test]
    #[should_panic(expected = "summary bit 1 is wrong")]
    fn a_summary_that_lacks_a_word_is_noticed() {
        let mut map = BinMap::new();
        map.insert(64);
        map.summary = 0;
        map.check_invariants();
    }
}
