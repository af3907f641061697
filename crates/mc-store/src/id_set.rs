//! A set of object ids, a bit each.

#[cfg(test)]
mod tests;

use crate::policy::ObjectId;

/// Ids of objects, which are small and dense. Gives no memory back, so that one that is
/// often empty has no need to get it again.
#[derive(Debug, Default)]
pub(crate) struct IdSet {
    words: Vec<u64>,
    len: usize,
}

impl IdSet {
    #[inline]
    pub(crate) fn has(&self, id: ObjectId) -> bool {
        let word = self.words.get(id.0 as usize / 64);
        word.is_some_and(|word| word & bit(id) != 0)
    }

    pub(crate) fn insert(&mut self, id: ObjectId) {
        let place = id.0 as usize / 64;
        if self.words.len() <= place {
            self.words.resize(place + 1, 0);
        }
        self.len += usize::from(self.words[place] & bit(id) == 0);
        self.words[place] |= bit(id);
    }

    pub(crate) fn remove(&mut self, id: ObjectId) {
        if self.has(id) {
            self.words[id.0 as usize / 64] &= !bit(id);
            self.len -= 1;
        }
    }

    /// Returns the ids of this set that are not in another: a word for each 64 is read.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let others = other.words.iter().chain(std::iter::repeat(&0));
        let words = self.words.iter().zip(others);
        let words: Vec<u64> = words.map(|(word, other)| word & !other).collect();
        let len = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns all ids, if none is smaller than `least`, which need not be in the set.
    pub(crate) fn iter_from(&self, least: ObjectId) -> impl Iterator<Item = ObjectId> {
        let first = least.0 / 64;
        let words = self.words.get(first as usize..).unwrap_or_default();
        let words = (first..).zip(words);
        words.flat_map(|(place, &word)| {
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit: u32| ObjectId(place * 64 + bit))
        })
    }
}

/// Returns the bit of an id in its word.
#[inline]
const fn bit(id: ObjectId) -> u64 {
    1 << (id.0 % 64)
}
