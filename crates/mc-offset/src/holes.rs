//! The holes, filed by size: one record each, in the circular list of its
//! bin.
//!
//! The records with the lowest indices are the lists' anchors, one per bin
//! with the bin's number, so that linking and unlinking need no special case
//! at the ends.

use alloc::vec::Vec;

use crate::{
    address_index::AddressIndex,
    bin_map::BinMap,
    bins::BinScale,
    slab::{NIL, Record, Slab, SlabFull},
};

/// A stretch of free bytes between two allocations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hole {
    pub(crate) offset: u64,
    /// Bytes; zero in a list's anchor.
    pub(crate) size: u64,
    /// The node that stands for the hole in the chain.
    pub(crate) node: u32,
    prev: u32,
    next: u32,
}

const _: () = assert!(
    size_of::<Hole>() == 32,
    "two hole records share a cache line"
);

impl Hole {
    const fn anchor(bin: u32) -> Self {
        Self {
            offset: 0,
            size: 0,
            node: ANCHOR_MARK,
            prev: bin,
            next: bin,
        }
    }

    #[inline]
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.size
    }

    /// Returns the lowest multiple of `align` at which `size` bytes fit.
    #[inline]
    pub(crate) fn place(&self, size: u64, align: u64) -> Option<u64> {
        debug_assert!(align.is_power_of_two());
        let at = self.offset.checked_add(align - 1)? & !(align - 1);
        let room = self.end().checked_sub(at)?;
        (room >= size).then_some(at)
    }
}

/// Holes of the highest bin that a refusal looks at to name the largest.
const HOLES_LOOKED_AT: usize = 16;

/// What an anchor has in place of a node; a vacant record has [`NIL`].
const ANCHOR_MARK: u32 = 0;

impl Record for Hole {
    const VACANT: Self = Self {
        offset: 0,
        size: 0,
        node: NIL,
        prev: NIL,
        next: NIL,
    };

    #[inline]
    fn vacate(&mut self, next_vacant: u32) {
        self.node = NIL;
        self.next = next_vacant;
    }

    #[inline]
    fn next_vacant(&self) -> u32 {
        self.next
    }

    fn is_occupied(&self) -> bool {
        self.node != NIL
    }
}

/// All holes, findable by size.
#[derive(Debug)]
pub(crate) struct Holes {
    scale: BinScale,
    /// Anchors in front of the records: bins up to the capacity's own.
    bin_count: u32,
    bins: BinMap,
    records: Slab<Hole>,
    /// The holes by address, while that is asked for.
    by_address: Option<AddressIndex>,
    /// No hole is larger than this.
    largest_bound: u64,
    /// `true` implies that a hole of `largest_bound` bytes exists, or none
    /// does and the bound is 0.
    is_bound_exact: bool,
}

impl Holes {
    /// Returns an empty set for holes of at most `capacity` bytes.
    pub(crate) fn new(scale: BinScale, capacity: u64) -> Result<Self, SlabFull> {
        let bin_count = scale.bin_count(capacity);
        let anchors = (0..bin_count).map(Hole::anchor);
        Ok(Self {
            scale,
            bin_count,
            bins: BinMap::new(),
            records: Slab::new(anchors)?,
            by_address: None,
            largest_bound: 0,
            is_bound_exact: true,
        })
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.records.len() - self.bin_count
    }

    #[inline]
    pub(crate) fn scale(&self) -> BinScale {
        self.scale
    }

    /// Returns the bins that have holes.
    #[inline]
    pub(crate) fn bins(&self) -> &BinMap {
        &self.bins
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let by_address = self
            .by_address
            .as_ref()
            .map_or(0, |index| index.heap_bytes());
        self.records.heap_bytes() + by_address
    }

    /// Makes sure that one insertion succeeds.
    #[inline]
    pub(crate) fn reserve_one(&mut self) -> Result<(), SlabFull> {
        if self.has_room() {
            return Ok(());
        }
        self.records.grow()
    }

    /// Returns whether a hole can be added.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.records.has_room(1)
    }

    #[inline]
    pub(crate) fn hole(&self, index: u32) -> &Hole {
        &self.records[index]
    }

    /// Adds a hole as the most recent of its bin; a
    /// [`reserve_one`](Self::reserve_one) came before.
    #[inline(always)]
    pub(crate) fn insert(&mut self, offset: u64, size: u64, node: u32) -> u32 {
        debug_assert_ne!(size, 0);
        let index = self.records.insert(Hole {
            offset,
            size,
            node,
            prev: NIL,
            next: NIL,
        });
        self.file(index, size);
        if self.by_address.is_some() {
            self.index_change(|by_address| by_address.insert(index, offset, size));
        }
        index
    }

    /// Removes the hole.
    #[inline(always)]
    pub(crate) fn remove(&mut self, index: u32) {
        self.unfile(index);
        self.records.remove(index);
        if self.len() == 0 {
            self.learn_largest(0);
        }
        if self.by_address.is_some() {
            self.index_change(|by_address| by_address.remove(index));
        }
    }

    /// Makes the hole cover other bytes and the most recent of its bin.
    #[inline(always)]
    pub(crate) fn reshape(&mut self, index: u32, offset: u64, size: u64) {
        debug_assert_ne!(size, 0);
        self.unfile(index);
        let record = &mut self.records[index];
        record.offset = offset;
        record.size = size;
        self.file(index, size);
        if self.by_address.is_some() {
            self.index_change(|by_address| by_address.reshape(index, offset, size));
        }
    }

    /// Returns the holes by address for a lookup.
    pub(crate) fn by_address(&mut self) -> Result<&mut AddressIndex, SlabFull> {
        let by_address = match self.by_address.take() {
            Some(by_address) => by_address,
            None => self.index_by_address()?,
        };
        Ok(self.by_address.insert(by_address))
    }

    fn index_by_address(&self) -> Result<AddressIndex, SlabFull> {
        let mut by_address = AddressIndex::new();
        by_address.reserve(self.records.index_end())?;
        for index in self.bins.iter_from(0).flat_map(|bin| self.in_bin(bin)) {
            let hole = self.hole(index);
            by_address.insert(index, hole.offset, hole.size);
        }
        Ok(by_address)
    }

    /// Carries a change over to the index by address, or drops that if it is
    /// idle or cannot grow.
    #[cold]
    fn index_change(&mut self, change: impl FnOnce(&mut AddressIndex)) {
        let Some(by_address) = &mut self.by_address else {
            return;
        };
        if by_address.is_idle() || by_address.reserve(self.records.index_end()).is_err() {
            self.by_address = None;
        } else {
            change(by_address);
        }
    }

    /// Returns the most recent hole of `bin`, or `bin` itself if it has none.
    #[inline]
    pub(crate) fn first_in_bin(&self, bin: u32) -> u32 {
        self.next_in_bin(bin)
    }

    /// Returns the hole's successor in its bin, or the bin's number after the
    /// last.
    #[inline]
    pub(crate) fn next_in_bin(&self, index: u32) -> u32 {
        self.records[index].next
    }

    /// Iterates over the holes of one bin, the most recent first.
    pub(crate) fn in_bin(&self, bin: u32) -> impl Iterator<Item = u32> + '_ {
        let mut index = bin;
        core::iter::from_fn(move || {
            index = self.next_in_bin(index);
            (index != bin).then_some(index)
        })
    }

    /// Returns a number of bytes that no hole exceeds, in constant time.
    #[inline]
    pub(crate) fn largest_bound(&self) -> u64 {
        self.largest_bound
    }

    /// Returns the size of the largest hole, 0 if there is none.
    ///
    /// Takes constant time while the bound is exact; otherwise it reads the
    /// holes of the highest bin.
    pub(crate) fn largest(&self) -> u64 {
        if self.is_bound_exact {
            return self.largest_bound;
        }
        let sizes = self
            .bins
            .last()
            .into_iter()
            .flat_map(|bin| self.in_bin(bin));
        sizes
            .map(|index| self.records[index].size)
            .max()
            .unwrap_or(0)
    }

    /// Tightens the bound by a look at the highest bin and returns it; exact
    /// unless that has more holes than are looked at.
    pub(crate) fn tighten_bound(&mut self) -> u64 {
        if self.is_bound_exact {
            return self.largest_bound;
        }
        let Some(bin) = self.bins.last() else {
            self.learn_largest(0);
            return 0;
        };
        let mut sizes = self
            .in_bin(bin)
            .map(|index| self.records[index].size)
            .fuse();
        let largest = sizes.by_ref().take(HOLES_LOOKED_AT).max().unwrap_or(0);
        if sizes.next().is_none() {
            drop(sizes);
            self.learn_largest(largest);
        } else {
            drop(sizes);
            self.largest_bound = self.largest_bound.min(self.scale.bin_last_size(bin));
        }
        self.largest_bound
    }

    /// Takes note that the largest hole has `size` bytes.
    #[inline]
    pub(crate) fn learn_largest(&mut self, size: u64) {
        debug_assert!(size <= self.largest_bound);
        self.largest_bound = size;
        self.is_bound_exact = true;
    }

    /// Makes the bound exact, for the fast refusal, if the highest bin has one hole or none.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn learn_lone_largest(&mut self) {
        if self.is_bound_exact {
            return;
        }
        let Some(bin) = self.bins.last() else {
            self.learn_largest(0);
            return;
        };
        let first = &self.records[self.first_in_bin(bin)];
        if first.next == bin {
            let size = first.size;
            self.learn_largest(size);
        }
    }

    /// Returns whether a [`trim`](Self::trim) is worth its time.
    #[inline]
    pub(crate) fn is_mostly_vacant(&self) -> bool {
        self.records.is_mostly_vacant()
    }

    /// Gives memory that is not needed any more back.
    #[cold]
    pub(crate) fn trim(&mut self) {
        self.records.trim();
    }

    /// Panics unless lists, bitmap and bound agree with the records.
    pub(crate) fn check_invariants(&self) {
        self.bins.check_invariants();
        let mut filed = 0;
        let mut largest = 0;
        for bin in 0..self.bin_count {
            let mut prev = bin;
            for index in self.in_bin(bin) {
                let hole = &self.records[index];
                assert_eq!(hole.prev, prev, "hole {index} does not link back");
                assert_eq!(
                    self.scale.bin_floor(hole.size),
                    bin,
                    "hole {index} is misfiled"
                );
                filed += 1;
                assert!(filed <= self.len(), "the list of bin {bin} has a cycle");
                largest = largest.max(hole.size);
                prev = index;
            }
            assert_eq!(
                self.records[bin].prev, prev,
                "the anchor of bin {bin} does not link back"
            );
            assert_eq!(
                self.bins.contains(bin),
                prev != bin,
                "the bit of bin {bin} is wrong"
            );
        }
        assert_eq!(filed, self.len(), "holes are missing from the bins");
        if let Some(by_address) = &self.by_address {
            let mut holes: Vec<_> = self
                .bins
                .iter_from(0)
                .flat_map(|bin| self.in_bin(bin))
                .collect();
            holes.sort_unstable_by_key(|&index| self.hole(index).offset);
            let holes = holes.into_iter().map(|index| (index, self.hole(index)));
            by_address.check_invariants(holes.map(|(index, hole)| (index, hole.offset, hole.size)));
        }
        assert!(
            largest <= self.largest_bound,
            "the bound is below the largest hole"
        );
        if self.is_bound_exact {
            assert_eq!(
                largest, self.largest_bound,
                "the exact bound is not reached"
            );
        }
    }

    #[inline(always)]
    fn file(&mut self, index: u32, size: u64) {
        let bin = self.scale.bin_floor(size);
        let first = self.records[bin].next;
        self.records[bin].next = index;
        self.records[first].prev = index;
        let record = &mut self.records[index];
        record.prev = bin;
        record.next = first;
        self.bins.insert(bin);
        self.is_bound_exact |= size >= self.largest_bound;
        self.largest_bound = self.largest_bound.max(size);
    }

    #[inline(always)]
    fn unfile(&mut self, index: u32) {
        // Read field by field: a copy of the whole record in wide registers
        // would have to wait for the narrow stores that filled it.
        let Hole {
            size, prev, next, ..
        } = self.records[index];
        self.records[prev].next = next;
        self.records[next].prev = prev;
        if prev == next {
            // Only the anchor is left, and its index is the bin.
            self.bins.remove(prev);
        }
        self.is_bound_exact &= size != self.largest_bound;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bins::MANTISSA_BITS_GOOD;

    /// Returns holes of some sizes; their indices begin at the number of bins.
    fn holes(sizes: &[u64]) -> Holes {
        let mut holes = Holes::new(BinScale::new(MANTISSA_BITS_GOOD), 1 << 20).unwrap();
        for (at, &size) in (0..).zip(sizes) {
            holes.reserve_one().unwrap();
            let index = holes.insert(1000 * u64::from(at), size, at);
            assert_eq!(index, holes.bin_count + at);
        }
        holes.check_invariants();
        holes
    }

    #[test]
    fn the_bound_is_exact_again_when_a_larger_hole_comes() {
        let mut holes = holes(&[100, 50]);
        holes.remove(holes.bin_count);
        assert!(!holes.is_bound_exact);
        holes.insert(0, 200, 0);
        assert!(holes.is_bound_exact);
        assert_eq!(holes.largest_bound(), 200);
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_lone_hole_in_the_highest_bin_is_learned_to_be_the_largest() {
        for (sizes, bound) in [(&[100, 50][..], 50), (&[100, 50, 50], 100)] {
            let mut holes = holes(sizes);
            holes.remove(holes.bin_count);
            holes.learn_lone_largest();
            assert_eq!(holes.largest_bound(), bound, "{sizes:?} without the first");
            assert_eq!(holes.is_bound_exact, bound == 50);
        }
    }

    #[test]
    fn the_index_by_address_counts_as_memory_until_it_is_idle() {
        let mut holes = holes(&[100, 50]);
        let records = holes.records.heap_bytes();
        assert_eq!(holes.heap_bytes(), records);
        let _ = holes.by_address().unwrap().last_fit(1);
        let by_address = holes.by_address().unwrap().heap_bytes();
        assert!(by_address > 0);
        let first = holes.bin_count;
        for change in 0..65 {
            assert_eq!(holes.heap_bytes(), records + by_address, "change {change}");
            holes.reshape(first, 0, 100 + change);
        }
        holes.reshape(first, 0, 100);
        assert_eq!(holes.heap_bytes(), records);
    }

    #[test]
    fn memory_of_holes_that_are_gone_is_given_back() {
        let mut holes = holes(&[10; 8000]);
        let full_bytes = holes.heap_bytes();
        assert!(!holes.is_mostly_vacant());
        for index in holes.bin_count..holes.bin_count + 8000 {
            holes.remove(index);
        }
        assert!(holes.is_mostly_vacant());
        holes.trim();
        assert!(holes.heap_bytes() * 4 < full_bytes);
        holes.check_invariants();
    }

    #[test]
    #[should_panic(expected = "is wrong")]
    fn a_bin_whose_bit_is_wrong_is_noticed() {
        let mut holes = holes(&[100]);
        let bin = holes.bins.last().unwrap();
        holes.bins.remove(bin);
        holes.check_invariants();
    }
}
