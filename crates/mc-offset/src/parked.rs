//! The block freed last, kept as it is for a request of exactly its size.
//!
//! A full store frees an object because the next one needs its place, and most
//! objects have one of a few sizes. So a block that merges with no hole is not
//! filed at once but *parked*: the next request either takes it whole, or has
//! it filed before anything else happens. That a block is parked changes no
//! placement, ties between equal holes apart: the request of its size would
//! have found it first.

use crate::{
    allocation::Allocation, allocator::OffsetAllocator, nodes::Node, options::Fit, slab::NIL,
    trend::Regime,
};

/// The block freed last, if nothing has been asked of the allocator since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parked {
    /// The node, which no hole neighbors.
    pub(crate) node: u32,
    pub(crate) offset: u64,
    /// Bytes that were asked for.
    size: u64,
    /// Bytes; zero iff no block is parked.
    pub(crate) charge: u64,
}

impl Parked {
    pub(crate) const NONE: Self = Self {
        node: NIL,
        offset: 0,
        size: 0,
        charge: 0,
    };

    #[inline]
    pub(crate) const fn is_some(self) -> bool {
        self.charge != 0
    }
}

impl OffsetAllocator {
    /// Frees an allocation by parking its block, if it is live and to be parked.
    #[inline]
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

    /// Gives the parked block to a request of the size that it had before: the
    /// most frequent request of a full store.
    ///
    /// Returns `None` as well where there is more to do, which is left to
    /// [`unpark`](Self::unpark): this is short enough for the processor to
    /// fetch the next victim meanwhile.
    #[inline]
    pub(crate) fn reuse_parked(&mut self, size: u64) -> Option<Allocation> {
        if size != self.parked.size || !self.parked.is_some() || !self.serials.has_next() {
            return None;
        }
        let is_for_newest = match self.options.fit {
            Fit::Good { .. } | Fit::BinCeil => true,
            Fit::Adaptive => self.trend.record_repeat(self.parked.charge),
            Fit::BinExact => false,
        };
        is_for_newest.then(|| self.take_parked(size))
    }

    /// Gives the parked block to a request that the fit would give it to.
    pub(crate) fn unpark(&mut self, size: u64, charge: u64) -> Option<Allocation> {
        let is_taken = charge == self.parked.charge && self.takes_newest_of_its_size(charge);
        is_taken.then(|| self.take_parked(size))
    }

    #[inline]
    fn take_parked(&mut self, size: u64) -> Allocation {
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
    pub(crate) fn settle(&mut self) {
        if self.parked.is_some() {
            self.file_parked();
        }
    }

    fn file_parked(&mut self) {
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

    /// Returns whether the fit gives a request the newest hole of its size;
    /// adaptive fit takes note of it.
    #[inline]
    fn takes_newest_of_its_size(&mut self, charge: u64) -> bool {
        match self.options.fit {
            Fit::Good { .. } | Fit::BinCeil => true,
            Fit::BinExact => {
                let scale = self.holes.scale();
                scale.bin_floor(charge) == scale.bin_ceil(charge)
            }
            Fit::Adaptive => match self.trend.regime() {
                Regime::Spread { small_max } if charge <= small_max => false,
                Regime::Spread { .. } | Regime::Varied | Regime::Repeating => {
                    self.trend.record(charge, true);
                    true
                }
            },
        }
    }
}
