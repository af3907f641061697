//! A table of equal records in chunks: indices stay valid while it grows, and
//! chunks without a record in use go back to the heap.

use alloc::{boxed::Box, collections::TryReserveError, vec::Vec};
use core::ops::{Index, IndexMut};

/// The index that names no record.
pub(crate) const NIL: u32 = u32::MAX;

const CHUNK_BITS: u32 = 10;
const CHUNK_LEN: usize = 1 << CHUNK_BITS;
/// Chunks such that no index reaches [`NIL`].
const CHUNKS_MAX: usize = (NIL >> CHUNK_BITS) as usize;

/// A record that can carry the link of the vacancy list while it is not used.
pub(crate) trait Record: Copy {
    /// Returns a vacant record that links to `next_vacant`.
    fn vacant(next_vacant: u32) -> Self;
    /// Returns the link of a vacant record.
    fn next_vacant(&self) -> u32;
    /// Returns whether the record is in use.
    fn is_occupied(&self) -> bool;
}

/// No record can be added: the heap refused, or the indices are used up.
#[derive(Debug)]
pub(crate) struct SlabFull;

impl From<TryReserveError> for SlabFull {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

/// A growing table whose vacant records form a last-in-first-out list.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    /// `None` where the chunk was given back.
    chunks: Vec<Option<Box<[T; CHUNK_LEN]>>>,
    /// Head of the list of vacant records, linked through the records.
    vacant: u32,
    /// Records in use.
    len: u32,
    /// Records in chunks that are present, used or vacant.
    slots: u32,
}

impl<T: Record> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            vacant: NIL,
            len: 0,
            slots: 0,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Returns one more than the highest index that may be in use.
    pub(crate) fn index_end(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "bounded by CHUNKS_MAX")]
        let chunks = self.chunks.len() as u32;
        chunks << CHUNK_BITS
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.slots as usize * size_of::<T>() + self.chunks.capacity() * size_of::<*const T>()
    }

    /// Returns the record at `index`, or `None` where there is no chunk.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let chunk = self.chunks.get((index >> CHUNK_BITS) as usize)?.as_ref()?;
        Some(&chunk[index as usize % CHUNK_LEN])
    }

    /// Makes sure that `additional` calls of [`insert`](Self::insert) succeed.
    #[inline]
    pub(crate) fn reserve(&mut self, additional: u32) -> Result<(), SlabFull> {
        while self.slots - self.len < additional {
            self.add_chunk()?;
        }
        Ok(())
    }

    /// Puts `record` into the slot that was vacated last; a
    /// [`reserve`](Self::reserve) came before.
    #[inline]
    pub(crate) fn insert(&mut self, record: T) -> u32 {
        let index = self.vacant;
        self.vacant = self[index].next_vacant();
        self[index] = record;
        self.len += 1;
        index
    }

    /// Vacates the record at `index`.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) {
        self[index] = T::vacant(self.vacant);
        self.vacant = index;
        self.len -= 1;
    }

    /// Returns whether most slots are vacant, so that [`trim`](Self::trim)
    /// pays for the removals since the last one.
    #[inline]
    pub(crate) fn is_mostly_vacant(&self) -> bool {
        self.slots as usize >= 4 * CHUNK_LEN && self.len < self.slots / 4
    }

    /// Gives chunks without a used record back, in time linear in the slots.
    pub(crate) fn trim(&mut self) {
        self.vacant = NIL;
        self.slots = 0;
        for number in (0..self.chunks.len()).rev() {
            let Some(chunk) = &self.chunks[number] else {
                continue;
            };
            if chunk.iter().any(T::is_occupied) {
                self.link_vacant(number);
            } else {
                self.chunks[number] = None;
            }
        }
        while self.chunks.last().is_some_and(Option::is_none) {
            self.chunks.pop();
        }
        self.chunks.shrink_to_fit();
    }

    /// Adds a chunk in the lowest place without one.
    #[cold]
    fn add_chunk(&mut self) -> Result<(), SlabFull> {
        let number = match self.chunks.iter().position(Option::is_none) {
            Some(number) => number,
            None if self.chunks.len() == CHUNKS_MAX => return Err(SlabFull),
            None => {
                self.chunks.try_reserve(1)?;
                self.chunks.push(None);
                self.chunks.len() - 1
            }
        };
        let mut records = Vec::new();
        records.try_reserve_exact(CHUNK_LEN)?;
        records.resize(CHUNK_LEN, T::vacant(NIL));
        self.chunks[number] = records.into_boxed_slice().try_into().ok();
        self.link_vacant(number);
        Ok(())
    }

    /// Puts the vacant records of a present chunk before the vacancy list,
    /// the lowest index first.
    fn link_vacant(&mut self, number: usize) {
        let first = number << CHUNK_BITS;
        for index in (first..first + CHUNK_LEN).rev() {
            #[expect(clippy::cast_possible_truncation, reason = "bounded by CHUNKS_MAX")]
            let index = index as u32;
            if !self[index].is_occupied() {
                self[index] = T::vacant(self.vacant);
                self.vacant = index;
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "a constant below u32::MAX")]
        let added = CHUNK_LEN as u32;
        self.slots += added;
    }
}

impl<T: Record> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        match &self.chunks[(index >> CHUNK_BITS) as usize] {
            Some(chunk) => &chunk[index as usize % CHUNK_LEN],
            None => missing_chunk(index),
        }
    }
}

impl<T: Record> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        match &mut self.chunks[(index >> CHUNK_BITS) as usize] {
            Some(chunk) => &mut chunk[index as usize % CHUNK_LEN],
            None => missing_chunk(index),
        }
    }
}

#[cold]
fn missing_chunk(index: u32) -> ! {
    panic!("record {index} is linked but its chunk was given back")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Entry {
        Used(u32),
        Vacant(u32),
    }

    impl Record for Entry {
        fn vacant(next_vacant: u32) -> Self {
            Self::Vacant(next_vacant)
        }

        fn next_vacant(&self) -> u32 {
            match *self {
                Self::Vacant(next) => next,
                Self::Used(_) => panic!("not vacant"),
            }
        }

        fn is_occupied(&self) -> bool {
            matches!(self, Self::Used(_))
        }
    }

    fn filled(len: u32) -> Slab<Entry> {
        let mut slab = Slab::new();
        for value in 0..len {
            slab.reserve(1).unwrap();
            assert_eq!(slab.insert(Entry::Used(value)), value);
        }
        slab
    }

    #[test]
    fn the_slot_vacated_last_is_used_first() {
        let mut slab = filled(10);
        slab.remove(3);
        slab.remove(7);
        assert_eq!(slab.insert(Entry::Used(70)), 7);
        assert_eq!(slab.insert(Entry::Used(30)), 3);
        assert_eq!(slab.insert(Entry::Used(100)), 10);
    }

    #[test]
    fn trim_gives_back_chunks_in_the_middle_and_at_the_end() {
        let chunk: u32 = CHUNK_LEN.try_into().unwrap();
        let mut slab = filled(8 * chunk);
        let full_bytes = slab.heap_bytes();
        let kept = [5, 3 * chunk + 1, 3 * chunk + 9];
        for index in (0..8 * chunk).filter(|index| !kept.contains(index)) {
            slab.remove(index);
        }
        assert!(slab.is_mostly_vacant());
        slab.trim();
        assert!(slab.heap_bytes() * 3 < full_bytes);
        assert_eq!(slab.index_end(), 4 * chunk);
        for index in kept {
            assert_eq!(slab[index], Entry::Used(index));
        }
        assert!(slab.get(chunk).is_none());
        // Refilling needs each index once and never one that is in use.
        let mut seen = alloc::collections::BTreeSet::from(kept);
        for value in 0..4 * chunk {
            slab.reserve(1).unwrap();
            assert!(seen.insert(slab.insert(Entry::Used(value))));
        }
    }
}
