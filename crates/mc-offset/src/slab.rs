//! A growing table of equal records that hands out the slot vacated last.

use alloc::{collections::TryReserveError, vec::Vec};
use core::ops::{Index, IndexMut};

/// The index that names no record.
pub(crate) const NIL: u32 = u32::MAX;

/// Records added at a time while the table is small.
const GROWTH_MIN: usize = 64;
/// A large table grows by this fraction of itself, so that at most so much of
/// it has never been used.
const GROWTH_DIVISOR: usize = 8;

/// A record that can carry the link of the vacancy list while it is not used.
pub(crate) trait Record: Copy {
    /// A vacant record that links to none.
    const VACANT: Self;

    /// Makes the record vacant and link to `next_vacant`.
    fn vacate(&mut self, next_vacant: u32);
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

/// A table whose indices stay valid and whose vacant records form a
/// last-in-first-out list.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    records: Vec<T>,
    /// Head of the list of vacant records, linked through the records.
    vacant: u32,
    /// Records in use.
    len: u32,
    /// A trim is due when `len` falls below this.
    ///
    /// It is 0 while the table is small, a quarter of the records otherwise,
    /// and after a trim at most half of what was in use then: the removals
    /// since the last trim pay for the next one even if it can give nothing
    /// back.
    trim_below: u32,
}

impl<T: Record> Slab<T> {
    /// Returns a table of `first` records, the ones with the lowest indices.
    pub(crate) fn new(first: impl ExactSizeIterator<Item = T>) -> Result<Self, SlabFull> {
        let mut records = Vec::new();
        records.try_reserve_exact(first.len() + GROWTH_MIN)?;
        records.extend(first);
        let len = index(records.len());
        let mut slab = Self {
            records,
            vacant: NIL,
            len,
            trim_below: 0,
        };
        slab.note_growth();
        Ok(slab)
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Returns one more than the highest index that there is room for.
    #[inline]
    pub(crate) fn index_end(&self) -> u32 {
        index(self.records.capacity().min(NIL as usize))
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.records.capacity() * size_of::<T>()
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.records.get(index as usize)
    }

    /// Returns all slots. A caller that changes several records borrows them
    /// once: where they are is not read again after each change.
    #[inline]
    pub(crate) fn slots_mut(&mut self) -> &mut [T] {
        &mut self.records
    }

    /// Returns whether `additional` calls of [`insert`](Self::insert) would
    /// succeed.
    #[inline]
    pub(crate) fn has_room(&self, additional: u32) -> bool {
        self.index_end() - self.len >= additional
    }

    /// Puts `record` into the slot that was vacated last, or behind all others
    /// if none is vacant; there is [room](Self::has_room).
    #[inline]
    pub(crate) fn insert(&mut self, record: T) -> u32 {
        self.len += 1;
        if self.vacant == NIL {
            self.append_slot();
        }
        let index = self.vacant;
        self.vacant = self[index].next_vacant();
        self[index] = record;
        index
    }

    /// Adds a vacant slot behind all others; none is vacant.
    // Without the record that is to be in it: to be handed on here it would be
    // in memory, written field by field, and waited for by whoever copies it.
    #[cold]
    fn append_slot(&mut self) {
        debug_assert!(self.records.len() < self.records.capacity());
        self.vacant = index(self.records.len());
        self.records.push(T::VACANT);
    }

    /// Vacates the record at `index`.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) {
        let next_vacant = self.vacant;
        self[index].vacate(next_vacant);
        self.vacant = index;
        self.len -= 1;
    }

    /// Makes room for at least two more records than there are slots.
    #[cold]
    pub(crate) fn grow(&mut self) -> Result<(), SlabFull> {
        let slots = self.records.capacity();
        let room = (NIL as usize).saturating_sub(slots);
        let added = (slots / GROWTH_DIVISOR).max(GROWTH_MIN).min(room);
        if added == 0 {
            return Err(SlabFull);
        }
        self.records
            .try_reserve_exact(slots + added - self.records.len())?;
        self.note_growth();
        Ok(())
    }

    fn note_growth(&mut self) {
        self.trim_below = if self.has_grown() {
            self.index_end() / 4
        } else {
            0
        };
    }

    /// Returns whether the table is clearly larger than a new one.
    #[inline]
    pub(crate) fn has_grown(&self) -> bool {
        self.records.capacity() > 4 * GROWTH_MIN
    }

    /// Returns whether so many slots are vacant that [`trim`](Self::trim) is
    /// worth its time.
    #[inline]
    pub(crate) fn is_mostly_vacant(&self) -> bool {
        self.len < self.trim_below
    }

    /// Returns whether a table that has grown has no more records than a 16th of
    /// its slots.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn is_nearly_empty(&self) -> bool {
        self.len <= self.index_end() / 16 && self.has_grown()
    }

    /// Gives the memory behind the highest record in use back, in time linear
    /// in the records. The vacant slots before it are used from the lowest on
    /// afterwards, so that the high ones empty.
    pub(crate) fn trim(&mut self) {
        let occupied = self.records.iter().rposition(T::is_occupied);
        self.records.truncate(occupied.map_or(0, |last| last + 1));
        fit(&mut self.records);
        self.vacant = NIL;
        self.link_vacant();
        self.trim_below = if self.has_grown() {
            (self.index_end() / 4).min(self.len / 2)
        } else {
            0
        };
    }

    /// Lists the vacant records, the lowest index first.
    fn link_vacant(&mut self) {
        for (at, record) in self.records.iter_mut().enumerate().rev() {
            if !record.is_occupied() {
                record.vacate(self.vacant);
                self.vacant = index(at);
            }
        }
    }
}

/// Bytes up to which a table is moved when it shrinks. Heaps map larger ones by
/// themselves, and some take one that is freed for a sign to give less back.
const MOVED_BYTES_MAX: usize = 1 << 20;

/// Gives the memory of a table back that is not needed for what is in it.
///
/// Many heaps shrink a table where it is. What is left of it then lies above all
/// that was freed below, and keeps that from the system.
pub(crate) fn fit<T>(table: &mut Vec<T>) {
    if table.capacity() * size_of::<T>() > MOVED_BYTES_MAX {
        table.shrink_to_fit();
        return;
    }
    let mut fitting = Vec::new();
    // Where there is no memory for a small one, the large one stays.
    if fitting.try_reserve_exact(table.len()).is_ok() {
        fitting.append(table);
        *table = fitting;
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.records[index as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.records[index as usize]
    }
}

/// Returns a position of a table, which has at most [`NIL`] records.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "tables stop growing at NIL"
)]
fn index(position: usize) -> u32 {
    position as u32
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Entry {
        Used(u32),
        Vacant(u32),
    }

    impl Record for Entry {
        const VACANT: Self = Self::Vacant(NIL);

        fn vacate(&mut self, next_vacant: u32) {
            *self = Self::Vacant(next_vacant);
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

    fn insert(slab: &mut Slab<Entry>, value: u32) -> u32 {
        if !slab.has_room(1) {
            slab.grow().unwrap();
        }
        slab.insert(Entry::Used(value))
    }

    fn filled(len: u32) -> Slab<Entry> {
        let mut slab = Slab::new(core::iter::empty()).unwrap();
        for value in 0..len {
            assert_eq!(insert(&mut slab, value), value);
        }
        slab
    }

    #[test]
    fn the_slot_vacated_last_is_used_first() {
        let mut slab = filled(10);
        slab.remove(3);
        slab.remove(7);
        assert_eq!(insert(&mut slab, 70), 7);
        assert_eq!(insert(&mut slab, 30), 3);
        assert_eq!(insert(&mut slab, 100), 10);
    }

    #[test]
    fn at_most_an_eighth_is_never_used() {
        let slab = filled(100_000);
        let slots = slab.heap_bytes() / size_of::<Entry>();
        assert!((100_000..=112_501).contains(&slots), "{slots} slots");
    }

    #[test]
    fn small_tables_grow_by_64_and_large_ones_by_an_eighth() {
        for (len, added) in [(1, 64), (455, 64), (456, 65), (100_000, 12_508)] {
            let mut slab = Slab::new((0..len).map(Entry::Used)).unwrap();
            let slots = slab.index_end();
            assert_eq!(slots, len + 64);
            slab.grow().unwrap();
            assert_eq!(slab.index_end(), slots + added);
        }
    }

    #[test]
    fn a_trim_is_due_when_a_quarter_is_used_and_not_while_the_table_is_small() {
        for (len, due_below) in [(10, 0), (256, 0), (257, 80), (2000, 524)] {
            let mut slab = filled(len);
            for index in (0..len).rev() {
                assert_eq!(slab.is_mostly_vacant(), index + 1 < due_below, "{index}");
                slab.remove(index);
            }
        }
    }

    #[test]
    fn a_trim_that_gives_little_back_is_not_due_again_at_once() {
        // A quarter of what is left of the table, or half of what is in use.
        for (kept, due_below) in [(1100..2600, 650), (2000..2600, 300), (900..1000, 50)] {
            let mut slab = filled(8000);
            for index in (0..8000).filter(|index| !kept.contains(index)) {
                slab.remove(index);
            }
            slab.trim();
            for index in kept {
                assert_eq!(slab.is_mostly_vacant(), slab.len() < due_below);
                slab.remove(index);
            }
        }
    }

    #[test]
    fn trim_gives_back_the_tail_and_reuses_low_slots_first() {
        let mut slab = filled(8000);
        let full_bytes = slab.heap_bytes();
        let kept = [5, 900, 901];
        for index in (0..8000).filter(|index| !kept.contains(index)) {
            slab.remove(index);
        }
        assert!(slab.is_mostly_vacant());
        slab.trim();
        assert!(!slab.is_mostly_vacant(), "a trim is not due again at once");
        assert!(slab.heap_bytes() * 8 < full_bytes);
        for index in kept {
            assert_eq!(slab[index], Entry::Used(index));
        }
        assert_eq!(insert(&mut slab, 0), 0);
        let mut seen = BTreeSet::from([0, 5, 900, 901]);
        for value in 0..2000 {
            assert!(
                seen.insert(insert(&mut slab, value)),
                "an index is given twice"
            );
        }
    }
}
