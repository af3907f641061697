//! Numbers as people read them: with the digits that mean something.

/// Returns a figure that was measured several times, with as many digits as half the range allows; one that was
/// measured once has two, and says so.
#[must_use]
pub fn with_spread(value: f64, spread: Option<f64>) -> String {
    let Some(spread) = spread else {
        return format!("~{}", rounded(value, unit_of(value, 2)));
    };
    // Three digits are the most that a time is good for.
    let unit = unit_of(spread, 1).max(unit_of(value, 3));
    format!("{} ± {}", rounded(value, unit), rounded(spread, unit))
}

/// Returns a figure with two digits, thousands apart.
#[must_use]
pub fn rough(value: f64) -> String {
    rounded(value, unit_of(value, 2))
}

/// Returns a time of nanoseconds in microseconds, in as many digits.
#[must_use]
pub fn micros(nanoseconds: u64) -> String {
    rough(nanoseconds as f64 / 1e3)
}

/// Returns a utilization with the six digits that were published; one is written without any.
///
/// Cut, not rounded, so that only a full pool reads `1`.
#[must_use]
pub fn share(utilization: f64) -> String {
    if utilization >= 1.0 {
        return "1".to_owned();
    }
    // Half a unit in the ninth digit takes up what the binary fraction lacks.
    let millionths = (utilization * 1e6 + 5e-4).floor() / 1e6;
    format!("{:.6}", millionths.min(0.999_999))
}

/// Returns a share to four digits; only a full pool reads `1`.
#[must_use]
pub fn short_share(utilization: f64) -> String {
    if utilization >= 1.0 {
        return "1".to_owned();
    }
    format!("{:.4}", utilization.min(0.999_9))
}

/// Returns a count with thousands apart.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a share in percent.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Returns a figure, or a dash for none.
#[must_use]
pub fn cell(figure: Option<f64>, format: impl Fn(f64) -> String) -> String {
    figure.map_or_else(|| "–".to_owned(), format)
}

/// Returns the power of ten that so many digits of a number end with; small figures end a tenth below one.
fn unit_of(value: f64, digits: i32) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "logarithms of what is measured are small"
    )]
    let magnitude = if value > 0.0 {
        value.log10().floor() as i32
    } else {
        -1
    };
    (magnitude + 1 - digits).max(-2)
}

/// Returns a number rounded to a power of ten.
fn rounded(value: f64, unit: i32) -> String {
    match usize::try_from(-unit) {
        Ok(decimals) if decimals > 0 => format!("{value:.decimals$}"),
        _ => {
            let unit = 10_f64.powi(unit);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "what is measured is positive and below 2^63"
            )]
            let whole = ((value / unit).round() * unit) as u64;
            grouped(whole)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_end_where_the_spread_begins() {
        let table = [
            (311.4, Some(38.0), "310 ± 40"),
            (72.34, Some(0.52), "72.3 ± 0.5"),
            (72.34, Some(4.9), "72 ± 5"),
            (1_234.5, Some(0.1), "1,230 ± 0"),
            (0.437, Some(0.031), "0.44 ± 0.03"),
            (311.4, None, "~310"),
            (8.04, None, "~8.0"),
        ];
        for (value, spread, expected) in table {
            assert_eq!(with_spread(value, spread), expected);
        }
    }

    #[test]
    fn shares_are_cut_and_only_one_is_one() {
        let table = [
            (1.0, "1", "1"),
            (0.999_999_94, "0.999999", "0.9999"),
            (0.991_071, "0.991071", "0.9911"),
            (0.875, "0.875000", "0.8750"),
        ];
        for (utilization, long, short) in table {
            assert_eq!(
                (share(utilization), short_share(utilization)),
                (long.into(), short.into())
            );
        }
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, expected) in [(0, "0"), (999, "999"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(count), expected);
        }
    }
}
