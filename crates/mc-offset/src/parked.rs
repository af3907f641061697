//! The block freed last, kept as it is for a request of exactly its size.
//!
//! A full store frees an object because the next one needs its place, and most
//! objects have one of a few sizes. So a block that merges with no hole is not
//! filed at once but *parked*: the next request either takes it whole, or has
//! it filed before anything else happens. That a block is parked changes no
//! placement, ties between equal holes apart: the request of its size would
//! have found it first.

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    options::Fit,
    slab::{NIL, SlabFull},
    trend::Regime,
};

/// The block freed last, if nothing has been asked of the allocator since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parked {
    /// The node, which no hole neighbors.
    pub(crate) node: u32,
    pub(crate) offset: u64,
    /// Bytes; zero iff no block is parked.
    pub(crate) charge: u64,
}

impl Parked {
    pub(crate) const NONE: Self = Self {
        node: NIL,
        offset: 0,
        charge: 0,
    };

    #[inline]
    pub(crate) const fn is_some(self) -> bool {
        self.charge != 0
    }
}

impl OffsetAllocator {
    /// Parks the block of an allocation, which is not a hole's neighbor.
    #[inline]
    pub(crate) fn park(&mut self, node: u32, offset: u64, charge: u64) -> Result<(), SlabFull> {
        debug_assert!(!self.parked.is_some());
        // So that it can be filed when a request cannot wait.
        self.holes.reserve_one()?;
        self.chain.park(node);
        self.parked = Parked {
            node,
            offset,
            charge,
        };
        Ok(())
    }

    /// Gives the parked block to a request that the fit would give it to.
    #[inline]
    pub(crate) fn unpark(&mut self, size: u64, charge: u64) -> Option<Allocation> {
        let Parked {
            node,
            offset,
            charge: room,
        } = self.parked;
        if charge != room || !self.takes_newest_of_its_size(charge) {
            return None;
        }
        self.parked = Parked::NONE;
        self.live_bytes += size;
        self.charged_bytes += charge;
        let serial = self.serials.issue();
        self.chain.unpark(node, size, serial);
        Some(Allocation::new(offset, size, serial, node))
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
