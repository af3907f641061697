//! The chain of nodes: every byte of the capacity belongs to one node, and
//! each node knows its neighbors in address order.
//!
//! Node 0 is the anchor: it stands before the first and after the last node,
//! covers no bytes, and is never a hole, so that no end of the chain needs a
//! special case.

use alloc::vec::Vec;

use crate::{
    allocation::FIRST_SERIAL,
    slab::{self, NIL, Record, Slab, SlabFull},
};

/// The node before the first and after the last one.
pub(super) const ANCHOR: u32 = 0;

/// What a chain is whose nodes do not name each other.
const TORN: &str = "the chain of nodes is torn";

const SERIAL_VACANT: u64 = 0;
const SERIAL_HOLE: u64 = 1;
const SERIAL_ANCHOR: u64 = 2;
const SERIAL_PARKED: u64 = 3;
const _: () = assert!(
    SERIAL_PARKED < FIRST_SERIAL,
    "no allocation has the mark of a state"
);

/// A stretch of the address range: one allocation, one hole, or the anchor.
///
/// An allocation's offset is not stored: its token carries it, a hole's record
/// has its own, and a walk along the chain adds the sizes up. That keeps a
/// node at 24 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Requested bytes of an allocation or a parked block; index of the record
    /// of a hole; 0 of the anchor.
    payload: u64,
    /// The serial of the allocation, or one of the state marks.
    serial: u64,
    pub(super) prev: u32,
    pub(super) next: u32,
}

const _: () = assert!(size_of::<Node>() == 24, "a node is three words");

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// An allocation of so many requested bytes.
    Allocation { requested: u64, serial: u64 },
    /// A hole with its record's index.
    Hole(u32),
    /// A block of so many once requested bytes that is free but not filed as a hole.
    Parked { requested: u64 },
    /// The end of the chain.
    Anchor,
}

impl Content {
    pub(crate) const fn is_free(self) -> bool {
        matches!(self, Self::Hole(_) | Self::Parked { .. })
    }
}

impl Node {
    pub(super) fn content(&self) -> Content {
        match self.serial {
            SERIAL_HOLE => Content::Hole(self.hole()),
            SERIAL_ANCHOR => Content::Anchor,
            SERIAL_PARKED => Content::Parked {
                requested: self.payload,
            },
            serial => {
                debug_assert_ne!(serial, SERIAL_VACANT, "a vacant node is linked");
                Content::Allocation {
                    requested: self.payload,
                    serial,
                }
            }
        }
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the payload of a hole is an index"
    )]
    fn hole(&self) -> u32 {
        debug_assert_eq!(self.serial, SERIAL_HOLE);
        self.payload as u32
    }
}

impl Record for Node {
    const VACANT: Self = Self {
        payload: 0,
        serial: SERIAL_VACANT,
        prev: ANCHOR,
        next: NIL,
    };

    #[inline]
    fn vacate(&mut self, next_vacant: u32) {
        self.serial = SERIAL_VACANT;
        self.next = next_vacant;
    }

    #[inline]
    fn next_vacant(&self) -> u32 {
        self.next
    }

    fn is_occupied(&self) -> bool {
        self.serial != SERIAL_VACANT
    }
}

/// The nodes in address order.
#[derive(Debug)]
pub(super) struct Chain {
    nodes: Slab<Node>,
    /// Bit `i` is set iff node `i` is a hole.
    ///
    /// A free asks here about both neighbors instead of reading their nodes:
    /// with a million live objects the bitmap is in the cache and they are
    /// not.
    hole_bits: Vec<u64>,
}

impl Chain {
    /// Returns a chain of the anchor alone.
    pub(super) fn new() -> Result<Self, SlabFull> {
        let anchor = Node {
            payload: 0,
            serial: SERIAL_ANCHOR,
            prev: ANCHOR,
            next: ANCHOR,
        };
        let nodes = Slab::new(core::iter::once(anchor))?;
        let mut chain = Self {
            nodes,
            hole_bits: Vec::new(),
        };
        chain.cover_with_bits()?;
        Ok(chain)
    }

    /// Returns how many nodes there are, the anchor left out.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.nodes.len() - 1
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.nodes.heap_bytes() + self.hole_bits.capacity() * size_of::<u64>()
    }

    /// Makes sure that `additional` insertions succeed.
    #[inline]
    pub(super) fn reserve(&mut self, additional: u32) -> Result<(), SlabFull> {
        if self.nodes.has_room(additional) {
            return Ok(());
        }
        self.nodes.grow()?;
        self.cover_with_bits()
    }

    /// Gives the bitmap a bit for every node.
    fn cover_with_bits(&mut self) -> Result<(), SlabFull> {
        let words = self.nodes.index_end().div_ceil(u64::BITS) as usize;
        let missing = words.saturating_sub(self.hole_bits.len());
        self.hole_bits.try_reserve_exact(missing)?;
        self.hole_bits.resize(words, 0);
        Ok(())
    }

    #[inline]
    pub(super) fn node(&self, index: u32) -> &Node {
        &self.nodes[index]
    }

    #[inline]
    pub(super) fn is_hole(&self, index: u32) -> bool {
        self.hole_bit(index) == 1
    }

    /// Returns 1 if the node is a hole and 0 if not, to be joined with another
    /// bit before anything depends on it.
    #[inline]
    pub(super) fn hole_bit(&self, index: u32) -> u64 {
        self.hole_bits[(index / u64::BITS) as usize] >> (index % u64::BITS) & 1
    }

    /// Returns the hole's record index of a node that is a hole.
    #[inline]
    pub(super) fn hole_of(&self, index: u32) -> u32 {
        self.nodes[index].hole()
    }

    /// Returns whether the allocation below a hole was asked to be larger than
    /// the one above it; the ends of the range count as nothing.
    #[inline]
    pub(super) fn is_lower_neighbor_larger(&self, hole_node: u32) -> bool {
        debug_assert!(self.is_hole(hole_node));
        let Node { prev, next, .. } = self.nodes[hole_node];
        self.nodes[prev].payload > self.nodes[next].payload
    }

    /// Returns the node at `index` if it is the allocation with `serial`.
    #[inline]
    pub(super) fn allocation(&self, index: u32, serial: u64) -> Option<&Node> {
        debug_assert!(serial >= FIRST_SERIAL);
        self.nodes.get(index).filter(|node| node.serial == serial)
    }

    /// Changes the bytes and the serial of an allocation.
    #[inline]
    pub(super) fn set_allocation(&mut self, index: u32, requested: u64, serial: u64) {
        debug_assert!(serial >= FIRST_SERIAL);
        debug_assert!(!self.is_hole(index));
        let node = &mut self.nodes[index];
        node.payload = requested;
        node.serial = serial;
    }

    /// Makes a hole an allocation.
    #[inline]
    pub(super) fn fill_hole(&mut self, index: u32, requested: u64, serial: u64) {
        self.unmark_hole(index);
        self.set_allocation(index, requested, serial);
    }

    #[inline]
    pub(super) fn set_hole(&mut self, index: u32, hole: u32) {
        let node = &mut self.nodes[index];
        node.payload = u64::from(hole);
        node.serial = SERIAL_HOLE;
        self.hole_bits[(index / u64::BITS) as usize] |= 1 << (index % u64::BITS);
    }

    #[inline]
    fn unmark_hole(&mut self, index: u32) {
        self.hole_bits[(index / u64::BITS) as usize] &= !(1 << (index % u64::BITS));
    }

    /// Makes an allocation a parked block, which stays what it was but for its
    /// serial.
    #[inline]
    pub(super) fn park(&mut self, index: u32) {
        self.nodes[index].serial = SERIAL_PARKED;
    }

    /// Makes a parked block an allocation.
    #[inline]
    pub(super) fn unpark(&mut self, index: u32, requested: u64, serial: u64) {
        let node = &mut self.nodes[index];
        debug_assert_eq!(node.serial, SERIAL_PARKED);
        node.payload = requested;
        node.serial = serial;
    }

    /// Links a new node in before `next` and returns it; it is an allocation
    /// of nothing until it becomes a hole. A [`reserve`](Self::reserve) came
    /// before.
    #[inline]
    pub(super) fn insert_before(&mut self, next: u32) -> u32 {
        self.insert_allocation(next, 0, FIRST_SERIAL)
    }

    /// Links a new allocation in before `next` and returns its node. A
    /// [`reserve`](Self::reserve) came before.
    // Always: most of a call is saving registers.
    #[inline(always)]
    pub(super) fn insert_allocation(&mut self, next: u32, requested: u64, serial: u64) -> u32 {
        debug_assert!(serial >= FIRST_SERIAL);
        let nodes = self.nodes.slots_mut();
        let prev = nodes[next as usize].prev;
        assert!(nodes[prev as usize].next == next, "{TORN}");
        let index = self.nodes.insert(Node {
            payload: requested,
            serial,
            prev,
            next,
        });
        let nodes = self.nodes.slots_mut();
        nodes[prev as usize].next = index;
        nodes[next as usize].prev = index;
        index
    }

    /// Takes the node of an allocation out of the chain; its neighbors become
    /// each other's.
    #[inline]
    pub(super) fn remove(&mut self, index: u32) {
        debug_assert!(!self.is_hole(index));
        let nodes = self.nodes.slots_mut();
        let Node { prev, next, .. } = nodes[index as usize];
        // The loads also fetch the lines of the stores below: a lock that is
        // released waits until every store before it has reached the cache.
        let links_back = nodes[prev as usize].next == index && nodes[next as usize].prev == index;
        assert!(links_back, "{TORN}");
        nodes[prev as usize].next = next;
        nodes[next as usize].prev = prev;
        self.nodes.remove(index);
    }

    /// As [`remove`](Self::remove), of a hole.
    #[inline]
    pub(super) fn remove_hole(&mut self, index: u32) {
        self.unmark_hole(index);
        self.remove(index);
    }

    /// Returns whether the table is larger than that of a new chain.
    #[inline]
    pub(super) fn has_grown(&self) -> bool {
        self.nodes.has_grown()
    }

    /// Returns whether a [`trim`](Self::trim) is worth its time.
    #[inline]
    pub(super) fn is_mostly_vacant(&self) -> bool {
        self.nodes.is_mostly_vacant()
    }

    /// Returns whether the table is far larger than what is left in it needs.
    #[cfg(feature = "std")]
    #[inline]
    pub(super) fn is_nearly_empty(&self) -> bool {
        self.nodes.is_nearly_empty()
    }

    /// Gives memory that is not needed any more back.
    #[cold]
    pub(super) fn trim(&mut self) {
        self.nodes.trim();
        self.hole_bits
            .truncate(self.nodes.index_end().div_ceil(u64::BITS) as usize);
        slab::fit(&mut self.hole_bits);
    }

    /// Returns the node indices in address order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut index = self.nodes[ANCHOR].next;
        core::iter::from_fn(move || {
            let current = index;
            index = self.nodes[current].next;
            (current != ANCHOR).then_some(current)
        })
    }

    /// Panics unless links are symmetric, every node is reached, and the
    /// bitmap marks the holes.
    pub(super) fn check_invariants(&self) {
        let mut reached = 0;
        let mut prev = ANCHOR;
        for index in self.iter() {
            let node = &self.nodes[index];
            assert_eq!(node.prev, prev, "node {index} does not link back");
            let is_hole = node.serial == SERIAL_HOLE;
            assert_eq!(
                self.is_hole(index),
                is_hole,
                "hole bit of node {index} is wrong"
            );
            assert!(node.is_occupied(), "vacant node {index} is linked");
            reached += 1;
            assert!(reached <= self.len(), "the chain of nodes has a cycle");
            prev = index;
        }
        assert_eq!(
            self.nodes[ANCHOR].prev, prev,
            "the anchor does not link back"
        );
        assert_eq!(reached, self.len(), "nodes are missing from the chain");
        let marked: u32 = self.hole_bits.iter().map(|word| word.count_ones()).sum();
        let holes = self.iter().filter(|&index| self.is_hole(index)).count();
        assert_eq!(
            marked as usize, holes,
            "a hole bit is set outside the chain"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "does not link back")]
    fn a_link_that_does_not_lead_back_is_noticed() {
        let mut chain = Chain::new().unwrap();
        for _ in 0..2 {
            chain.reserve(1).unwrap();
            chain.insert_before(ANCHOR);
        }
        chain.check_invariants();
        chain.nodes[2].prev = ANCHOR;
        chain.check_invariants();
    }

    /// Tears one link of a chain of four allocations, and changes the chain there.
    fn change_torn(tear: impl FnOnce(&mut Chain), change: impl FnOnce(&mut Chain)) {
        let mut chain = Chain::new().unwrap();
        for _ in 0..4 {
            chain.reserve(1).unwrap();
            chain.insert_before(ANCHOR);
        }
        chain.reserve(1).unwrap();
        tear(&mut chain);
        change(&mut chain);
    }

    #[test]
    #[should_panic(expected = "torn")]
    fn a_node_is_not_removed_if_the_one_below_does_not_link_to_it() {
        change_torn(|chain| chain.nodes[1].next = 3, |chain| chain.remove(2));
    }

    #[test]
    #[should_panic(expected = "torn")]
    fn a_node_is_not_removed_if_the_one_above_does_not_link_to_it() {
        change_torn(|chain| chain.nodes[3].prev = 1, |chain| chain.remove(2));
    }

    #[test]
    #[should_panic(expected = "torn")]
    fn a_node_is_not_inserted_where_links_do_not_meet() {
        change_torn(
            |chain| chain.nodes[1].next = 3,
            |chain| _ = chain.insert_before(2),
        );
    }
}
