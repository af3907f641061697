//! Aligned columns for a terminal.

use std::io::{self, Write};

use crate::record::Document;

use super::{Cell, Grid, Width, grids};

/// Writes the machine and one table per workload.
///
/// # Errors
///
/// Returns what the writer returns.
pub fn table(document: &Document, width: Width, out: &mut impl Write) -> io::Result<()> {
    let machine = &document.machine;
    writeln!(
        out,
        "{}, {} cores, Linux {}",
        machine.cpu, machine.cores, machine.kernel
    )?;
    writeln!(out, "{}, commit {}", machine.rustc, machine.commit)?;
    for grid in grids(&document.runs, width) {
        writeln!(out, "\n{}", grid.workload)?;
        write_grid(&grid, out)?;
    }
    if width == Width::Screen {
        writeln!(
            out,
            "\n± is half the range of the repeats, ~ a single one; --wide shows every field"
        )?;
    }
    Ok(())
}

fn write_grid(Grid { headings, rows, .. }: &Grid, out: &mut impl Write) -> io::Result<()> {
    let length = |text: &str| text.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| length(&row[column].text));
        cells
            .chain([length(&headings[column])])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let heading = |(column, text): (usize, &String)| Cell {
        text: text.clone(),
        is_number: rows.iter().any(|row| row[column].is_number),
    };
    let headings: Vec<Cell> = headings.iter().enumerate().map(heading).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let mut line = String::new();
        for (Cell { text, is_number }, &width) in row.iter().zip(&widths) {
            let padded = if *is_number {
                format!("{text:>width$}  ")
            } else {
                format!("{text:<width$}  ")
            };
            line.push_str(&padded);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
