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

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::options::Options;

    fn allocator(fit: Fit, capacity: u64) -> OffsetAllocator {
        let options = Options {
            fit,
            ..Options::new(capacity)
        };
        OffsetAllocator::with_options(options).unwrap()
    }

    #[test]
    fn a_block_beside_no_hole_is_parked_and_taken_by_its_size() {
        let mut allocator = allocator(Fit::GOOD, 1000);
        let [first, second] = [(); 2].map(|()| allocator.allocate(100).unwrap());
        allocator.free(first).unwrap();
        assert!(allocator.parked.is_some());
        assert_eq!(allocator.reuse_parked(99), None);
        let again = allocator.reuse_parked(100).unwrap();
        assert_eq!(again.offset(), first.offset());
        assert_eq!(allocator.reuse_parked(100), None);
        allocator.free(second).unwrap();
        assert!(!allocator.parked.is_some(), "it merges with the rest");
        allocator.check_invariants();
    }

    /// Parks a block of `size` bytes, and checks whether a request of as many
    /// is given it.
    #[track_caller]
    fn check_unpark(mut allocator: OffsetAllocator, size: u64, is_given: bool) {
        let block = allocator.allocate_at(0, size).unwrap();
        let charge = allocator.charge(size);
        let _above = allocator.allocate_at(charge, size).unwrap();
        allocator.free(block).unwrap();
        let given = allocator.unpark(size, charge);
        assert_eq!(given.is_some(), is_given, "{size} bytes");
        assert_eq!(allocator.parked.is_some(), !is_given);
        allocator.check_invariants();
    }

    #[test]
    fn a_parked_block_is_given_where_the_fit_takes_the_newest_hole_of_the_size() {
        // Published bins go from 128 to 144 bytes.
        for (fit, size, is_given) in [
            (Fit::BinExact, 128, true),
            (Fit::BinExact, 129, false),
            (Fit::BinCeil, 129, true),
            (Fit::GOOD, 129, true),
            (Fit::Adaptive, 129, true),
        ] {
            check_unpark(allocator(fit, 10_000), size, is_given);
        }
        // Small objects go to the other end.
        for (size, is_given) in [(128, false), (129, true)] {
            let mut spread = allocator(Fit::Adaptive, 10_000);
            for size in [10, 10, 10, 1000].into_iter().cycle().take(1024) {
                spread.trend.record(size, false);
            }
            assert_eq!(spread.trend.regime(), Regime::Spread { small_max: 128 });
            check_unpark(spread, size, is_given);
        }
    }

    /// Returns the offsets that a random program gets whose freed blocks are
    /// parked if they can be, or never.
    fn offsets(fit: Fit, seed: u64, parks: bool) -> Vec<Option<u64>> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut allocator = allocator(fit, 1 << 24);
        let mut live = Vec::new();
        let mut offsets = Vec::new();
        for _ in 0..3000 {
            let size_max = 1 << rng.random_range(8..17);
            let mut size = rng.random_range(1..size_max);
            if live.len() > 100 || rng.random_ratio(1, 4) && !live.is_empty() {
                let freed: Allocation = live.swap_remove(rng.random_range(0..live.len()));
                allocator.sizes_repeat = parks;
                allocator.free(freed).unwrap();
                if rng.random_ratio(1, 8) {
                    size = freed.size();
                }
            }
            let placed = allocator.allocate(size).ok();
            offsets.push(placed.map(|token| token.offset()));
            live.extend(placed);
        }
        allocator.check_invariants();
        offsets
    }

    #[test]
    fn parking_changes_no_placement() {
        for fit in [Fit::BinExact, Fit::BinCeil, Fit::GOOD, Fit::Adaptive] {
            for seed in 0..4 {
                let [with, without] = [true, false].map(|parks| offsets(fit, seed, parks));
                assert_eq!(with, without, "{fit:?}, seed {seed}");
            }
        }
    }
}
