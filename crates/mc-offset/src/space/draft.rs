//! Laying out a range at once, in address order.

use super::{
    Space,
    chain::{ANCHOR, Chain},
    holes::Holes,
    landmarks::Landmarks,
    parked::Parked,
};
use crate::{
    allocation::{Allocation, Serials},
    options::Options,
    slab::SlabFull,
};

/// The tables of a range as far as they are laid out.
///
/// No hole is searched for, so a draft can describe any state of any fit.
#[derive(Debug)]
pub(crate) struct Draft {
    options: Options,
    chain: Chain,
    holes: Holes,
    serials: Serials,
    live_bytes: u64,
    charged_bytes: u64,
    touched_end: u64,
}

impl Draft {
    pub(crate) fn new(options: Options) -> Result<Self, SlabFull> {
        let scale = options.fit.scale(options.granule);
        Ok(Self {
            options,
            chain: Chain::new()?,
            holes: Holes::new(scale, options.capacity)?,
            serials: Serials::new(),
            live_bytes: 0,
            charged_bytes: 0,
            touched_end: 0,
        })
    }

    /// Appends an allocation and returns its token.
    pub(crate) fn push_allocation(
        &mut self,
        offset: u64,
        size: u64,
    ) -> Result<Allocation, SlabFull> {
        self.chain.reserve(1)?;
        let serial = self.serials.issue();
        let node = self.chain.insert_allocation(ANCHOR, size, serial);
        self.live_bytes += size;
        let charge = self.options.charge(size);
        self.charged_bytes += charge;
        self.touched_end = offset + charge;
        Ok(Allocation::new(offset, size, serial, node))
    }

    /// Appends a hole of the bytes `start..end`, if there are any.
    pub(crate) fn push_hole(&mut self, start: u64, end: u64) -> Result<(), SlabFull> {
        if start == end {
            return Ok(());
        }
        self.chain.reserve(1)?;
        self.holes.reserve_one()?;
        let node = self.chain.insert_before(ANCHOR);
        let hole = self.holes.insert(start, end - start, node);
        self.chain.set_hole(node, hole);
        Ok(())
    }

    /// Returns the range; what was appended covers it.
    pub(crate) fn finish(self) -> Space {
        let Self {
            options,
            chain,
            holes,
            serials,
            live_bytes,
            charged_bytes,
            touched_end,
        } = self;
        Space {
            options,
            chain,
            holes,
            parked: Parked::NONE,
            sizes_repeat: true,
            serials,
            live_bytes,
            charged_bytes,
            touched_end,
            was_full: false,
            landmarks: Landmarks::new(),
        }
    }
}
