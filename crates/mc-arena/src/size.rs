//! Sizes and switches as operators write them: `8gb`, `20 GB`, `16GiB`, `8Gi`, `1.5tb`, `on`, `off`.
//!
//! Units are 1024-based whatever their spelling, as in the field's launch scripts, where `20 GB` of
//! cache has always meant 20 · 2^30 bytes; `8Gi` and `512Mi` are how Kubernetes writes the same. The size crates on crates.io read `GB` as 10^9, so none of
//! their grammars fits.

use std::fmt;

/// What [`parse_bytes`] accepts, for error messages.
pub const BYTES_ACCEPTED: &str = "a decimal number, optionally with a fraction, then optionally one of \
     B, K, M, G, T, P or E, the last six also with b, i or ib behind them, in any case (all powers of 1024), such as \
     8gb, 8Gi or 1.5TiB";

/// What [`parse_switch`] accepts, for error messages.
pub const SWITCH_ACCEPTED: &str =
    "1, true, yes, on, enable, 0, false, no, off or disable in any case";

/// Digits after the point beyond which a fraction is refused; 10^18 fits the arithmetic.
const FRACTION_DIGITS_MAX: usize = 18;

/// Why a text is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseBytesError {
    /// Nothing but white space.
    #[error("an empty text; use {BYTES_ACCEPTED}")]
    Empty,
    /// The number is missing, signed, hexadecimal, in exponent form or otherwise malformed.
    #[error("not a plain decimal number; use {BYTES_ACCEPTED}")]
    NotANumber,
    /// The letters after the number name no unit.
    #[error("an unknown unit; use {BYTES_ACCEPTED}")]
    UnknownUnit,
    /// More than `u64::MAX` bytes.
    #[error("more than 2^64 - 1 bytes")]
    TooLarge,
}

/// Returns the number of bytes that `text` denotes, rounded down to a whole byte.
///
/// Blanks around the text and before the unit are ignored, and single underscores may separate
/// digits.
///
/// # Errors
///
/// See [`ParseBytesError`]. There is no default: signs, exponents, hexadecimal, `inf` and `nan` are
/// refused.
///
/// # Examples
///
/// ```
/// use mc_arena::size::{ParseBytesError, parse_bytes};
///
/// assert_eq!(parse_bytes("20 GB"), Ok(20 << 30));
/// assert_eq!(parse_bytes("8Gi"), Ok(8 << 30));
/// assert_eq!(parse_bytes("1.5tb"), Ok(3 << 39));
/// assert_eq!(parse_bytes("0x10"), Err(ParseBytesError::UnknownUnit));
/// ```
pub fn parse_bytes(text: &str) -> Result<u64, ParseBytesError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ParseBytesError::Empty);
    }
    let number_len = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_len);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = parse_digits(whole)?;
    if fraction.len() > FRACTION_DIGITS_MAX {
        return Err(ParseBytesError::NotANumber);
    }
    let fraction_scale = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(u32::MAX));
    let fraction = parse_fraction(fraction)?;
    let unit_bytes = u128::from(parse_unit(unit.trim_start())?);

    // At most 2^64 · 2^60 + 10^18 · 2^60 < 2^125: the sum fits 128 bits.
    let bytes = u128::from(whole) * unit_bytes + u128::from(fraction) * unit_bytes / fraction_scale;
    u64::try_from(bytes).map_err(|_| ParseBytesError::TooLarge)
}

/// Returns what a boolean word means, or `None` if it is not one of [`SWITCH_ACCEPTED`].
#[must_use]
pub fn parse_switch(text: &str) -> Option<bool> {
    match text.trim_ascii().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "enable" => Some(true),
        "0" | "false" | "no" | "off" | "disable" => Some(false),
        _ => None,
    }
}

/// Prints a number of bytes as [`parse_bytes`] reads it back, in the largest unit that divides it: `2MiB`,
/// `1536MiB`, `1000B`.
pub(crate) struct ExactBytes(pub(crate) u64);

impl fmt::Display for ExactBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let power = if self.0 == 0 {
            0
        } else {
            self.0.trailing_zeros() / 10
        };
        write!(f, "{}{}", self.0 >> (10 * power), UNITS[power as usize])
    }
}

/// A number of bytes that prints as `999 B`, `2.00 KiB` or `15.13 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanBytes(pub u64);

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1 << 10 {
            return write!(f, "{} B", self.0);
        }
        // Rounded to the nearest hundredth in integers: a float would lose bytes above 2^53.
        let hundredths = |shift: u32| (u128::from(self.0) * 100 + (1 << (shift - 1))) >> shift;
        let units = [(10, "KiB"), (20, "MiB"), (30, "GiB")];
        let mut units = units
            .map(|(shift, unit)| (hundredths(shift), unit))
            .into_iter();
        let fitting = units.find(|(hundredths, _)| *hundredths < 1024 * 100);
        let (hundredths, unit) = fitting.unwrap_or_else(|| (hundredths(40), "TiB"));
        write!(f, "{}.{:02} {unit}", hundredths / 100, hundredths % 100)
    }
}

fn parse_digits(text: &str) -> Result<u64, ParseBytesError> {
    let is_separated = !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    if digits.is_empty() || !is_separated || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseBytesError::NotANumber);
    }
    digits.parse().map_err(|_| ParseBytesError::TooLarge)
}

fn parse_fraction(text: &str) -> Result<u64, ParseBytesError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseBytesError::NotANumber);
    }
    text.parse().map_err(|_| ParseBytesError::NotANumber)
}

fn parse_unit(text: &str) -> Result<u64, ParseBytesError> {
    const PREFIXES: &str = "kmgtpe";
    let text = text.to_ascii_lowercase();
    if matches!(text.as_str(), "" | "b") {
        return Ok(1);
    }
    let power = text.chars().next().and_then(|first| PREFIXES.find(first));
    match (power, text.get(1..)) {
        (Some(power), Some("" | "b" | "i" | "ib")) => Ok(1 << (10 * (power + 1))),
        _ => Err(ParseBytesError::UnknownUnit),
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, ParseBytesError>) {
        assert_eq!(parse_bytes(text), expected, "{text:?}");
    }

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        check("1048576", Ok(1 << 20));
        check("8gb", Ok(8 << 30));
        check("20 GB", Ok(20 << 30));
        check("16GiB", Ok(16 << 30));
        check("1.5tb", Ok(3 << 39));
        check(" 64 KiB\n", Ok(64 << 10));
        check("0.5k", Ok(512));
        check("1_048_576 b", Ok(1 << 20));
        check("0", Ok(0));
        check("8Gi", Ok(8 << 30));
        check("512Mi", Ok(512 << 20));
        check("1.5Ti", Ok(3 << 39));
        check("64 ki", Ok(64 << 10));
        check("2Pi", Ok(2 << 50));
        check("15EiB", Ok(15 << 60));
        check("1p", Ok(1 << 50));
        check("18446744073709551615", Ok(u64::MAX));
    }

    #[test]
    fn anything_else_is_refused() {
        use ParseBytesError::{Empty, NotANumber, TooLarge, UnknownUnit};
        check("", Err(Empty));
        check(" \t", Err(Empty));
        check("gb", Err(NotANumber));
        check("-1", Err(NotANumber));
        check("+1", Err(NotANumber));
        check("inf", Err(NotANumber));
        check("infinite", Err(NotANumber));
        check("nan", Err(NotANumber));
        check("0x10", Err(UnknownUnit));
        check("1e9", Err(UnknownUnit));
        check("16XB", Err(UnknownUnit));
        check("8Gii", Err(UnknownUnit));
        check("8iB", Err(UnknownUnit));
        check("8Bi", Err(UnknownUnit));
        check("8Gé", Err(UnknownUnit));
        check("100m 5", Err(UnknownUnit));
        check("16Ei", Err(TooLarge));
        check("1..5g", Err(NotANumber));
        check("1.g", Err(NotANumber));
        check(".5g", Err(NotANumber));
        check("1__0", Err(NotANumber));
        check("_1", Err(NotANumber));
        check("16777216tb", Err(TooLarge));
        check("18446744073709551616", Err(TooLarge));
    }

    #[test]
    fn switches_are_read_in_any_case() {
        for text in ["1", "TRUE", "Yes", "on", "enable", " true\n"] {
            assert_eq!(parse_switch(text), Some(true), "{text:?}");
        }
        for text in ["0", "False", "NO", "off", "Disable"] {
            assert_eq!(parse_switch(text), Some(false), "{text:?}");
        }
        for text in ["", "2", "y", "truee"] {
            assert_eq!(parse_switch(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_print_with_two_decimals() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (2048, "2.00 KiB"),
            (15 * 1024 + 134, "15.13 KiB"),
            ((1 << 20) - 6, "1023.99 KiB"),
            ((1 << 20) - 1, "1.00 MiB"),
            ((1 << 40) - 1, "1.00 TiB"),
            (3 << 39, "1.50 TiB"),
            (u64::MAX, "16777216.00 TiB"),
        ] {
            assert_eq!(HumanBytes(bytes).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn numbers_round_trip(bytes: u64, shift in 0_u32..64) {
            let bytes = bytes << shift;
            prop_assert_eq!(parse_bytes(&bytes.to_string()), Ok(bytes));
            prop_assert_eq!(parse_bytes(&ExactBytes(bytes).to_string()), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = parse_bytes(&text);
        }
    }
}
