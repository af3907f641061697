//! The bitmap of free slots, with summary levels that say where to look.
//!
//! Level 0 is the truth: one bit a slot, and who clears it owns the slot. The levels above are advice
//! of one bit a word, set when the word below gets a free slot and cleared only by a search that
//! looked there in vain, so that allocating and freeing one slot over and over writes to level 0
//! alone. At rest a word that is not zero *implies* that its bit above is set; the converse does not
//! hold. While a search is clearing a bit the implication may fail for a moment, which costs other
//! searches time and nothing else.

use alloc::boxed::Box;

use super::geometry::{self, Geometry, WORD_BITS};
use crate::sync::{AtomicU64, Ordering};

/// One bit a slot, set iff the slot is free, under its summary levels.
#[derive(Debug)]
pub(super) struct Bitmap {
    geometry: Geometry,
    /// The words of all levels, each `WORD_BITS` bits wide, the bits above the last one always zero.
    ///
    /// Level 0: bits are cleared by `claim_in` and `claim_at` and set by `release`. Levels above: bits
    /// are set by `advertise` and cleared by `withdraw`. Orderings are argued where they are used.
    words: Box<[AtomicU64]>,
}

impl Bitmap {
    /// Makes a bitmap of free slots only.
    pub(super) fn new(geometry: Geometry) -> Self {
        let words = (0..geometry.levels())
            .flat_map(|level| {
                let bits = geometry.level_bits(level);
                let fan_out = WORD_BITS as usize;
                (0..bits.div_ceil(fan_out))
                    .map(move |word| AtomicU64::new(geometry::low_bits(bits - word * fan_out)))
            })
            .collect();
        Self { geometry, words }
    }

    /// Shape of the bitmap.
    #[inline]
    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Tells whether slot `index` is free.
    #[inline]
    pub(super) fn is_free(&self, index: u32) -> bool {
        let (word, bit) = geometry::bit_of(index);
        // Acquire pairs with the Release in `release`, as for a claim.
        self.words[word].load(Ordering::Acquire) & bit != 0
    }

    /// Bits of the free slots of `word` of level 0.
    pub(super) fn free_bits(&self, word: usize) -> u64 {
        self.words[word].load(Ordering::Acquire)
    }

    /// Claims the lowest free slot of `word` of level 0.
    #[inline]
    pub(super) fn claim_in(&self, word: usize) -> Option<u32> {
        let cell = &self.words[word];
        // Relaxed: the exchange below decides.
        let mut bits = cell.load(Ordering::Relaxed);
        while bits != 0 {
            let lowest = bits.trailing_zeros();
            // Acquire pairs with the Release in `release`: what the last owner did with the slot
            // comes before what the next one does. Claims are read-modify-writes, so releases further
            // back stay visible through them.
            match cell.compare_exchange_weak(
                bits,
                bits & (bits - 1),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(geometry::slot_of(word, lowest)),
                Err(current) => bits = current,
            }
        }
        None
    }

    /// Claims slot `index` and tells whether it was free.
    pub(super) fn claim_at(&self, index: u32) -> bool {
        let (word, bit) = geometry::bit_of(index);
        // Acquire as in `claim_in`.
        self.words[word].fetch_and(!bit, Ordering::Acquire) & bit != 0
    }

    /// Claims a slot of `shard`, of which the caller has been promised one.
    ///
    /// Waits for nobody: there is a free slot for each promise at any moment, so a round in vain means
    /// that others claimed and released slots meanwhile.
    #[cold]
    pub(super) fn claim_any(&self, shard: usize) -> u32 {
        let top = self.geometry.levels() - 1;
        loop {
            for index in self.geometry.words_of(shard, top) {
                if let Some(slot) = self.claim_below(top, index) {
                    return slot;
                }
            }
            // The advice lags behind the truth while a call that changes it is held up, so look at
            // the truth itself.
            for word in self.geometry.words_of(shard, 0) {
                if let Some(slot) = self.claim_in(word) {
                    return slot;
                }
            }
        }
    }

    /// Claims a slot below word `index` of `level`, and withdraws the advice that led nowhere.
    fn claim_below(&self, level: usize, index: usize) -> Option<u32> {
        if level == 0 {
            return self.claim_in(index);
        }
        // Relaxed: advice.
        let mut bits = self.words[self.geometry.position(level, index)].load(Ordering::Relaxed);
        while bits != 0 {
            let child = geometry::child_of(index, bits.trailing_zeros());
            let claimed = self.claim_below(level - 1, child);
            if claimed.is_some() {
                return claimed;
            }
            self.withdraw(level - 1, child);
            bits &= bits - 1;
        }
        None
    }

    /// Makes slot `index` free and tells whether it was live; a free slot stays as it is.
    #[inline]
    pub(super) fn release(&self, index: u32) -> bool {
        let (word, bit) = geometry::bit_of(index);
        // Release pairs with the Acquire of the next claim, Acquire with the Release in `withdraw`.
        let was_live = self.words[word].fetch_or(bit, Ordering::AcqRel) & bit == 0;
        if was_live {
            let (parent, bit) = geometry::parent_of(word);
            // Relaxed: the write above has acquired every withdrawal that did not see it.
            let advice = self.words[self.geometry.position(1, parent)].load(Ordering::Relaxed);
            if advice & bit == 0 {
                self.advertise(0, word);
            }
        }
        was_live
    }

    /// Sets the bits above word `child` of `level`, up to a word that had others.
    ///
    /// Whoever makes a word differ from zero goes on upwards, so that is done already or under way
    /// for a word that had other bits.
    #[cold]
    fn advertise(&self, level: usize, child: usize) {
        let mut child = child;
        for level in level + 1..self.geometry.levels() {
            let (parent, bit) = geometry::parent_of(child);
            let word = &self.words[self.geometry.position(level, parent)];
            // Acquire pairs with the Release in `withdraw`, called for this word: if it missed this
            // bit, the next turn of the loop finds the bit above cleared.
            if word.fetch_or(bit, Ordering::Acquire) != 0 {
                return;
            }
            child = parent;
        }
    }

    /// Clears the bit above word `child` of `level`, and sets it again if the word is not zero after.
    ///
    /// No bit is lost for good. The second step and a write that makes the word differ from zero are
    /// both read-modify-writes of that word. If the write comes first, this call sees it and restores
    /// the bit. Otherwise the write acquires what this call released, hence sees the bit cleared, and
    /// sets it itself.
    fn withdraw(&self, level: usize, child: usize) {
        let (parent, bit) = geometry::parent_of(child);
        let above = &self.words[self.geometry.position(level + 1, parent)];
        // Relaxed: the Release below publishes it.
        above.fetch_and(!bit, Ordering::Relaxed);
        // A write of what is there: a load would have no place in the order of the writes. Release
        // pairs with the Acquire in `release` and `advertise`.
        let word = &self.words[self.geometry.position(level, child)];
        if word.fetch_or(0, Ordering::Release) != 0 {
            self.advertise(level, child);
        }
    }

    /// Bytes of the words of all levels.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// Checks each word against its bit above and against the end of its level.
    ///
    /// # Panics
    ///
    /// If a word has a bit beyond the last one of its level, or has bits while its bit above is clear.
    pub(super) fn check_invariants(&self) {
        for level in 0..self.geometry.levels() {
            let bits = self.geometry.level_bits(level);
            for index in 0..self.geometry.level_words(level) {
                let word = self.words[self.geometry.position(level, index)].load(Ordering::Acquire);
                let used = geometry::low_bits(bits - index * WORD_BITS as usize);
                assert_eq!(
                    word & !used,
                    0,
                    "level {level}, word {index}: bits beyond bit {bits}"
                );
                if word != 0 && level + 1 < self.geometry.levels() {
                    let (parent, bit) = geometry::parent_of(index);
                    let position = self.geometry.position(level + 1, parent);
                    let advice = self.words[position].load(Ordering::Acquire);
                    assert_ne!(
                        advice & bit,
                        0,
                        "level {level}, word {index}: its bit above is clear"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_claimed_once_until_it_is_released() {
        let bitmap = Bitmap::new(Geometry::new(100));
        for index in [0, 63, 64, 99] {
            assert!(bitmap.claim_at(index));
            assert!(!bitmap.claim_at(index), "slot {index} is claimed already");
            assert!(bitmap.release(index));
            assert!(!bitmap.release(index), "slot {index} is free already");
        }
    }

    #[test]
    fn advice_is_withdrawn_from_a_word_without_free_slots_only() {
        let bitmap = Bitmap::new(Geometry::new(5000));
        let is_advised = |word| {
            let (parent, bit) = geometry::parent_of(word);
            let position = bitmap.geometry.position(1, parent);
            bitmap.words[position].load(Ordering::Relaxed) & bit != 0
        };
        assert_eq!(bitmap.claim_below(1, 0), Some(0), "by the advice");
        while bitmap.claim_in(3).is_some() {}
        for (word, is_free) in [(3, false), (4, true)] {
            assert!(is_advised(word));
            bitmap.withdraw(0, word);
            assert_eq!(is_advised(word), is_free, "word {word}");
        }
        assert!(bitmap.release(3 * 64));
        assert!(is_advised(3));
        bitmap.check_invariants();
    }

    #[test]
    fn a_slot_released_under_empty_words_is_advised_on_every_level() {
        let bitmap = Bitmap::new(Geometry::new(1 << 21));
        assert_eq!(bitmap.geometry.levels(), 3);
        for word in 0..64 {
            while bitmap.claim_in(word).is_some() {}
            bitmap.withdraw(0, word);
        }
        bitmap.withdraw(1, 0);
        bitmap.check_invariants();
        assert!(bitmap.release(0));
        bitmap.check_invariants();
    }

    #[cfg(feature = "std")]
    #[test]
    fn each_word_is_held_against_its_end_and_the_bit_above() {
        // Levels of 5000 and 79 bits: bits beyond their ends, then bits above words that have some.
        let beyond = [(0, 78, 8), (1, 1, 15)];
        let above = [(1, 0, 3), (1, 1, 14)];
        for (level, index, bit) in beyond.into_iter().chain(above) {
            let bitmap = Bitmap::new(Geometry::new(5000));
            bitmap.check_invariants();
            let word = &bitmap.words[bitmap.geometry.position(level, index)];
            word.fetch_xor(1 << bit, Ordering::Relaxed);
            let checked = std::panic::catch_unwind(|| bitmap.check_invariants());
            assert!(
                checked.is_err(),
                "bit {bit} of word {index} on level {level}"
            );
        }
    }
}
