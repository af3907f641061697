//! The sizes by which reports sort free regions: eight to a doubling.
//!
//! They are those of a float without sign, with five bits of exponent and
//! three of mantissa. Placement uses the finer bins of `mc-offset`.

/// Sizes that a report distinguishes.
pub(crate) const BIN_COUNT: usize = 256;

const MANTISSA_BITS: u32 = 3;
const LEAVES: u32 = 1 << MANTISSA_BITS;

/// Returns the last bin whose size is at most `size`.
pub(crate) fn bin_floor(size: u32) -> u32 {
    let shift = shift_of(size);
    // The leading one that the mantissa leaves out adds the bins below eight.
    (shift << MANTISSA_BITS) + (size >> shift)
}

/// Returns the first bin whose size is at least `size`.
pub(crate) fn bin_ceil(size: u32) -> u32 {
    let rest = size & ((1 << shift_of(size)) - 1);
    // A full mantissa carries into the exponent by plain addition.
    bin_floor(size) + u32::from(rest != 0)
}

/// Returns the size of a bin: 32 bits of it, which is all for those of a
/// `u32`, 0 to 239.
pub(crate) fn bin_size(bin: u32) -> u32 {
    if bin < LEAVES {
        return bin;
    }
    let leading = bin % LEAVES + LEAVES;
    leading << (bin / LEAVES - 1)
}

/// Returns how many low bits of a size its bin does not tell.
fn shift_of(size: u32) -> u32 {
    let highest_bit = u32::BITS - 1 - (size | 1).leading_zeros();
    highest_bit.saturating_sub(MANTISSA_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(size: u32, floor: u32, ceil: u32) {
        assert_eq!(bin_floor(size), floor, "floor of {size}");
        assert_eq!(bin_ceil(size), ceil, "ceil of {size}");
    }

    #[test]
    fn sizes_up_to_sixteen_have_a_bin_each() {
        for size in 0..=16 {
            check(size, size, size);
            assert_eq!(bin_size(size), size);
        }
    }

    #[test]
    fn other_sizes_lie_between_two_bins() {
        check(17, 16, 17);
        check(118, 38, 39);
        check(1024, 64, 64);
        check(65_536, 112, 112);
        check(529_445, 136, 137);
        check(1_048_575, 143, 144);
        check(u32::MAX, 239, 240);
    }

    #[test]
    fn the_size_of_a_bin_is_filed_in_it() {
        for bin in 0..240 {
            check(bin_size(bin), bin, bin);
        }
        assert_eq!(bin_size(239), 15 << 28);
    }
}
