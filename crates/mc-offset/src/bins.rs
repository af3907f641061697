//! Size bins: the small floating-point scale that files holes by size.
//!
//! A [`BinScale`] numbers sizes like a float without a sign: the bits below
//! the highest set bit, cut to `mantissa_bits`, choose the *leaf* inside the
//! *top* group that the highest bit selects. Sizes below `2^mantissa_bits`
//! have a bin each. [`BinMap`](crate::bin_map::BinMap) keeps the lists.

/// Mantissa bits of the published allocator's scale.
pub(crate) const MANTISSA_BITS_PUBLISHED: u32 = 3;
/// Mantissa bits of the good-fit scale: bins are at most 1/32 wide.
pub(crate) const MANTISSA_BITS_GOOD: u32 = 5;

/// A numbering of sizes by bins whose width is a fixed fraction of the size.
///
/// Each call takes constant time.
///
/// ```
/// use mc_offset::BinScale;
///
/// let bin = BinScale::PUBLISHED.bin_floor(4281);
/// assert_eq!(BinScale::PUBLISHED.bin_size(bin), Some(4096));
/// assert_eq!(BinScale::PUBLISHED.bin_size(bin + 1), Some(4608));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinScale {
    mantissa_bits: u32,
    /// Bytes that count as one; every bin size is a multiple of them.
    unit: u64,
}

impl BinScale {
    /// The published allocator's: a bin for each size below 8, then eight bins to a doubling. Reports that
    /// count holes by size have these, whatever the fit.
    pub const PUBLISHED: Self = Self::new(MANTISSA_BITS_PUBLISHED);

    pub(crate) const fn new(mantissa_bits: u32) -> Self {
        assert!(mantissa_bits >= 1, "a scale needs a mantissa");
        assert!(
            mantissa_bits <= MANTISSA_BITS_GOOD,
            "the bin map has room for five mantissa bits"
        );
        Self {
            mantissa_bits,
            unit: 1,
        }
    }

    /// Returns a scale that numbers sizes by multiples of `unit` bytes.
    pub(crate) const fn in_units(mantissa_bits: u32, unit: u64) -> Self {
        assert!(unit >= 1, "a unit has bytes");
        let Self { mantissa_bits, .. } = Self::new(mantissa_bits);
        Self {
            mantissa_bits,
            unit,
        }
    }

    /// Returns the bin of the largest bin size that is at most `size`.
    #[inline]
    #[must_use]
    pub const fn bin_floor(self, size: u64) -> u32 {
        let size = if self.unit == 1 {
            size
        } else {
            size / self.unit
        };
        let leaves = 1 << self.mantissa_bits;
        let shift = (size | leaves).ilog2() - self.mantissa_bits;
        // With shift > 0 the shifted size carries the implicit leading one,
        // which adds exactly the group that the first leaf row occupies.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the shifted size has mantissa_bits + 1 bits"
        )]
        let leading = (size >> shift) as u32;
        (shift << self.mantissa_bits) + leading
    }

    /// Returns the bin of the smallest bin size that is at least `size`.
    ///
    /// The bin above the last representable size has no size; see
    /// [`bin_size`](Self::bin_size).
    #[inline]
    #[must_use]
    pub const fn bin_ceil(self, size: u64) -> u32 {
        let floor = self.bin_floor(size);
        // A full mantissa carries into the next group by plain addition.
        match self.bin_size(floor) {
            Some(floor_size) => floor + (size != floor_size) as u32,
            None => floor + 1,
        }
    }

    /// Returns the lower edge of `bin` in bytes, or `None` where it exceeds
    /// `u64::MAX`.
    #[inline]
    #[must_use]
    pub const fn bin_size(self, bin: u32) -> Option<u64> {
        let leaves = 1u32 << self.mantissa_bits;
        if bin < leaves {
            return self.unit.checked_mul(bin as u64);
        }
        let shift = (bin >> self.mantissa_bits) - 1;
        let leading = ((bin & (leaves - 1)) | leaves) as u64;
        if shift > leading.leading_zeros() {
            return None;
        }
        self.unit.checked_mul(leading << shift)
    }

    /// Returns the largest size that is filed in `bin`.
    #[inline]
    pub(crate) const fn bin_last_size(self, bin: u32) -> u64 {
        match self.bin_size(bin + 1) {
            Some(above) => above - 1,
            None => u64::MAX,
        }
    }

    /// Returns how many bins cover the sizes up to and including `size`.
    pub(crate) const fn bin_count(self, size: u64) -> u32 {
        self.bin_floor(size) + 1
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const PUBLISHED: BinScale = BinScale::PUBLISHED;
    const GOOD: BinScale = BinScale::new(MANTISSA_BITS_GOOD);

    #[track_caller]
    fn check_bins(scale: BinScale, size: u64, floor: u64, ceil: u64) {
        assert_eq!(
            scale.bin_size(scale.bin_floor(size)),
            Some(floor),
            "floor of {size}"
        );
        assert_eq!(
            scale.bin_size(scale.bin_ceil(size)),
            Some(ceil),
            "ceil of {size}"
        );
    }

    /// The published scale written out the slow way: each of the sizes up to
    /// 16, then eight equal steps to every doubling.
    fn published_sizes() -> Vec<u64> {
        let mut sizes: Vec<u64> = (0..=16).collect();
        let mut step = 2;
        while sizes.len() < 240 {
            for _ in 0..8 {
                sizes.push(sizes.last().unwrap() + step);
            }
            step *= 2;
        }
        sizes.truncate(240);
        sizes
    }

    #[test]
    fn published_scale_has_the_240_published_sizes() {
        let sizes = published_sizes();
        assert_eq!(sizes[16..21], [16, 18, 20, 22, 24]);
        assert_eq!(sizes[239], 4_026_531_840);
        for (bin, &size) in (0..).zip(&sizes) {
            assert_eq!(PUBLISHED.bin_size(bin), Some(size));
            assert_eq!(PUBLISHED.bin_floor(size), bin);
            assert_eq!(PUBLISHED.bin_ceil(size), bin);
        }
    }

    #[test]
    fn sizes_between_bins_round_both_ways() {
        check_bins(PUBLISHED, 17, 16, 18);
        check_bins(PUBLISHED, 145, 144, 160);
        check_bins(PUBLISHED, 33_554_449, 33_554_432, 37_748_736);
        check_bins(PUBLISHED, 4_026_531_841, 4_026_531_840, 1 << 32);
        check_bins(GOOD, 63, 63, 63);
        check_bins(GOOD, 65, 64, 66);
        check_bins(GOOD, 524_305, 524_288, 540_672);
    }

    #[test]
    fn a_unit_counts_as_one_byte_does_without() {
        let scale = BinScale::in_units(MANTISSA_BITS_PUBLISHED, 1536);
        for (size, floor, ceil) in [
            (1536, 1536, 1536),
            (1535, 0, 1536),
            (17 * 1536, 16 * 1536, 18 * 1536),
            (18 * 1536, 18 * 1536, 18 * 1536),
        ] {
            check_bins(scale, size, floor, ceil);
        }
        let last = scale.bin_floor(u64::MAX);
        assert!(scale.bin_size(last).is_some());
        assert_eq!(scale.bin_size(scale.bin_ceil(u64::MAX)), None);
    }

    #[test]
    fn the_last_bin_has_no_ceiling() {
        for scale in [PUBLISHED, GOOD] {
            assert_eq!(scale.bin_size(scale.bin_ceil(u64::MAX)), None);
            assert_eq!(scale.bin_last_size(scale.bin_floor(u64::MAX)), u64::MAX);
        }
        assert_eq!(PUBLISHED.bin_count(u64::MAX), 496);
        assert_eq!(GOOD.bin_count(u64::MAX), 1920);
    }

    /// Sizes of every magnitude, rather than mostly huge ones.
    fn any_magnitude() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64u32).prop_map(|(bits, shift)| bits >> shift)
    }

    proptest! {
        #[test]
        fn floor_and_ceil_enclose_the_size(size in any_magnitude()) {
            for scale in [PUBLISHED, GOOD] {
                let floor = scale.bin_floor(size);
                let ceil = scale.bin_ceil(size);
                prop_assert!(scale.bin_size(floor).unwrap() <= size);
                prop_assert!(scale.bin_size(ceil).is_none_or(|above| above >= size));
                prop_assert!(ceil - floor <= 1);
                prop_assert!(size <= scale.bin_last_size(floor));
            }
        }

        #[test]
        fn bins_are_monotone(a in any_magnitude(), b in any_magnitude()) {
            let (small, large) = (a.min(b), a.max(b));
            for scale in [PUBLISHED, GOOD] {
                prop_assert!(scale.bin_floor(small) <= scale.bin_floor(large));
                prop_assert!(scale.bin_ceil(small) <= scale.bin_ceil(large));
            }
        }
    }
}
