//! Markdown tables and number formats of the page.

/// A table whose first column is left-aligned and whose others are right-aligned.
pub(super) struct Table {
    text: String,
    columns: usize,
}

impl Table {
    pub(super) fn new<T: AsRef<str>>(headings: &[T]) -> Self {
        let mut table = Self {
            text: String::new(),
            columns: headings.len(),
        };
        table.row(headings);
        table.text.push_str("|---");
        table.text.push_str(&"|---:".repeat(headings.len() - 1));
        table.text.push_str("|\n");
        table
    }

    pub(super) fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        assert_eq!(
            cells.len(),
            self.columns,
            "a row has as many cells as the table has columns"
        );
        for cell in cells {
            self.text.push_str("| ");
            self.text.push_str(cell.as_ref());
            self.text.push(' ');
        }
        self.text.push_str("|\n");
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Returns a utilization with the six digits that were published; one is written without any.
///
/// Cut, not rounded, so that only a full pool reads `1`.
pub(super) fn share(utilization: f64) -> String {
    if utilization >= 1.0 {
        return "1".to_owned();
    }
    // Half a unit in the ninth digit takes up what the binary fraction lacks.
    let millionths = (utilization * 1e6 + 5e-4).floor() / 1e6;
    format!("{:.6}", millionths.min(0.999_999))
}

/// Returns two utilizations, or one when they read the same.
pub(super) fn share_pair(min: f64, mean: f64) -> String {
    let (min, mean) = (share(min), share(mean));
    if min == mean {
        min
    } else {
        format!("{min} / {mean}")
    }
}

/// Returns a time in nanoseconds.
pub(super) fn nanoseconds(time: f64) -> String {
    if time < 100.0 {
        format!("{time:.1}")
    } else {
        format!("{time:.0}")
    }
}

/// Returns a cell for a figure that may not exist.
pub(super) fn cell(figure: Option<f64>, format: fn(f64) -> String) -> String {
    figure.map_or_else(|| "–".to_owned(), format)
}

/// Returns a count with thousands separators.
pub(super) fn grouped(count: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_cut_and_only_one_is_one() {
        let table = [
            (1.0, "1"),
            (0.999_999_94, "0.999999"),
            (0.991_071, "0.991071"),
            (0.875, "0.875000"),
            (0.906_249_6, "0.906249"),
        ];
        for (utilization, expected) in table {
            assert_eq!(share(utilization), expected);
        }
    }

    #[test]
    fn equal_pairs_are_written_once() {
        assert_eq!(share_pair(0.5, 0.5), "0.500000");
        assert_eq!(share_pair(0.5, 0.75), "0.500000 / 0.750000");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(grouped(count), expected);
        }
    }
}
