//! What an allocator manages and how it chooses among holes.

use crate::{error::OptionsError, fit::Fit};

/// How to make an allocator.
///
/// ```
/// use mc_offset::{Fit, OffsetAllocator, Options};
///
/// let options = Options { granule: 4096, ..Options::new(1 << 30) };
/// let allocator = OffsetAllocator::with_options(options)?;
/// assert_eq!(allocator.options().fit, Fit::Adaptive);
/// # Ok::<(), mc_offset::OptionsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of the address range, a multiple of the granule.
    pub capacity: u64,
    /// Sizes are rounded up to multiples of so many bytes, and places begin at
    /// such multiples: any number from 1 on.
    pub granule: u64,
    /// The rule of placement.
    pub fit: Fit,
    /// The most allocations that may be live at once; `None` leaves the
    /// memory for their nodes as the only limit.
    pub max_allocations: Option<u32>,
}

impl Options {
    /// Returns the defaults for `capacity` bytes: byte granule, adaptive fit, no
    /// limit on allocations.
    pub const fn new(capacity: u64) -> Self {
        Self {
            capacity,
            granule: 1,
            fit: Fit::Adaptive,
            max_allocations: None,
        }
    }

    /// Returns what a request of `size` bytes, at most the capacity, takes from
    /// the holes.
    ///
    /// It depends on nothing but the size and the options, so that neither
    /// nodes nor snapshots need store it.
    #[inline]
    pub(crate) fn charge(&self, size: u64) -> u64 {
        let mask = self.granule - 1;
        // The capacity is a multiple of the granule, hence no overflow.
        let granular = if self.granule & mask == 0 {
            (size + mask) & !mask
        } else {
            size.div_ceil(self.granule) * self.granule
        };
        self.fit.charge(granular, self.granule)
    }

    /// Returns the bytes at whose multiples both the granule and `align`, a
    /// power of two, allow an allocation to begin.
    ///
    /// # Panics
    ///
    /// May panic if `align` is no power of two.
    #[inline]
    pub const fn step(&self, align: u64) -> u64 {
        debug_assert!(align.is_power_of_two());
        let shared_bits = if align.trailing_zeros() < self.granule.trailing_zeros() {
            align.trailing_zeros()
        } else {
            self.granule.trailing_zeros()
        };
        // No other multiple than 0 is in reach where the product has no number.
        self.granule.saturating_mul(align >> shared_bits)
    }

    /// Returns the bytes that a request of `size` takes from the holes of an
    /// allocator with these options, or `None` if there is no such request:
    /// `size` is zero or the bytes exceed the capacity.
    ///
    /// # Panics
    ///
    /// May panic for options that no allocator can have.
    pub fn charged_size(&self, size: u64) -> Option<u64> {
        let is_possible = size != 0 && size <= self.capacity;
        let charge = is_possible.then(|| self.charge(size))?;
        (charge <= self.capacity).then_some(charge)
    }

    /// Returns how many bytes a hole must have, from its first multiple of `align`
    /// on, for a request of `size` bytes to be sure of a place; `None` if no hole
    /// can. `align` is a power of two.
    ///
    /// They are those [charged](Self::charged_size), and more where the granule
    /// lets no place begin at that multiple, or where the fit takes no hole
    /// but those of bins whose every hole has room.
    ///
    /// # Panics
    ///
    /// May panic for options that no allocator can have, and if `align` is no
    /// power of two.
    pub fn hole_size(&self, size: u64, align: u64) -> Option<u64> {
        let charge = self.charged_size(size)?;
        let step = self.step(align);
        let room = match self.fit {
            Fit::BinExact | Fit::BinCeil => {
                let padded = charge.checked_add(step - self.granule)?;
                let scale = self.fit.scale(self.granule);
                scale.bin_size(scale.bin_ceil(padded))?
            }
            // Mostly one of the two is a multiple of the other.
            Fit::Good { .. } | Fit::Adaptive if step > self.granule.max(align) => {
                charge.checked_add(step - align)?
            }
            Fit::Good { .. } | Fit::Adaptive => charge,
        };
        (room <= self.capacity).then_some(room)
    }

    /// Returns how many of `bytes` in a hole, from a multiple of `step` on, a piece
    /// of an object may take if another piece follows it; [`step`](Self::step)
    /// tells the step.
    ///
    /// # Panics
    ///
    /// Panics if `step` is 0, and may for options that no allocator can have.
    pub const fn largest_extent(&self, bytes: u64, step: u64) -> u64 {
        let request = self.fit.largest_request(bytes, self.granule);
        request - request % step
    }

    pub(crate) const fn validate(&self) -> Result<(), OptionsError> {
        let Self {
            capacity,
            granule,
            fit,
            max_allocations,
        } = *self;
        if granule == 0 {
            return Err(OptionsError::ZeroGranule);
        }
        if capacity == 0 {
            return Err(OptionsError::ZeroCapacity);
        }
        if !capacity.is_multiple_of(granule) {
            return Err(OptionsError::CapacityNotGranular {
                capacity,
                granule_bytes: granule,
            });
        }
        if matches!(fit, Fit::Good { probes: 0 }) {
            return Err(OptionsError::ZeroProbes);
        }
        if matches!(max_allocations, Some(0)) {
            return Err(OptionsError::ZeroAllocations);
        }
        Ok(())
    }
}
