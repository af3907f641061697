//! The block freed last, kept as it is for a request of exactly its size.
//!
//! A full store frees an object because the next one needs its place, and most
//! objects have one of a few sizes. So a block that merges with no hole is not
//! filed at once but *parked*: the next request either takes it whole, or has
//! it filed before anything else happens. That a block is parked changes no
//! placement, ties between equal holes apart: the request of its size would
//! have found it first.

use super::{Space, chain::Node};
use crate::{allocation::Allocation, slab::NIL};

/// The block freed last, if nothing has been asked of the allocator since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parked {
    /// The node, which no hole neighbors.
    pub(super) node: u32,
    pub(super) offset: u64,
    /// Bytes that were asked for.
    size: u64,
    /// Bytes; zero iff no block is parked.
    charge: u64,
}

impl Parked {
    pub(super) const NONE: Self = Self {
        node: NIL,
        offset: 0,
        size: 0,
        charge: 0,
    };

    #[inline]
    pub(super) const fn is_some(self) -> bool {
        self.charge != 0
    }

    #[inline]
    pub(super) const fn charge(self) -> u64 {
        self.charge
    }
}

impl Space {
    /// Frees an allocation by parking its block, if it is live and to be
    /// parked; otherwise it is for [`release`](Self::release).
    // Always: the token would be handed on in memory.
    #[inline(always)]
    pub(crate) fn park(&mut self, allocation: Allocation) -> bool {
        // With room, so that it can be filed when a request cannot wait.
        if !self.sizes_repeat || self.parked.is_some() || !self.holes.has_room() {
            return false;
        }
        let (node, serial) = (allocation.node(), allocation.serial());
        let Some(&Node { prev, next, .. }) = self.chain.allocation(node, serial) else {
            return false;
        };
        if self.chain.is_hole(prev) || self.chain.is_hole(next) {
            return false;
        }
        let size = allocation.size();
        let charge = self.charge(size);
        self.chain.park(node);
        self.parked = Parked {
            node,
            offset: allocation.offset(),
            size,
            charge,
        };
        self.live_bytes -= size;
        self.charged_bytes -= charge;
        true
    }

    /// Returns the charge of the parked block, if a request of `size` bytes
    /// would be the same as the one that it was allocated for, and the next
    /// serial is at hand.
    #[inline]
    pub(crate) fn parked_for(&self, size: u64) -> Option<u64> {
        let Parked {
            size: parked,
            charge,
            ..
        } = self.parked;
        (size == parked && charge != 0 && self.serials.has_next()).then_some(charge)
    }

    /// Returns the bytes of the parked block, 0 if there is none.
    #[inline]
    pub(crate) fn parked_bytes(&self) -> u64 {
        self.parked.charge
    }

    /// Gives the parked block to a request of `size` bytes that is charged as
    /// much as the block has.
    #[inline]
    pub(crate) fn take_parked(&mut self, size: u64) -> Allocation {
        let Parked {
            node,
            offset,
            charge,
            ..
        } = self.parked;
        self.parked = Parked::NONE;
        self.live_bytes += size;
        self.charged_bytes += charge;
        let serial = self.serials.issue();
        self.chain.unpark(node, size, serial);
        Allocation::new(offset, size, serial, node)
    }

    /// Files the parked block, if there is one, as a hole.
    #[inline]
    pub(crate) fn file_parked(&mut self) {
        if self.parked.is_some() {
            self.file();
        }
    }

    fn file(&mut self) {
        let Parked {
            node,
            offset,
            charge,
            ..
        } = self.parked;
        self.parked = Parked::NONE;
        self.sizes_repeat = false;
        let hole = self.holes.insert(offset, charge, node);
        self.chain.set_hole(node, hole);
    }

    /// Makes the next blocks that are freed parked or filed at once.
    #[cfg(any(test, feature = "std"))]
    pub(crate) fn set_sizes_repeat(&mut self, sizes_repeat: bool) {
        self.sizes_repeat = sizes_repeat;
    }
}
