//! What lies where: the one owner of nodes, holes and sums.
//!
//! ```text
//! Chain    every byte belongs to one node, in address order     chain
//! Holes    the nodes that are free, by size and by address      holes, bin_map, address_index
//! Parked   the block freed last, free but not yet among holes   parked
//! ```
//!
//! [`Space`] keeps the three in step with the sums of bytes. Whatever changes
//! goes through [`carve`](Space::carve), [`release`](Space::release),
//! [`resize`](Space::resize), parking, and moving the end of the range; a
//! [`Draft`] lays out all of it at once. Nothing here chooses a hole.

use core::{hint::select_unpredictable, ops::Range};

use crate::{
    allocation::{Allocation, Serials},
    error::FreeError,
    options::Options,
    slab::SlabFull,
};

mod address_index;
mod bin_map;
mod chain;
mod draft;
mod holes;
mod landmarks;
mod parked;
mod spans;
mod tail;

pub(crate) use self::{
    draft::Draft,
    holes::{Hole, Holes, NO_HOLE},
    spans::{Content, Span},
};

use self::{
    chain::{Chain, Node},
    landmarks::Landmarks,
    parked::Parked,
};

/// A place in a hole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    /// Index of the hole.
    pub(crate) hole: u32,
    /// Offset at which the allocation begins.
    pub(crate) at: u64,
}

/// The address range with everything that is known about it.
#[derive(Debug)]
pub(crate) struct Space {
    options: Options,
    chain: Chain,
    holes: Holes,
    /// The block freed last: free, but not in `holes`. Every change but its
    /// own reuse files it first.
    parked: Parked,
    /// Whether a block that is freed will be asked for as it is: set when a
    /// request uses up a whole hole, cleared when a parked block is not taken.
    sizes_repeat: bool,
    serials: Serials,
    /// Sum of the sizes asked for of the live allocations.
    live_bytes: u64,
    /// Sum of what they are charged: `capacity` − `charged_bytes` is free.
    charged_bytes: u64,
    /// What lies from here on was never allocated, since the range was last
    /// empty.
    touched_end: u64,
    /// Whether a request found no hole, since the range was last empty.
    was_full: bool,
    /// Allocations that earlier walks along the chain came by.
    landmarks: Landmarks,
}

impl Space {
    /// Returns a range of which all is one hole; the options are valid.
    pub(crate) fn new(options: Options) -> Result<Self, SlabFull> {
        let mut draft = Draft::new(options)?;
        draft.push_hole(0, options.capacity)?;
        Ok(draft.finish())
    }

    /// Frees everything and makes all tokens stale.
    pub(crate) fn clear(&mut self) -> Result<(), SlabFull> {
        let Self { chain, holes, .. } = Self::new(self.options)?;
        (self.chain, self.holes) = (chain, holes);
        self.parked = Parked::NONE;
        self.landmarks = Landmarks::new();
        (self.live_bytes, self.charged_bytes) = (0, 0);
        (self.touched_end, self.was_full) = (0, false);
        Ok(())
    }

    #[inline]
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the charge of a size that is at most the capacity.
    #[inline]
    pub(crate) fn charge(&self, size: u64) -> u64 {
        self.options.charge(size)
    }

    /// Returns the holes, the parked block left out.
    #[inline]
    pub(crate) fn holes(&self) -> &Holes {
        &self.holes
    }

    /// Returns the holes for lookups that learn; those that change holes are
    /// this directory's.
    #[inline]
    pub(crate) fn holes_mut(&mut self) -> &mut Holes {
        &mut self.holes
    }

    #[inline]
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    #[inline]
    pub(crate) fn charged_bytes(&self) -> u64 {
        self.charged_bytes
    }

    #[inline]
    pub(crate) fn free_bytes(&self) -> u64 {
        self.options.capacity - self.charged_bytes
    }

    #[inline]
    pub(crate) fn hole_count(&self) -> u32 {
        self.holes.len() + u32::from(self.parked.is_some())
    }

    #[inline]
    pub(crate) fn allocation_count(&self) -> u32 {
        self.chain.len() - self.hole_count()
    }

    /// Takes note that a request found no hole.
    #[inline]
    pub(crate) fn note_refusal(&mut self) {
        self.was_full = true;
    }

    /// Returns the number of allocations and holes.
    #[inline]
    pub(crate) fn node_count(&self) -> u32 {
        self.chain.len()
    }

    /// Returns whether as many allocations are live as the options allow.
    #[inline]
    pub(crate) fn is_at_limit(&self) -> bool {
        let limit = self.options.max_allocations;
        limit.is_some_and(|limit| self.allocation_count() >= limit)
    }

    /// Returns a number of bytes that no hole exceeds.
    #[inline]
    pub(crate) fn largest_bound(&self) -> u64 {
        self.holes.largest_bound().max(self.parked.charge())
    }

    /// Returns the bytes of the largest hole.
    pub(crate) fn largest(&self) -> u64 {
        self.holes.largest().max(self.parked.charge())
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.chain.heap_bytes() + self.holes.heap_bytes() + self.landmarks.heap_bytes()
    }

    /// Returns whether freed blocks are asked for again as they are.
    #[cfg(any(test, feature = "std"))]
    #[inline]
    pub(crate) fn sizes_repeat(&self) -> bool {
        self.sizes_repeat
    }

    /// Returns whether the token names a live allocation.
    #[inline]
    pub(crate) fn is_live(&self, allocation: Allocation) -> bool {
        let (node, serial) = (allocation.node(), allocation.serial());
        self.chain.allocation(node, serial).is_some()
    }

    /// Returns whether little is left in tables that were made for far more.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn is_nearly_empty(&self) -> bool {
        self.chain.is_nearly_empty()
    }

    /// Makes the bound on all holes exact, for refusals without a lock, if one
    /// look is enough.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn tighten_bound_at_once(&mut self) {
        self.holes.tighten_bound_at_once();
    }

    /// Returns the serial that was issued last.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn last_serial(&self) -> u64 {
        self.serials.last()
    }

    /// Gives a live allocation the serial of another token for it.
    #[cfg(feature = "std")]
    pub(crate) fn replace_serial(&mut self, token: Allocation) {
        let (size, serial) = (token.size(), token.serial());
        self.chain.set_allocation(token.node(), size, serial);
    }

    /// Takes `charge` bytes out of a hole that has them at the spot; what is
    /// left before and after them stays free. No block is parked.
    // Always: the token is not copied through memory then.
    #[inline(always)]
    pub(crate) fn carve(
        &mut self,
        Spot { hole, at }: Spot,
        size: u64,
        charge: u64,
    ) -> Result<Allocation, SlabFull> {
        let &Hole {
            offset: start,
            size: room,
            node: hole_node,
            ..
        } = self.holes.hole(hole);
        let (end, hole_end) = (at + charge, start + room);
        debug_assert!(start <= at && end <= hole_end);
        let serial = self.serials.issue();
        let is_inside = (at - start).min(hole_end - end) != 0;
        let node = if charge == room {
            self.sizes_repeat = true;
            self.holes.remove(hole);
            self.chain.fill_hole(hole_node, size, serial);
            hole_node
        } else if is_inside {
            self.carve_inside(hole, at..end, size, serial)?
        } else {
            // Which end is taken is as good as random: no branch.
            self.chain.reserve(1)?;
            let is_front = at == start;
            let after = self.chain.node(hole_node).next;
            let rest = select_unpredictable(is_front, end, start);
            let next = select_unpredictable(is_front, hole_node, after);
            self.holes.reshape(hole, rest, room - charge);
            self.chain.insert_allocation(next, size, serial)
        };
        self.live_bytes += size;
        self.charged_bytes += charge;
        self.touched_end = self.touched_end.max(end);
        Ok(Allocation::new(at, size, serial, node))
    }

    /// Cuts the bytes of an allocation out of a hole that begins before and
    /// ends behind them, and returns its node.
    fn carve_inside(
        &mut self,
        hole: u32,
        taken: Range<u64>,
        size: u64,
        serial: u64,
    ) -> Result<u32, SlabFull> {
        let &Hole {
            offset: start,
            size: room,
            node: hole_node,
            ..
        } = self.holes.hole(hole);
        self.chain.reserve(2)?;
        self.holes.reserve_one()?;
        self.holes.reshape(hole, start, taken.start - start);
        let back = self.chain.insert_before(self.chain.node(hole_node).next);
        let back_hole = self.holes.insert(taken.end, start + room - taken.end, back);
        self.chain.set_hole(back, back_hole);
        Ok(self.chain.insert_allocation(back, size, serial))
    }

    /// Frees an allocation and merges it with the holes beside it.
    #[inline(always)]
    pub(crate) fn release(&mut self, allocation: Allocation) -> Result<(), FreeError> {
        let (index, serial) = (allocation.node(), allocation.serial());
        let Some(&Node { prev, next, .. }) = self.chain.allocation(index, serial) else {
            return Err(FreeError::not_live(allocation));
        };
        self.file_parked();
        let (offset, size) = (allocation.offset(), allocation.size());
        let charge = self.charge(size);
        let (below, above) = (self.chain.hole_bit(prev), self.chain.hole_bit(next));
        if below | above != 0 {
            // Which of them is a hole is as good as random: no branch.
            let neighbor = select_unpredictable(below != 0, prev, next);
            let other = (below & above != 0).then_some(next);
            self.merge(index, offset, charge, neighbor, other);
        } else {
            self.holes.reserve_one()?;
            let hole = self.holes.insert(offset, charge, index);
            self.chain.set_hole(index, hole);
        }
        self.live_bytes -= size;
        self.charged_bytes -= charge;
        Ok(())
    }

    /// Merges `charge` bytes at `offset`, an allocation's, with the hole of a
    /// neighbor of its node, and with that of the `other` above it if there is
    /// one on each side.
    #[inline]
    fn merge(&mut self, index: u32, offset: u64, charge: u64, neighbor: u32, other: Option<u32>) {
        self.chain.remove(index);
        let hole = self.chain.hole_of(neighbor);
        let &Hole {
            offset: start,
            size: mut room,
            ..
        } = self.holes.hole(hole);
        if let Some(node) = other {
            let above = self.chain.hole_of(node);
            room += self.holes.hole(above).size;
            self.holes.remove(above);
            self.chain.remove_hole(node);
        }
        self.holes.reshape(hole, start.min(offset), room + charge);
        if self.chain.is_mostly_vacant() {
            self.chain.trim();
        }
        if self.holes.is_mostly_vacant() {
            self.holes.trim();
        }
        if self.chain.len() == 1 {
            self.start_over();
        }
    }

    /// Takes note that the range is empty, and gives the tables that were grown
    /// for allocations that are gone back.
    #[cold]
    fn start_over(&mut self) {
        debug_assert_eq!(self.allocation_count(), 0);
        (self.touched_end, self.was_full) = (0, false);
        if self.chain.has_grown()
            && let Ok(Self { chain, holes, .. }) = Self::new(self.options)
        {
            (self.chain, self.holes) = (chain, holes);
            self.landmarks = Landmarks::new();
        }
    }

    /// Returns the bytes from the offset of a live allocation to the next one.
    pub(crate) fn room_of(&self, allocation: Allocation) -> u64 {
        let charge = self.charge(allocation.size());
        let next = self.chain.node(allocation.node()).next;
        if self.chain.is_hole(next) {
            charge + self.holes.hole(self.chain.hole_of(next)).size
        } else {
            charge
        }
    }

    /// Changes the size of a live allocation, which has the
    /// [room](Self::room_of); no block is parked.
    pub(crate) fn resize(
        &mut self,
        allocation: Allocation,
        size: u64,
    ) -> Result<Allocation, SlabFull> {
        let (index, offset) = (allocation.node(), allocation.offset());
        let old_charge = self.charge(allocation.size());
        let charge = self.charge(size);
        let end = offset + charge;
        let rest = self.room_of(allocation) - charge;
        let next = self.chain.node(index).next;
        let hole = self.chain.is_hole(next).then(|| self.chain.hole_of(next));
        match hole {
            Some(hole) if rest == 0 => {
                self.holes.remove(hole);
                self.chain.remove_hole(next);
            }
            Some(hole) => self.holes.reshape(hole, end, rest),
            None if rest == 0 => {}
            None => {
                self.chain.reserve(1)?;
                self.holes.reserve_one()?;
                let node = self.chain.insert_before(next);
                let hole = self.holes.insert(end, rest, node);
                self.chain.set_hole(node, hole);
            }
        }
        self.live_bytes = self.live_bytes - allocation.size() + size;
        self.charged_bytes = self.charged_bytes - old_charge + charge;
        self.touched_end = self.touched_end.max(end);
        let serial = self.serials.issue();
        self.chain.set_allocation(index, size, serial);
        Ok(Allocation::new(offset, size, serial, index))
    }

    /// Returns whether the allocation below a hole was asked to be larger than
    /// the one above it; the ends of the range count as nothing.
    #[inline]
    pub(crate) fn is_lower_neighbor_larger(&self, hole: u32) -> bool {
        let node = self.holes.hole(hole).node;
        self.chain.is_lower_neighbor_larger(node)
    }
}
