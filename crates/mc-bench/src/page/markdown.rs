//! Markdown tables.

/// A table whose first column is left-aligned and whose others are right-aligned.
#[derive(Debug)]
pub struct Table {
    text: String,
    columns: usize,
}

impl Table {
    /// Starts a table with its headings, a bar between two.
    #[must_use]
    pub fn new(headings: &str) -> Self {
        let headings: Vec<&str> = headings.split('|').map(str::trim).collect();
        let mut table = Self {
            text: String::new(),
            columns: headings.len(),
        };
        table.row(&headings);
        table.text.push_str("|---");
        table.text.push_str(&"|---:".repeat(headings.len() - 1));
        table.text.push_str("|\n");
        table
    }

    /// Appends a line.
    ///
    /// # Panics
    ///
    /// Panics unless there are as many cells as headings.
    pub fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        assert_eq!(cells.len(), self.columns, "a cell for each column");
        for cell in cells {
            self.text.push_str("| ");
            self.text.push_str(cell.as_ref());
            self.text.push(' ');
        }
        self.text.push_str("|\n");
    }

    /// Returns the table of headings and lines.
    #[must_use]
    pub fn of(headings: &str, lines: impl IntoIterator<Item = Vec<String>>) -> String {
        let mut table = Self::new(headings);
        lines.into_iter().for_each(|line| table.row(&line));
        table.finish()
    }

    /// Returns its text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

/// Returns a table of names and what each is.
pub fn glossary(heading: &str, entries: impl IntoIterator<Item = (String, String)>) -> String {
    let lines = entries
        .into_iter()
        .map(|(name, what)| vec![format!("`{name}`"), what]);
    // Text is read from the left.
    Table::of(&format!("{heading} | What it is"), lines).replacen("---:", "---", 1)
}
