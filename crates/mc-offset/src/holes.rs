//! The holes, filed by size: one record each, in the list of its bin.

use crate::{
    bin_map::BinMap,
    bins::BinScale,
    slab::{NIL, Record, Slab, SlabFull},
};

/// A stretch of free bytes between two allocations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hole {
    pub(crate) offset: u64,
    /// Bytes; zero iff the record is vacant.
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

impl Record for Hole {
    fn vacant(next_vacant: u32) -> Self {
        Self {
            offset: 0,
            size: 0,
            node: NIL,
            prev: NIL,
            next: next_vacant,
        }
    }

    fn next_vacant(&self) -> u32 {
        self.next
    }

    fn is_occupied(&self) -> bool {
        self.size != 0
    }
}

/// All holes, findable by size.
#[derive(Debug)]
pub(crate) struct Holes {
    scale: BinScale,
    bins: BinMap,
    records: Slab<Hole>,
    /// No hole is larger than this.
    largest_bound: u64,
    /// `true` implies that a hole of `largest_bound` bytes exists, or none
    /// does and the bound is 0.
    is_bound_exact: bool,
}

impl Holes {
    /// Returns an empty set for holes of at most `capacity` bytes.
    pub(crate) fn new(scale: BinScale, capacity: u64) -> Self {
        Self {
            scale,
            bins: BinMap::new(scale.bin_count(capacity)),
            records: Slab::new(),
            largest_bound: 0,
            is_bound_exact: true,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.records.len()
    }

    pub(crate) fn scale(&self) -> BinScale {
        self.scale
    }

    pub(crate) fn bins(&self) -> &BinMap {
        &self.bins
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.records.heap_bytes() + self.bins.heap_bytes()
    }

    /// Makes sure that `additional` insertions succeed.
    #[inline]
    pub(crate) fn reserve(&mut self, additional: u32) -> Result<(), SlabFull> {
        self.records.reserve(additional)
    }

    #[inline]
    pub(crate) fn hole(&self, index: u32) -> &Hole {
        &self.records[index]
    }

    /// Adds a hole as the most recent of its bin; a
    /// [`reserve`](Self::reserve) came before.
    #[inline]
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
        index
    }

    /// Removes the hole and returns what it was.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) -> Hole {
        let hole = self.records[index];
        self.unfile(&hole);
        self.records.remove(index);
        self.tighten_bound(hole.size);
        hole
    }

    /// Makes the hole cover other bytes and the most recent of its bin.
    #[inline]
    pub(crate) fn reshape(&mut self, index: u32, offset: u64, size: u64) {
        debug_assert_ne!(size, 0);
        let old = self.records[index];
        let record = &mut self.records[index];
        record.offset = offset;
        record.size = size;
        // The first of a bin is the most recent of it already.
        if old.prev == NIL && self.scale.bin_floor(old.size) == self.scale.bin_floor(size) {
            self.raise_bound(size);
        } else {
            self.unfile(&old);
            self.file(index, size);
        }
        if size < old.size {
            self.tighten_bound(old.size);
        }
    }

    /// Returns the hole's successor in its bin, or [`NIL`].
    #[inline]
    pub(crate) fn next_in_bin(&self, index: u32) -> u32 {
        self.records[index].next
    }

    /// Iterates over the holes of one bin, the most recent first.
    pub(crate) fn in_bin(&self, bin: u32) -> impl Iterator<Item = u32> + '_ {
        let mut index = self.bins.head(bin);
        core::iter::from_fn(move || {
            let current = index;
            if current == NIL {
                return None;
            }
            index = self.next_in_bin(current);
            Some(current)
        })
    }

    /// Returns a number of bytes that no hole exceeds, in constant time.
    #[inline]
    pub(crate) fn largest_bound(&self) -> u64 {
        self.largest_bound
    }

    /// Returns the size of the largest hole, 0 if there is none.
    ///
    /// Takes constant time once [`learn_largest`](Self::learn_largest) has
    /// run and no largest hole has gone since; otherwise it reads the holes
    /// of the highest bin.
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

    /// Makes the bound exact and returns it.
    pub(crate) fn learn_largest(&mut self) -> u64 {
        self.largest_bound = self.largest();
        self.is_bound_exact = true;
        self.largest_bound
    }

    pub(crate) fn trim_if_mostly_vacant(&mut self) {
        if self.records.is_mostly_vacant() {
            self.records.trim();
        }
    }

    /// Panics unless lists, bitmap and bound agree with the records.
    pub(crate) fn check_invariants(&self) {
        self.bins.check_invariants();
        let mut filed = 0;
        let mut largest = 0;
        for bin in self.bins.non_empty_from(0) {
            let mut prev = NIL;
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
        }
        assert_eq!(filed, self.len(), "holes are missing from the bins");
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

    #[inline]
    fn file(&mut self, index: u32, size: u64) {
        let bin = self.scale.bin_floor(size);
        let head = self.bins.head(bin);
        let record = &mut self.records[index];
        record.prev = NIL;
        record.next = head;
        if head != NIL {
            self.records[head].prev = index;
        }
        self.bins.set_head(bin, index);
        self.raise_bound(size);
    }

    #[inline]
    fn unfile(&mut self, hole: &Hole) {
        if hole.next != NIL {
            self.records[hole.next].prev = hole.prev;
        }
        if hole.prev != NIL {
            self.records[hole.prev].next = hole.next;
            return;
        }
        let bin = self.scale.bin_floor(hole.size);
        if hole.next == NIL {
            self.bins.clear_head(bin);
        } else {
            self.bins.set_head(bin, hole.next);
        }
    }

    /// Raises the bound to a hole of `size` bytes that is there now.
    #[inline]
    fn raise_bound(&mut self, size: u64) {
        if size >= self.largest_bound {
            self.largest_bound = size;
            self.is_bound_exact = true;
        }
    }

    /// Lowers the bound after a hole of `gone` bytes went.
    #[inline]
    fn tighten_bound(&mut self, gone: u64) {
        if gone == self.largest_bound {
            self.lower_bound();
        }
    }

    fn lower_bound(&mut self) {
        let Some(bin) = self.bins.last() else {
            self.largest_bound = 0;
            self.is_bound_exact = true;
            return;
        };
        let head = &self.records[self.bins.head(bin)];
        if head.next == NIL {
            self.largest_bound = head.size;
            self.is_bound_exact = true;
        } else {
            self.largest_bound = self.largest_bound.min(self.scale.bin_last_size(bin));
            self.is_bound_exact = false;
        }
    }
}
