//! The holes by address: a treap that knows the largest hole of each subtree.
//!
//! Most requests never ask where a hole is, so the index exists only while it
//! is asked. Its owner, [`Holes`](crate::holes::Holes), builds it at a lookup
//! and drops it after as many changes without one as there are holes; a lookup
//! costs O(log holes) that way, counted over any run of operations.

use alloc::vec::Vec;

use crate::slab::{NIL, SlabFull};

/// Changes without a lookup that a small index survives.
const IDLE_CHANGES_MIN: u32 = 64;

/// A hole's place in the treap; its position in the table is the hole's index.
#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: u64,
    size: u64,
    /// Size of the largest hole of the subtree.
    largest: u64,
    left: u32,
    right: u32,
}

const ABSENT: Entry = Entry {
    offset: 0,
    size: 0,
    largest: 0,
    left: NIL,
    right: NIL,
};

/// Holes in address order, searchable by address and by size.
#[derive(Debug)]
pub(crate) struct AddressIndex {
    entries: Vec<Entry>,
    root: u32,
    len: u32,
    /// Changes since the last lookup.
    idle_changes: u32,
}

impl AddressIndex {
    pub(crate) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            root: NIL,
            len: 0,
            idle_changes: 0,
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    /// Returns whether the index costs more than it is worth.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.idle_changes > self.len.max(IDLE_CHANGES_MIN)
    }

    /// Makes sure that holes with an index below `end` can be added.
    pub(crate) fn reserve(&mut self, end: u32) -> Result<(), SlabFull> {
        let missing = (end as usize).saturating_sub(self.entries.len());
        self.entries.try_reserve(missing)?;
        self.entries.resize(self.entries.len() + missing, ABSENT);
        Ok(())
    }

    /// Adds a hole that touches no other.
    pub(crate) fn insert(&mut self, hole: u32, offset: u64, size: u64) {
        self.entries[hole as usize] = Entry {
            offset,
            size,
            largest: size,
            ..ABSENT
        };
        let (before, after) = self.split(self.root, offset);
        let before = self.merge(before, hole);
        self.root = self.merge(before, after);
        self.len += 1;
        self.idle_changes += 1;
    }

    /// Removes a hole.
    pub(crate) fn remove(&mut self, hole: u32) {
        let offset = self.entry(hole).offset;
        let (before, rest) = self.split(self.root, offset);
        let (only, after) = self.split(rest, offset + 1);
        debug_assert_eq!(only, hole, "the hole is where its offset says");
        self.root = self.merge(before, after);
        self.len -= 1;
        self.idle_changes += 1;
    }

    /// Moves the ends of a hole, which stays between its neighbors.
    pub(crate) fn reshape(&mut self, hole: u32, offset: u64, size: u64) {
        let entry = &mut self.entries[hole as usize];
        entry.offset = offset;
        entry.size = size;
        self.refresh_path(self.root, hole);
        self.idle_changes += 1;
    }

    /// Returns the hole with the highest offset that is at most `offset`.
    pub(crate) fn at_or_before(&mut self, offset: u64) -> Option<u32> {
        self.idle_changes = 0;
        let mut found = None;
        let mut at = self.root;
        while at != NIL {
            let entry = self.entry(at);
            if entry.offset <= offset {
                found = Some(at);
                at = entry.right;
            } else {
                at = entry.left;
            }
        }
        found
    }

    /// Returns the hole of at least `size` bytes with the highest offset.
    pub(crate) fn last_fit(&mut self, size: u64) -> Option<u32> {
        self.idle_changes = 0;
        let mut at = self.root;
        if self.largest(at) < size {
            return None;
        }
        loop {
            let entry = self.entry(at);
            if self.largest(entry.right) >= size {
                at = entry.right;
            } else if entry.size >= size {
                return Some(at);
            } else {
                at = entry.left;
            }
        }
    }

    /// Panics unless the treap holds exactly `holes`, which come in address
    /// order as (index, offset, size).
    pub(crate) fn check_invariants(&self, holes: impl Iterator<Item = (u32, u64, u64)>) {
        let mut expected = holes;
        let counted = self.check_subtree(self.root, &mut expected);
        assert!(
            expected.next().is_none(),
            "a hole is missing from the address index"
        );
        assert_eq!(counted, self.len, "the address index miscounts");
    }

    fn check_subtree(&self, at: u32, expected: &mut impl Iterator<Item = (u32, u64, u64)>) -> u32 {
        if at == NIL {
            return 0;
        }
        let entry = self.entry(at);
        for child in [entry.left, entry.right] {
            assert!(
                child == NIL || priority(child) <= priority(at),
                "hole {child} of the address index is above its parent"
            );
        }
        let before = self.check_subtree(entry.left, expected);
        assert_eq!(
            expected.next(),
            Some((at, entry.offset, entry.size)),
            "address index"
        );
        let after = self.check_subtree(entry.right, expected);
        let largest = entry
            .size
            .max(self.largest(entry.left))
            .max(self.largest(entry.right));
        assert_eq!(
            entry.largest, largest,
            "largest of the subtree of hole {at} is wrong"
        );
        before + 1 + after
    }

    #[inline]
    fn entry(&self, at: u32) -> &Entry {
        &self.entries[at as usize]
    }

    #[inline]
    fn largest(&self, at: u32) -> u64 {
        if at == NIL { 0 } else { self.entry(at).largest }
    }

    #[inline]
    fn refresh(&mut self, at: u32) {
        let Entry {
            size, left, right, ..
        } = *self.entry(at);
        let largest = size.max(self.largest(left)).max(self.largest(right));
        self.entries[at as usize].largest = largest;
    }

    /// Refreshes the entries from `hole` up to the subtree's root `at`.
    fn refresh_path(&mut self, at: u32, hole: u32) {
        if at != hole {
            let Entry {
                offset,
                left,
                right,
                ..
            } = *self.entry(at);
            let is_before = self.entry(hole).offset < offset;
            self.refresh_path(if is_before { left } else { right }, hole);
        }
        self.refresh(at);
    }

    /// Splits a subtree into the holes before `offset` and the others.
    fn split(&mut self, at: u32, offset: u64) -> (u32, u32) {
        if at == NIL {
            return (NIL, NIL);
        }
        let Entry {
            offset: own,
            left,
            right,
            ..
        } = *self.entry(at);
        if own < offset {
            let (before, after) = self.split(right, offset);
            self.entries[at as usize].right = before;
            self.refresh(at);
            (at, after)
        } else {
            let (before, after) = self.split(left, offset);
            self.entries[at as usize].left = after;
            self.refresh(at);
            (before, at)
        }
    }

    /// Joins two subtrees, all holes of the first before those of the second.
    fn merge(&mut self, before: u32, after: u32) -> u32 {
        if before == NIL {
            return after;
        }
        if after == NIL {
            return before;
        }
        if priority(before) >= priority(after) {
            let right = self.entry(before).right;
            self.entries[before as usize].right = self.merge(right, after);
            self.refresh(before);
            before
        } else {
            let left = self.entry(after).left;
            self.entries[after as usize].left = self.merge(before, left);
            self.refresh(after);
            after
        }
    }
}

/// Returns a number that looks random and depends on the index alone, by the
/// finalizer of `MurmurHash3`.
const fn priority(hole: u32) -> u32 {
    let mut bits = hole;
    bits ^= bits >> 16;
    bits = bits.wrapping_mul(0x85eb_ca6b);
    bits ^= bits >> 13;
    bits = bits.wrapping_mul(0xc2b2_ae35);
    bits ^ (bits >> 16)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn lookups_agree_with_a_sorted_map_under_random_changes() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut index = AddressIndex::new();
        index.reserve(500).unwrap();
        let mut model: BTreeMap<u64, (u32, u64)> = BTreeMap::new();
        let mut spare: Vec<u32> = (0..500).collect();
        for _ in 0..5000 {
            // Every hole lies in a cell of its own of 100 bytes.
            let cell = rng.random_range(0..1000) * 100;
            let (offset, size) = (cell + rng.random_range(0..40), rng.random_range(1..50));
            let in_cell = model
                .range(cell..cell + 100)
                .next()
                .map(|(&at, &hole)| (at, hole));
            match in_cell {
                Some((at, (hole, _))) if rng.random_ratio(1, 2) => {
                    index.remove(hole);
                    model.remove(&at);
                    spare.push(hole);
                }
                Some((at, (hole, _))) => {
                    index.reshape(hole, offset, size);
                    model.remove(&at);
                    model.insert(offset, (hole, size));
                }
                None => {
                    let Some(hole) = spare.pop() else { continue };
                    index.insert(hole, offset, size);
                    model.insert(offset, (hole, size));
                }
            }
            index.check_invariants(model.iter().map(|(&at, &(hole, size))| (hole, at, size)));
            let wanted = rng.random_range(1..60);
            let last = model.values().rev().find(|&&(_, size)| size >= wanted);
            assert_eq!(index.last_fit(wanted), last.map(|&(hole, _)| hole));
            let at = rng.random_range(0..100_000);
            let before = model.range(..=at).next_back().map(|(_, &(hole, _))| hole);
            assert_eq!(index.at_or_before(at), before);
        }
    }

    #[test]
    fn idle_after_more_changes_without_a_lookup_than_holes() {
        for (holes, changes) in [(1, 64_u32), (100, 100)] {
            let mut index = AddressIndex::new();
            index.reserve(holes).unwrap();
            for hole in 0..holes {
                index.insert(hole, 10 * u64::from(hole), 5);
            }
            for turn in 0..3 {
                let _ = index.last_fit(1);
                for change in 0..changes {
                    assert!(!index.is_idle(), "turn {turn}, change {change}");
                    index.reshape(0, 0, 1 + u64::from(change) % 5);
                }
                assert!(!index.is_idle());
                index.remove(0);
                assert!(index.is_idle());
                let _ = index.at_or_before(0);
                assert!(!index.is_idle(), "a lookup starts the count anew");
                index.insert(0, 0, 5);
            }
        }
    }

    #[test]
    fn coming_and_going_are_changes_alike() {
        let mut index = AddressIndex::new();
        index.reserve(1).unwrap();
        index.insert(0, 0, 5);
        let _ = index.last_fit(1);
        for _ in 0..IDLE_CHANGES_MIN / 2 {
            assert!(!index.is_idle());
            index.remove(0);
            index.insert(0, 0, 5);
        }
        assert!(!index.is_idle());
        index.remove(0);
        assert!(index.is_idle());
    }

    #[test]
    fn paths_are_short_when_holes_come_in_address_order() {
        let mut index = AddressIndex::new();
        index.reserve(1 << 12).unwrap();
        for hole in 0..1 << 12 {
            index.insert(hole, 10 * u64::from(hole), 5);
        }
        let height = height(&index, index.root);
        assert!(height <= 3 * 12, "{height} holes on the longest path");
    }

    fn height(index: &AddressIndex, at: u32) -> u32 {
        if at == NIL {
            return 0;
        }
        let Entry { left, right, .. } = *index.entry(at);
        1 + height(index, left).max(height(index, right))
    }

    #[test]
    #[should_panic(expected = "a hole is missing from the address index")]
    fn a_missing_hole_is_noticed() {
        let mut index = AddressIndex::new();
        index.reserve(1).unwrap();
        index.insert(0, 10, 5);
        index.check_invariants([(0, 10, 5), (1, 20, 5)].into_iter());
    }

    #[test]
    fn heap_bytes_are_those_of_the_entries() {
        let mut index = AddressIndex::new();
        assert_eq!(index.heap_bytes(), 0);
        index.reserve(100).unwrap();
        assert_eq!(index.heap_bytes(), index.entries.capacity() * 32);
        assert!(index.heap_bytes() >= 3200);
    }
}
