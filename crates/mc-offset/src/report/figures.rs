//! Sizes and shares as the reports print them.

use alloc::format;
use core::fmt;

/// Units of sizes, each 1024 of the one before.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes, printed in the largest unit of which there is one, with
/// two decimals; below 1 KiB it is printed exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

impl Bytes {
    /// Returns hundredths of a unit, rounded to the nearest, and the unit.
    fn scaled(self) -> (u128, &'static str) {
        let hundredths = |power: usize| {
            let unit = 1_u128 << (10 * power);
            (u128::from(self.0) * 100 + unit / 2) / unit
        };
        let fits = |power: &usize| hundredths(*power) < 1024 * 100;
        let power = (0..UNITS.len()).find(fits).unwrap_or(UNITS.len() - 1);
        (hundredths(power), UNITS[power])
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hundredths, unit) = self.scaled();
        let (whole, fraction) = (hundredths / 100, hundredths % 100);
        if self.0 < 1024 {
            f.pad(&format!("{whole} {unit}"))
        } else {
            f.pad(&format!("{whole}.{fraction:02} {unit}"))
        }
    }
}

/// A share from 0 to 1, printed in percent with two decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percent(pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.2} %", 100.0 * self.0))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[track_caller]
    fn check_bytes(bytes: u64, printed: &str) {
        assert_eq!(Bytes(bytes).to_string(), printed);
    }

    #[test]
    fn sizes_take_the_largest_unit_of_which_there_is_one() {
        check_bytes(0, "0 B");
        check_bytes(1023, "1023 B");
        check_bytes(1024, "1.00 KiB");
        check_bytes(1536, "1.50 KiB");
        check_bytes(3_274_752, "3.12 MiB");
        check_bytes(1 << 40, "1.00 TiB");
        check_bytes(u64::MAX, "16.00 EiB");
    }

    #[test]
    fn a_size_that_rounds_up_to_1024_takes_the_next_unit() {
        check_bytes((1 << 20) - 6, "1023.99 KiB");
        check_bytes((1 << 20) - 5, "1.00 MiB");
        check_bytes((1 << 30) - 1, "1.00 GiB");
    }

    #[test]
    fn figures_are_padded_as_a_whole() {
        assert_eq!(format!("{:>10}|", Bytes(2048)), "  2.00 KiB|");
        assert_eq!(format!("{:>9}|", Percent(0.99974)), "  99.97 %|");
    }
}
