//! How many words each level of the bitmap has and which shard owns them: pure arithmetic.
//!
//! The words of every level lie in one array, level 0 first. A word of level `k + 1` has one bit for
//! each of [`WORD_BITS`] consecutive words of level `k`. A shard owns a power of two of consecutive
//! words of level 0 and, on every level, exactly the words above them.

use core::ops::Range;

/// Bits used of a word. Loom explores every schedule, so it gets the same tree of narrower words.
pub(super) const WORD_BITS: u32 = if cfg!(loom) { 2 } else { 64 };

/// Largest number of shards: a refusal reads each of them twice.
pub(super) const SHARDS_MAX: usize = if cfg!(loom) { 2 } else { 8 };

/// Most levels that [`Geometry::new`] can need.
///
/// The most slots are 2^32, in 2^26 words, 2^23 words a shard; 2^17 and 2^11 and 2^5 on the levels
/// above, the last of which is less than one word's worth.
const LEVELS_MAX: usize = if cfg!(loom) { 32 } else { 4 };

/// Words of level 0 in the smallest shard, a power of two.
///
/// 32768 slots share a counter. A range of fewer slots than that holds large objects, and copying one
/// of them takes so long that threads seldom meet at the counter.
const SHARD_WORDS_MIN: usize = if cfg!(loom) { 2 } else { 512 };

const _: () = assert!(
    WORD_BITS.is_power_of_two(),
    "bit positions are cut out with shifts"
);
const _: () = assert!(
    SHARD_WORDS_MIN.is_power_of_two(),
    "shards are found with shifts"
);
const _: () = assert!(
    SHARD_WORDS_MIN >= WORD_BITS as usize,
    "every word has one above it"
);

/// Shape of a bitmap of `slots` bits.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    slots: u32,
    /// Binary logarithm of the number of words of level 0 in a shard.
    shard_words_log2: u32,
    shards: usize,
    levels: usize,
    /// `starts[k]` is the position of the first word of level `k`, for `k <= levels`.
    starts: [usize; LEVELS_MAX + 1],
}

impl Geometry {
    /// Lays out a bitmap of `slots` bits, at least one.
    pub(super) fn new(slots: u32) -> Self {
        let fan_out = WORD_BITS as usize;
        let words = (slots as usize).div_ceil(fan_out);
        let shard_words = words
            .div_ceil(SHARDS_MAX)
            .next_power_of_two()
            .max(SHARD_WORDS_MIN);
        let mut starts = [0; LEVELS_MAX + 1];
        starts[1] = words;
        let mut levels = 1;
        let mut level_words = words;
        // The last level has less than one word's worth of words in a shard: they are looked at in
        // turn, and no word is shared between shards.
        let mut shard_level_words = shard_words;
        while shard_level_words >= fan_out {
            shard_level_words /= fan_out;
            level_words = level_words.div_ceil(fan_out);
            starts[levels + 1] = starts[levels] + level_words;
            levels += 1;
        }
        Self {
            slots,
            shard_words_log2: shard_words.trailing_zeros(),
            shards: words.div_ceil(shard_words),
            levels,
            starts,
        }
    }

    /// Number of slots.
    #[inline]
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    /// Number of shards.
    #[inline]
    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    /// Number of levels, level 0 included.
    pub(super) fn levels(&self) -> usize {
        self.levels
    }

    /// Number of words on `level`.
    pub(super) fn level_words(&self, level: usize) -> usize {
        self.starts[level + 1] - self.starts[level]
    }

    /// Number of bits in use on `level`: slots, or words of the level below.
    pub(super) fn level_bits(&self, level: usize) -> usize {
        match level {
            0 => self.slots as usize,
            _ => self.level_words(level - 1),
        }
    }

    /// Position in the array of word `index` of `level`.
    #[inline]
    pub(super) fn position(&self, level: usize, index: usize) -> usize {
        self.starts[level] + index
    }

    /// Shard that owns `word` of level 0.
    #[inline]
    pub(super) fn shard_of(&self, word: usize) -> usize {
        word >> self.shard_words_log2
    }

    /// Shard that a thread of this hint tries first: hints spread over 0..2^32, shards evenly below.
    #[inline]
    pub(super) fn home_of(&self, thread_hint: u32) -> usize {
        ((u64::from(thread_hint) * self.shards as u64) >> 32) as usize
    }

    /// Words of `level` that `shard` owns.
    pub(super) fn words_of(&self, shard: usize, level: usize) -> Range<usize> {
        let shard_words = level_span(1 << self.shard_words_log2, level);
        let end = (shard + 1) * shard_words;
        shard * shard_words..end.min(self.level_words(level))
    }

    /// Number of slots in the words that `shard` owns.
    pub(super) fn shard_slots(&self, shard: usize) -> u32 {
        let words = self.words_of(shard, 0);
        self.slots_of(words.end - 1).end - self.slots_of(words.start).start
    }

    /// Slots of which `word` of level 0 holds the bits.
    pub(super) fn slots_of(&self, word: usize) -> Range<u32> {
        let first = slot_of(word, 0);
        first..first.saturating_add(WORD_BITS).min(self.slots)
    }
}

/// Number of words on `level` above a full tree of `words` words.
fn level_span(words: usize, level: usize) -> usize {
    (0..level).fold(words, |words, _| words / WORD_BITS as usize)
}

/// Returns the word of level 0 and the bit in it that stand for slot `index`.
#[inline]
pub(super) fn bit_of(index: u32) -> (usize, u64) {
    ((index / WORD_BITS) as usize, 1 << (index % WORD_BITS))
}

/// Returns the word above word `child` and the bit in it that stands for `child`.
#[inline]
pub(super) fn parent_of(child: usize) -> (usize, u64) {
    let fan_out = WORD_BITS as usize;
    (child / fan_out, 1 << (child % fan_out))
}

/// Returns the child of word `parent` that bit number `bit` stands for.
pub(super) fn child_of(parent: usize, bit: u32) -> usize {
    parent * WORD_BITS as usize + bit as usize
}

/// Returns the slot that bit number `bit` of word `word` of level 0 stands for.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "words of level 0 number at most 2^32 / 64"
)]
pub(super) fn slot_of(word: usize, bit: u32) -> u32 {
    word as u32 * WORD_BITS + bit
}

/// Returns a word of which the lowest `bits` bits are set, all of them from [`WORD_BITS`] up.
pub(super) fn low_bits(bits: usize) -> u64 {
    u64::MAX >> (64 - bits.min(WORD_BITS as usize))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[track_caller]
    fn check(slots: u32, level_words: &[usize], shards: usize) {
        let geometry = Geometry::new(slots);
        let words: Vec<usize> = (0..geometry.levels())
            .map(|level| geometry.level_words(level))
            .collect();
        assert_eq!(words, level_words, "words of {slots} slots");
        assert_eq!(geometry.shards(), shards, "shards of {slots} slots");
        let shard_slots = (0..shards).map(|shard| geometry.shard_slots(shard));
        assert_eq!(shard_slots.sum::<u32>(), slots, "slots of all shards");
        for (level, &all_words) in level_words.iter().enumerate() {
            let mut next = 0;
            for shard in 0..shards {
                let owned = geometry.words_of(shard, level);
                assert_eq!(
                    owned.start, next,
                    "level {level}, shard {shard} of {slots} slots"
                );
                assert!(owned.end > owned.start, "shard {shard} owns nothing");
                next = owned.end;
            }
            assert_eq!(next, all_words, "level {level} of {slots} slots");
        }
    }

    #[test]
    fn levels_and_shards_cover_every_word_once() {
        check(1, &[1, 1], 1);
        check(64, &[1, 1], 1);
        check(65, &[2, 1], 1);
        check(4097, &[65, 2], 1);
        check(32_768, &[512, 8], 1);
        check(32_769, &[513, 9], 2);
        check(262_144, &[4096, 64], 8);
        check(262_145, &[4097, 65], 5);
        check(1 << 24, &[1 << 18, 1 << 12, 1 << 6], 8);
        check(u32::MAX, &[1 << 26, 1 << 20, 1 << 14, 1 << 8], 8);
    }

    #[test]
    fn hints_spread_evenly_over_the_shards() {
        let geometry = Geometry::new(262_145);
        let fifth = u32::MAX / 5;
        for (hint, shard) in [(0, 0), (fifth, 0), (fifth + 1, 1), (3 * fifth + 3, 3)] {
            assert_eq!(geometry.home_of(hint), shard, "hint {hint}");
        }
        assert_eq!(geometry.home_of(u32::MAX), 4);
        assert_eq!(Geometry::new(1).home_of(u32::MAX), 0);
    }

    #[test]
    fn slot_bit_and_word_convert_back() {
        for index in [0, 1, 63, 64, 65, 4095, 4096, u32::MAX] {
            let (word, bit) = bit_of(index);
            assert_eq!(slot_of(word, bit.trailing_zeros()), index);
            let (parent, bit) = parent_of(word);
            assert_eq!(child_of(parent, bit.trailing_zeros()), word);
        }
    }

    #[test]
    fn low_bits_stop_at_a_full_word() {
        for (bits, word) in [
            (1, 1),
            (2, 3),
            (63, u64::MAX >> 1),
            (64, u64::MAX),
            (99, u64::MAX),
        ] {
            assert_eq!(low_bits(bits), word, "{bits} bits");
        }
    }

    #[test]
    fn last_word_ends_at_the_last_slot() {
        assert_eq!(Geometry::new(65).slots_of(0), 0..64);
        assert_eq!(Geometry::new(65).slots_of(1), 64..65);
        let last = Geometry::new(u32::MAX).slots_of((1 << 26) - 1);
        assert_eq!(last, u32::MAX - 63..u32::MAX);
    }
}
