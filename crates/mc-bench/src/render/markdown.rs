//! Markdown: one section and one table per workload.

use std::io::{self, Write};

use crate::record::Document;

use super::{Width, grids};

/// Writes the runs as one Markdown table per workload.
///
/// # Errors
///
/// Returns what the writer returns.
pub fn markdown(document: &Document, width: Width, out: &mut impl Write) -> io::Result<()> {
    for (index, grid) in grids(&document.runs, width).iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "## {}\n", grid.workload)?;
        writeln!(out, "| {} |", grid.headings.join(" | "))?;
        let is_number = |column: usize| grid.rows.iter().any(|row| row[column].is_number);
        let rule = |column| if is_number(column) { "---:" } else { "---" };
        let rules: Vec<&str> = (0..grid.headings.len()).map(rule).collect();
        writeln!(out, "|{}|", rules.join("|"))?;
        for row in &grid.rows {
            let cells: Vec<&str> = row.iter().map(|cell| cell.text.as_str()).collect();
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
    }
    Ok(())
}
