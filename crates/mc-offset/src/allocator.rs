//! The single-threaded allocator: choosing a place, taking it, giving it back.
//!
//! [`Space`] knows what lies where, [`Chooser`] which hole a request gets. What
//! else can be done is in the files that name it: `place`, `extents`,
//! `hole_plan`, `report`.

use crate::{
    allocation::Allocation,
    error::{AllocError, FreeError, OptionsError},
    options::Options,
    search::Chooser,
    space::{Space, Spot},
};

/// Places objects in an address range of up to 2^64 − 1 bytes that it never
/// touches.
///
/// See the [crate documentation](crate) for the model and the guarantees.
/// For use from several threads see `SharedAllocator` (feature `std`).
///
/// # Examples
///
/// ```
/// use mc_offset::{AllocError, OffsetAllocator};
///
/// let mut allocator = OffsetAllocator::new(1000)?;
/// let a = allocator.allocate(600)?;
/// let b = allocator.allocate(400)?;
/// assert_eq!((a.offset(), b.offset()), (0, 600));
/// assert_eq!(
///     allocator.allocate(1),
///     Err(AllocError::NoHole { asked: 1, free: 0, largest_hole: 0 }),
/// );
/// allocator.free(a)?;
/// assert!(allocator.free(a).is_err(), "a second free is refused");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OffsetAllocator {
    space: Space,
    chooser: Chooser,
}

impl OffsetAllocator {
    /// Makes an allocator for `capacity` bytes with the default options.
    ///
    /// # Errors
    ///
    /// [`OptionsError::ZeroCapacity`], or [`OptionsError::OutOfMemory`] if the
    /// heap cannot hold the first nodes.
    pub fn new(capacity: u64) -> Result<Self, OptionsError> {
        Self::with_options(Options::new(capacity))
    }

    /// Makes an allocator; all of its capacity is one hole.
    ///
    /// # Errors
    ///
    /// An [`OptionsError`] that names the option that no allocator can have.
    pub fn with_options(options: Options) -> Result<Self, OptionsError> {
        options.validate()?;
        Ok(Self::with_space(Space::new(options)?))
    }

    /// Makes an allocator of a range that is laid out.
    pub(crate) fn with_space(space: Space) -> Self {
        Self {
            chooser: Chooser::new(space.options().fit),
            space,
        }
    }

    /// Finds a place for `size` bytes, in O(log holes); in constant time unless
    /// sizes are widely spread ([`Fit::Adaptive`](crate::Fit::Adaptive)) or
    /// only the highest bin has a hole that is large enough. A table that is
    /// full is copied to a larger one.
    ///
    /// # Errors
    ///
    /// [`ZeroSize`](AllocError::ZeroSize), [`TooLarge`](AllocError::TooLarge),
    /// [`NoHole`](AllocError::NoHole) (for fits other than `BinExact` and
    /// `BinCeil` only if no hole has the size),
    /// [`LimitReached`](AllocError::LimitReached), or
    /// [`OutOfMemory`](AllocError::OutOfMemory).
    #[inline]
    pub fn allocate(&mut self, size: u64) -> Result<Allocation, AllocError> {
        if let Some(allocation) = self.reuse_parked(size) {
            return Ok(allocation);
        }
        if size > self.space.largest_bound() {
            return self.refuse(size);
        }
        self.place(size)
    }

    /// Finds a place for `size` bytes, whatever there is to decide.
    ///
    /// In a function of its own: a processor that is fetching the node of one
    /// victim goes on to the next only if few instructions lie between them,
    /// registers that a longer function saves among them; and here are enough
    /// registers for the search, which a caller with a lock has not left.
    #[inline(never)]
    pub(crate) fn place(&mut self, size: u64) -> Result<Allocation, AllocError> {
        self.admit_and_carve(size)
    }

    /// As [`place`](Self::place), in the function of its caller.
    #[inline(always)]
    pub(crate) fn admit_and_carve(&mut self, size: u64) -> Result<Allocation, AllocError> {
        let charge = self.admit(size)?;
        let parked = self.space.parked_bytes();
        if parked != 0 {
            if charge == parked && self.chooser.takes_newest_of_its_size(&self.space, charge) {
                return Ok(self.space.take_parked(size));
            }
            self.space.file_parked();
        }
        let Some(spot) = self.chooser.choose(&mut self.space, charge) else {
            return Err(self.no_hole(size));
        };
        Ok(self.space.carve(spot, size, charge)?)
    }

    /// Refuses a request for more bytes than any hole has.
    fn refuse(&mut self, size: u64) -> Result<Allocation, AllocError> {
        self.admit(size)?;
        self.space.file_parked();
        Err(self.no_hole(size))
    }

    /// Gives the parked block to a request of the size that it had before: the
    /// most frequent request of a full store.
    ///
    /// Returns `None` as well where there is more to do, which is left to
    /// [`place`](Self::place): this is short enough for the processor to fetch
    /// the next victim meanwhile.
    #[inline]
    pub(crate) fn reuse_parked(&mut self, size: u64) -> Option<Allocation> {
        let charge = self.space.parked_for(size)?;
        let is_taken = self.chooser.takes_repeat(charge);
        is_taken.then(|| self.space.take_parked(size))
    }

    /// Finds a place for `size` bytes at a multiple of `align`, a power of
    /// two, in O(log holes).
    ///
    /// The bytes skipped to reach the multiple stay free. Where no hole has
    /// `size + align` bytes, so that it matters where the large ones begin, the
    /// first request of an alignment reads all holes; they are followed from
    /// then on, until the alignment has not mattered for as many changes as
    /// there are holes.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate), and
    /// [`AlignNotPowerOfTwo`](AllocError::AlignNotPowerOfTwo).
    pub fn allocate_aligned(&mut self, size: u64, align: u64) -> Result<Allocation, AllocError> {
        if !align.is_power_of_two() {
            return Err(AllocError::AlignNotPowerOfTwo { align });
        }
        let step = self.options().step(align);
        if step == self.options().granule {
            return self.allocate(size);
        }
        let charge = self.admit(size)?;
        self.space.file_parked();
        let spot = self.chooser.choose_aligned(&mut self.space, charge, step)?;
        match spot {
            Some(spot) => Ok(self.space.carve(spot, size, charge)?),
            None => Err(self.no_hole(size)),
        }
    }

    /// Gives the bytes of an allocation back and merges them with the holes
    /// beside them, in O(log holes); in constant time while there are few
    /// holes. A table of which three quarters are vacant is copied to a smaller
    /// one, which the frees before have paid for.
    ///
    /// # Errors
    ///
    /// [`NotLive`](FreeError::NotLive) if the token was freed before or is
    /// another allocator's; [`OutOfMemory`](FreeError::OutOfMemory) if the
    /// heap cannot hold the record of a new hole, which leaves the allocation
    /// live.
    #[inline]
    pub fn free(&mut self, allocation: Allocation) -> Result<(), FreeError> {
        if self.space.park(allocation) {
            Ok(())
        } else {
            self.merge(allocation)
        }
    }

    /// Frees an allocation by making its bytes part of a hole at once, in a
    /// function of its own for the reason that [`place`](Self::place) is.
    #[inline(never)]
    fn merge(&mut self, allocation: Allocation) -> Result<(), FreeError> {
        self.space.release(allocation)
    }

    /// As [`free`](Self::free), in the function of its caller.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn park_or_merge(&mut self, allocation: Allocation) -> Result<(), FreeError> {
        if self.space.park(allocation) {
            Ok(())
        } else {
            self.space.release(allocation)
        }
    }

    /// Frees every allocation and makes all tokens stale.
    ///
    /// # Errors
    ///
    /// [`OptionsError::OutOfMemory`] if the heap cannot hold the first nodes
    /// of the fresh state; nothing is freed then.
    pub fn reset(&mut self) -> Result<(), OptionsError> {
        Ok(self.space.clear()?)
    }

    /// Returns the options in force.
    #[inline]
    pub fn options(&self) -> &Options {
        self.space.options()
    }

    /// Returns the bytes that a request of `size` would take from the holes:
    /// `size` rounded up to the granule and, for
    /// [`Fit::BinCeil`](crate::Fit::BinCeil), to a bin;
    /// `None` if that exceeds the capacity or `size` is zero.
    pub fn charged_size(&self, size: u64) -> Option<u64> {
        self.options().charged_size(size)
    }

    /// Checks a request against everything but the holes and returns its
    /// charge.
    // Always: its result would be returned through memory.
    #[inline(always)]
    pub(crate) fn admit(&self, size: u64) -> Result<u64, AllocError> {
        let capacity = self.options().capacity;
        if size == 0 {
            return Err(AllocError::ZeroSize);
        }
        if size > capacity {
            return Err(AllocError::TooLarge {
                asked: size,
                capacity,
            });
        }
        match self.options().max_allocations {
            Some(limit) if self.space.is_at_limit() => Err(AllocError::LimitReached { limit }),
            _ => Ok(self.space.charge(size)),
        }
    }

    /// Takes `charge` bytes at a spot that has them; no block is parked.
    #[inline]
    pub(crate) fn carve(
        &mut self,
        spot: Spot,
        size: u64,
        charge: u64,
    ) -> Result<Allocation, AllocError> {
        Ok(self.space.carve(spot, size, charge)?)
    }

    /// Says that no hole takes a request; no block is parked.
    #[cold]
    pub(crate) fn no_hole(&mut self, asked: u64) -> AllocError {
        self.space.note_refusal();
        let largest = self.space.holes_mut().tighten_bound();
        let &Options { fit, granule, .. } = self.options();
        AllocError::NoHole {
            asked,
            free: self.space.free_bytes(),
            largest_hole: fit.largest_request(largest, granule),
        }
    }

    /// Returns the size in bytes of the largest hole, 0 if there is none, in
    /// constant time.
    ///
    /// More precisely, it is the largest size that can be allocated, but for
    /// [`Fit::BinExact`](crate::Fit::BinExact), which may miss its own largest
    /// hole: [`Fit::BinCeil`](crate::Fit::BinCeil) rounds it down to a bin, and
    /// at the limit of live allocations it is 0.
    pub fn largest_hole(&self) -> u64 {
        if self.space.is_at_limit() {
            return 0;
        }
        self.largest_hole_below_limit()
    }

    /// Returns what [`largest_hole`](Self::largest_hole) would say if one more
    /// allocation than [`max_allocations`](Options::max_allocations) could be
    /// live, in constant time.
    ///
    /// At the limit a request for no more than that is refused for the number
    /// of allocations alone, and any that is freed makes room for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::{OffsetAllocator, Options};
    ///
    /// let options = Options { max_allocations: Some(1), ..Options::new(100) };
    /// let mut allocator = OffsetAllocator::with_options(options)?;
    /// allocator.allocate(30)?;
    /// assert_eq!(allocator.largest_hole(), 0);
    /// assert_eq!(allocator.largest_hole_below_limit(), 70);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn largest_hole_below_limit(&self) -> u64 {
        let Options { fit, granule, .. } = *self.options();
        fit.largest_request(self.space.largest(), granule)
    }

    /// Returns what lies where.
    #[inline]
    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// Returns what lies where, to be changed.
    #[inline]
    pub(crate) fn space_mut(&mut self) -> &mut Space {
        &mut self.space
    }

    #[cfg(test)]
    pub(crate) fn chooser_mut(&mut self) -> &mut Chooser {
        &mut self.chooser
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::{fit::Fit, trend::Regime};

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
        assert_eq!(allocator.space.parked_bytes(), 100);
        assert_eq!(allocator.reuse_parked(99), None);
        let again = allocator.reuse_parked(100).unwrap();
        assert_eq!(again.offset(), first.offset());
        assert_eq!(allocator.reuse_parked(100), None);
        allocator.free(second).unwrap();
        assert_eq!(allocator.space.parked_bytes(), 0, "it merges with the rest");
        allocator.check_invariants();
    }

    /// Parks a block of `size` bytes, and checks whether a request of as many
    /// is given it as it is.
    #[track_caller]
    fn check_reuse(mut allocator: OffsetAllocator, size: u64, is_given: bool) {
        let block = allocator.allocate_at(0, size).unwrap();
        let charge = allocator.space.charge(size);
        let _above = allocator.allocate_at(charge, size).unwrap();
        allocator.space.set_sizes_repeat(true);
        allocator.free(block).unwrap();
        assert_eq!(allocator.space.parked_bytes(), charge);
        let _ = allocator.place(size).unwrap();
        assert_eq!(allocator.space.sizes_repeat(), is_given, "{size} bytes");
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
            check_reuse(allocator(fit, 10_000), size, is_given);
        }
        // Small objects go to the hole with the highest address.
        for (size, is_given) in [(257, false), (258, true)] {
            let mut spread = allocator(Fit::Adaptive, 10_000);
            let wall = spread.allocate_at(9_000, 200).unwrap();
            let _below = spread.allocate_at(8_000, 1_000).unwrap();
            let _above = spread.allocate_at(9_200, 800).unwrap();
            spread.free(wall).unwrap();
            for size in [10, 10, 10, 1000].into_iter().cycle().take(1024) {
                spread.chooser.trend_mut().record(size, false);
            }
            let regime = spread.chooser.trend_mut().regime();
            assert_eq!(regime, Regime::Spread { small_max: 257 });
            check_reuse(spread, size, is_given);
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
                allocator.space.set_sizes_repeat(parks);
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
