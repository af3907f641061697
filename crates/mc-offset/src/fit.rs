//! The rules of placement, and what follows from each but the choice itself.
//!
//! What a fit chooses is in `search.rs`: a new one is added here and there.

use crate::bins::{BinScale, MANTISSA_BITS_GOOD, MANTISSA_BITS_PUBLISHED};

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
    /// of its neighbors. The end of the range is filled in order all the same,
    /// until something was refused, but for small objects that are far smaller
    /// than all others, such as metadata among payloads: those go to the far
    /// end from the start. A request that fits some hole succeeds.
    Adaptive,
}

impl Fit {
    /// Good fit with as many probes as two sizes in turn need to fill the
    /// range to 0.9997; with one it is 0.999, and more than four add nothing.
    pub const GOOD: Self = Self::Good { probes: 4 };

    /// Returns the scale of the bins that holes are filed in, where all sizes
    /// are multiples of `granule` bytes.
    pub(crate) const fn scale(self, granule: u64) -> BinScale {
        match self {
            // A bin size is a multiple of a power of two if the size it is
            // rounded from is; other granules have to be the scale's unit.
            Self::BinCeil if !granule.is_power_of_two() => {
                BinScale::in_units(MANTISSA_BITS_PUBLISHED, granule)
            }
            Self::BinExact | Self::BinCeil => BinScale::PUBLISHED,
            Self::Good { .. } | Self::Adaptive => BinScale::new(MANTISSA_BITS_GOOD),
        }
    }

    /// Returns what a request takes that comes to `granular` bytes in whole
    /// granules.
    #[inline]
    pub(crate) const fn charge(self, granular: u64, granule: u64) -> u64 {
        match self {
            Self::BinCeil => {
                let scale = self.scale(granule);
                match scale.bin_size(scale.bin_ceil(granular)) {
                    Some(charge) => charge,
                    None => u64::MAX,
                }
            }
            Self::BinExact | Self::Good { .. } | Self::Adaptive => granular,
        }
    }

    /// Returns the bytes of the largest request that `bytes` free ones, a
    /// multiple of the granule, have room for.
    #[inline]
    pub(crate) const fn largest_request(self, bytes: u64, granule: u64) -> u64 {
        match self {
            Self::BinCeil => {
                let scale = self.scale(granule);
                match scale.bin_size(scale.bin_floor(bytes)) {
                    Some(request) => request,
                    None => 0,
                }
            }
            Self::BinExact | Self::Good { .. } | Self::Adaptive => bytes,
        }
    }

    /// Returns two numbers that stand for the fit in snapshots: its code, and
    /// the probes of good fit or 0.
    pub(crate) const fn to_code(self) -> (u32, u32) {
        match self {
            Self::BinExact => (0, 0),
            Self::BinCeil => (1, 0),
            Self::Good { probes } => (2, probes),
            Self::Adaptive => (3, 0),
        }
    }

    /// Returns the fit that two numbers stand for, if there is one.
    pub(crate) const fn from_code(code: u32, parameter: u32) -> Option<Self> {
        match (code, parameter) {
            (0, 0) => Some(Self::BinExact),
            (1, 0) => Some(Self::BinCeil),
            (2, probes) => Some(Self::Good { probes }),
            (3, 0) => Some(Self::Adaptive),
            _ => None,
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
