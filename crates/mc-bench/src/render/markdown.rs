//! Markdown: one section and one table per workload.

use std::io::{self, Write};

use crate::record::Document;

use super::{Grid, grids};

/// Writes the runs as one Markdown table per workload.
///
/// # Errors
///
/// Returns what the writer returns.
pub fn markdown(document: &Document, out: &mut impl Write) -> io::Result<()> {
    for (
        index,
        Grid {
            workload,
            headings,
            rows,
        },
    ) in grids(&document.runs).iter().enumerate()
    {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "## {workload}\n")?;
        writeln!(out, "| {} |", headings.join(" | "))?;
        let is_number = |column: usize| rows.iter().any(|row| row[column].is_number);
        let rule = |column| if is_number(column) { "---:" } else { "---" };
        let rules: Vec<&str> = (0..headings.len()).map(rule).collect();
        writeln!(out, "|{}|", rules.join("|"))?;
        for row in rows {
            let cells: Vec<&str> = row.iter().map(|cell| cell.text.as_str()).collect();
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
    }
    Ok(())
}
