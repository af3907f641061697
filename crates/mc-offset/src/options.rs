//! What an allocator manages and how it chooses among holes.

use crate::{
    bins::{BinScale, MANTISSA_BITS_GOOD, MANTISSA_BITS_PUBLISHED},
    error::OptionsError,
};

/// The rule by which a request is given one of the holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Fit {
    /// The published allocator before its optimization: eight bins to a
    /// doubling, exact sizes, search from the bin above. A hole of the size
    /// asked for is found only if the size is a bin's.
    BinExact,
    /// The published allocator after its optimization: as
    /// [`BinExact`](Self::BinExact), and every request is charged as the next
    /// bin size, up to 12.5 % more than asked for.
    BinCeil,
    /// Exact sizes, 32 bins to a doubling, and the tightest of the first
    /// `probes` holes of the request's own bin; if none of them fits, of the
    /// next bin that has any. A request that fits some hole succeeds.
    Good {
        /// Holes looked at in a bin, at least 1.
        probes: u32,
    },
    /// As [`GOOD`](Self::GOOD), guided by the sizes of the last few hundred
    /// requests. While they are widely spread, small objects go to the hole
    /// with the highest address. While requests rarely find a hole of exactly
    /// their size, the rest of a hole that is split is left beside the larger
    /// of its neighbors. A request that fits some hole succeeds.
    Adaptive,
}

impl Fit {
    /// Good fit with as many probes as two sizes in turn need to fill the
    /// range to 0.9997; with one it is 0.999, and more than four add nothing.
    pub const GOOD: Self = Self::Good { probes: 4 };

    pub(crate) const fn scale(self) -> BinScale {
        match self {
            Self::BinExact | Self::BinCeil => BinScale::new(MANTISSA_BITS_PUBLISHED),
            Self::Good { .. } | Self::Adaptive => BinScale::new(MANTISSA_BITS_GOOD),
        }
    }
}

impl Default for Fit {
    /// Returns [`Fit::Adaptive`]: on the measured workloads it holds as much as
    /// good fit where sizes repeat, within 0.0001, and more where they do not.
    fn default() -> Self {
        Self::Adaptive
    }
}

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
    /// Bytes to whose multiples requests are charged and at whose multiples
    /// they are placed; a power of two.
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
        let granular = (size + mask) & !mask;
        match self.fit {
            Fit::BinCeil => {
                let scale = self.fit.scale();
                scale.bin_size(scale.bin_ceil(granular)).unwrap_or(u64::MAX)
            }
            Fit::BinExact | Fit::Good { .. } | Fit::Adaptive => granular,
        }
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

    pub(crate) const fn validate(&self) -> Result<(), OptionsError> {
        let Self {
            capacity,
            granule,
            fit,
            max_allocations,
        } = *self;
        if !granule.is_power_of_two() {
            return Err(OptionsError::GranuleNotPowerOfTwo {
                granule_bytes: granule,
            });
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
