//! The holes: one record each, in the list of its bin and, where they are many
//! or that is asked for, in an index by address.
//!
//! Record 0 is no hole. It stands behind the last one of every list and takes
//! what is written to neighbors that are not there.

use alloc::vec::Vec;
use core::{mem, ops::ControlFlow};

use super::{
    address_index::{AddressIndex, room_in},
    bin_map::BinMap,
};
use crate::{
    bins::BinScale,
    slab::{NIL, Record, Slab, SlabFull},
    steps,
};

/// A stretch of free bytes between two allocations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hole {
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// The node that stands for the hole in the chain.
    pub(super) node: u32,
    /// The holes before and behind it in the list of its bin.
    prev: u32,
    next: u32,
    /// The bin of `size`.
    bin: u32,
}

const _: () = assert!(
    size_of::<Hole>() == 32,
    "two hole records share a cache line"
);

impl Hole {
    #[inline]
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.size
    }

    /// Returns the bytes from the first multiple of `step` on.
    #[inline]
    pub(crate) fn room(&self, step: u64) -> u64 {
        room_in(self.offset, self.size, step)
    }

    /// Returns the lowest multiple of `step` at which `size` bytes fit.
    #[inline]
    pub(crate) fn place(&self, size: u64, step: u64) -> Option<u64> {
        let room = self.room(step);
        (room >= size).then(|| self.end() - room)
    }
}

/// So many holes are always indexed by address, so that nothing has to read
/// all of them; fewer are read one by one, unless they are indexed.
const INDEXED_FROM: u32 = 256;

/// The record that stands for no hole.
pub(crate) const NO_HOLE: u32 = 0;

/// What record 0 has in place of a node; a vacant record has [`NIL`].
const NO_NODE: u32 = 0;

impl Record for Hole {
    const VACANT: Self = Self {
        offset: 0,
        size: 0,
        node: NIL,
        prev: NO_HOLE,
        next: NIL,
        bin: 0,
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
    /// Bit `b` is set iff list `b` has a hole.
    bins: BinMap,
    /// The most recent hole of each bin, up to the capacity's own.
    heads: Vec<u32>,
    records: Slab<Hole>,
    /// The holes by address, while they are many or that is asked for.
    by_address: Option<AddressIndex>,
    /// No hole is larger than this.
    largest_bound: u64,
    /// `true` implies that a hole of `largest_bound` bytes exists, or none
    /// does and the bound is 0.
    is_bound_exact: bool,
}

impl Holes {
    /// Returns an empty set for holes of at most `capacity` bytes.
    pub(super) fn new(scale: BinScale, capacity: u64) -> Result<Self, SlabFull> {
        let no_hole = Hole {
            node: NO_NODE,
            next: NO_HOLE,
            ..Hole::VACANT
        };
        let mut holes = Self {
            scale,
            bins: BinMap::new(),
            heads: Vec::new(),
            records: Slab::new(core::iter::once(no_hole))?,
            by_address: None,
            largest_bound: 0,
            is_bound_exact: true,
        };
        holes.cover(capacity)?;
        Ok(holes)
    }

    /// Makes lists for holes of up to `capacity` bytes.
    pub(super) fn cover(&mut self, capacity: u64) -> Result<(), SlabFull> {
        let bins = self.scale.bin_count(capacity) as usize;
        let missing = bins.saturating_sub(self.heads.len());
        self.heads.try_reserve_exact(missing)?;
        self.heads.resize(self.heads.len() + missing, NO_HOLE);
        Ok(())
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.records.len() - 1
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

    pub(super) fn heap_bytes(&self) -> usize {
        let by_address = self
            .by_address
            .as_ref()
            .map_or(0, |index| index.heap_bytes());
        let heads = self.heads.capacity() * size_of::<u32>();
        self.records.heap_bytes() + heads + by_address
    }

    /// Makes sure that one insertion succeeds.
    #[inline]
    pub(super) fn reserve_one(&mut self) -> Result<(), SlabFull> {
        if self.has_room() {
            return Ok(());
        }
        self.make_room()
    }

    /// Returns whether a hole can be added.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        let is_index_ready = match &self.by_address {
            Some(by_address) => by_address.has_room(self.records.index_end()),
            None => self.len() < INDEXED_FROM,
        };
        self.records.has_room(1) && is_index_ready
    }

    #[cold]
    fn make_room(&mut self) -> Result<(), SlabFull> {
        if !self.records.has_room(1) {
            self.records.grow()?;
        }
        let end = self.records.index_end();
        if let Some(by_address) = &mut self.by_address {
            by_address.reserve(end)?;
        } else if self.len() >= INDEXED_FROM {
            self.by_address = Some(self.index_by_address()?);
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn hole(&self, index: u32) -> &Hole {
        &self.records[index]
    }

    /// Adds a hole as the most recent of its bin; a
    /// [`reserve_one`](Self::reserve_one) came before.
    #[inline(always)]
    pub(super) fn insert(&mut self, offset: u64, size: u64, node: u32) -> u32 {
        debug_assert_ne!(size, 0);
        let index = self.records.insert(Hole {
            offset,
            size,
            node,
            prev: NIL,
            next: NIL,
            bin: NIL,
        });
        self.file(index, size);
        if let Some(by_address) = &mut self.by_address {
            by_address.insert(index, offset, size);
        }
        index
    }

    /// Removes the hole.
    #[inline(always)]
    pub(super) fn remove(&mut self, index: u32) {
        self.unfile(index);
        self.records.remove(index);
        if self.len() == 0 {
            self.learn_largest(0);
        }
        if let Some(by_address) = &mut self.by_address {
            by_address.remove(index);
            self.drop_idle_index();
        }
    }

    /// Makes the hole cover other bytes and the most recent of its bin.
    #[inline(always)]
    pub(super) fn reshape(&mut self, index: u32, offset: u64, size: u64) {
        debug_assert_ne!(size, 0);
        self.unfile(index);
        let record = &mut self.records[index];
        record.offset = offset;
        record.size = size;
        self.file(index, size);
        if let Some(by_address) = &mut self.by_address {
            by_address.reshape(index, offset, size);
            self.drop_idle_index();
        }
    }

    /// Returns the holes by address for a lookup, if they are indexed.
    #[inline]
    pub(crate) fn indexed(&mut self) -> Option<&mut AddressIndex> {
        self.by_address.as_mut()
    }

    /// Returns the holes by address for a lookup; fewer than 256 are indexed
    /// first.
    #[inline]
    pub(crate) fn by_address(&mut self) -> Result<&mut AddressIndex, SlabFull> {
        if self.by_address.is_none() {
            self.by_address = Some(self.index_by_address()?);
        }
        Ok(self.by_address.as_mut().expect("it is made above"))
    }

    /// Returns the hole with the highest offset that is at most `offset`.
    pub(crate) fn at_or_before(&mut self, offset: u64) -> Result<Option<u32>, SlabFull> {
        Ok(self.by_address()?.at_or_before(offset))
    }

    /// Hands out holes with the bytes that they have behind a multiple of
    /// `step`, the most first, for as long as `take` wants more; in O(log
    /// holes) each, where all are not few.
    pub(crate) fn largest_rooms(
        &mut self,
        step: u64,
        is_every_offset: bool,
        mut take: impl FnMut(u64, u32) -> ControlFlow<()>,
    ) -> Result<(), SlabFull> {
        if let Some(by_address) = &mut self.by_address {
            return by_address.largest_rooms(step, is_every_offset, take);
        }
        let mut rooms = Vec::new();
        rooms.try_reserve_exact(self.len() as usize)?;
        rooms.extend(self.iter().map(|hole| (self.hole(hole).room(step), hole)));
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        let _ = rooms
            .into_iter()
            .try_for_each(|(room, hole)| take(room, hole));
        Ok(())
    }

    #[cold]
    fn index_by_address(&self) -> Result<AddressIndex, SlabFull> {
        let mut by_address = AddressIndex::new()?;
        let end = self.records.index_end();
        for index in self.iter() {
            let hole = self.hole(index);
            by_address.reserve(end)?;
            by_address.insert(index, hole.offset, hole.size);
        }
        by_address.reserve(end)?;
        Ok(by_address)
    }

    /// Drops the index by address if few holes need none and none looks.
    #[inline]
    fn drop_idle_index(&mut self) {
        let is_idle = |by_address: &AddressIndex| by_address.is_idle();
        if self.len() < INDEXED_FROM && self.by_address.as_ref().is_some_and(is_idle) {
            self.by_address = None;
        }
    }

    /// Iterates over all holes, those of lower bins first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.bins.iter_from(0).flat_map(|bin| self.in_bin(bin))
    }

    /// Iterates over all holes, those of higher bins first: the largest ones, as
    /// far as bins tell.
    pub(crate) fn iter_down(&self) -> impl Iterator<Item = u32> + '_ {
        self.bins.iter_down().flat_map(|bin| self.in_bin(bin))
    }

    /// Returns the most recent hole of `bin`, or [`NO_HOLE`] if it has none.
    #[inline]
    pub(crate) fn first_in_bin(&self, bin: u32) -> u32 {
        self.heads[bin as usize]
    }

    /// Returns the hole's successor in its bin, or [`NO_HOLE`] after the last.
    #[inline]
    pub(crate) fn next_in_bin(&self, index: u32) -> u32 {
        self.records[index].next
    }

    /// Iterates over the holes of one bin, the most recent first.
    pub(crate) fn in_bin(&self, bin: u32) -> impl Iterator<Item = u32> + '_ {
        let mut next = self.first_in_bin(bin);
        core::iter::from_fn(move || {
            steps::note(1);
            let index = next;
            next = self.next_in_bin(index);
            (index != NO_HOLE).then_some(index)
        })
    }

    /// Returns a number of bytes that no hole exceeds, in constant time.
    #[inline]
    pub(crate) fn largest_bound(&self) -> u64 {
        self.largest_bound
    }

    /// Returns the size of the largest hole, 0 if there is none.
    ///
    /// While the bound is not exact, that is the index's to tell, or few holes
    /// are read.
    pub(crate) fn largest(&self) -> u64 {
        if self.is_bound_exact {
            return self.largest_bound;
        }
        if let Some(by_address) = &self.by_address {
            return by_address.largest();
        }
        let highest = self.bins.last().into_iter();
        let holes = highest.flat_map(|bin| self.in_bin(bin));
        let sizes = holes.map(|index| self.records[index].size);
        sizes.max().unwrap_or(0)
    }

    /// Makes the bound exact and returns it.
    #[inline]
    pub(crate) fn tighten_bound(&mut self) -> u64 {
        if !self.is_bound_exact {
            self.learn_largest(self.largest());
        }
        self.largest_bound
    }

    /// Takes note that the largest hole has `size` bytes.
    #[inline]
    fn learn_largest(&mut self, size: u64) {
        debug_assert!(size <= self.largest_bound);
        self.largest_bound = size;
        self.is_bound_exact = true;
    }

    /// Makes the bound exact, for the fast refusal, if one look is enough.
    #[cfg(feature = "std")]
    #[inline]
    pub(super) fn tighten_bound_at_once(&mut self) {
        if self.is_bound_exact {
            return;
        }
        if let Some(by_address) = &self.by_address {
            let size = by_address.largest();
            self.learn_largest(size);
            return;
        }
        let Some(bin) = self.bins.last() else {
            self.learn_largest(0);
            return;
        };
        let first = &self.records[self.first_in_bin(bin)];
        if first.next == NO_HOLE {
            let size = first.size;
            self.learn_largest(size);
        }
    }

    /// Returns whether a [`trim`](Self::trim) is worth its time.
    #[inline]
    pub(super) fn is_mostly_vacant(&self) -> bool {
        self.records.is_mostly_vacant()
    }

    /// Gives memory that is not needed any more back.
    #[cold]
    pub(super) fn trim(&mut self) {
        self.records.trim();
    }

    /// Panics unless lists, bitmap and bound agree with the records.
    pub(super) fn check_invariants(&self) {
        self.bins.check_invariants();
        let mut filed = 0;
        let mut largest = 0;
        for (bin, &head) in (0..).zip(&self.heads) {
            let mut prev = NO_HOLE;
            for index in self.in_bin(bin) {
                let hole = &self.records[index];
                assert_eq!(hole.prev, prev, "hole {index} does not link back");
                let bin_of_size = self.scale.bin_floor(hole.size);
                assert_eq!(
                    (hole.bin, bin_of_size),
                    (bin, bin),
                    "hole {index} is misfiled"
                );
                filed += 1;
                assert!(filed <= self.len(), "the list of bin {bin} has a cycle");
                largest = largest.max(hole.size);
                prev = index;
            }
            assert_eq!(
                self.bins.contains(bin),
                head != NO_HOLE,
                "the bit of bin {bin} is wrong"
            );
        }
        assert_eq!(filed, self.len(), "holes are missing from the bins");
        assert!(
            self.by_address.is_some() || filed <= INDEXED_FROM,
            "{filed} holes are not indexed"
        );
        if let Some(by_address) = &self.by_address {
            let mut holes: Vec<_> = self.iter().collect();
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
        let first = mem::replace(&mut self.heads[bin as usize], index);
        let records = self.records.slots_mut();
        records[first as usize].prev = index;
        let record = &mut records[index as usize];
        record.prev = NO_HOLE;
        record.next = first;
        record.bin = bin;
        self.bins.insert(bin);
        self.is_bound_exact |= size >= self.largest_bound;
        self.largest_bound = self.largest_bound.max(size);
    }

    #[inline(always)]
    fn unfile(&mut self, index: u32) {
        let records = self.records.slots_mut();
        // Read field by field: a copy of the whole record in wide registers
        // would have to wait for the narrow stores that filled it.
        let Hole {
            size,
            prev,
            next,
            bin,
            ..
        } = records[index as usize];
        records[next as usize].prev = prev;
        if prev == NO_HOLE {
            self.heads[bin as usize] = next;
            if next == NO_HOLE {
                self.bins.remove(bin);
            }
        } else {
            records[prev as usize].next = next;
        }
        self.is_bound_exact &= size != self.largest_bound;
    }
}

#[cfg(test)]
mod tests;
