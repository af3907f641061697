//! Aligned columns for a terminal. A field's unit is the last word of its name.

use std::io::{self, Write};

use crate::record::Document;

use super::{Cell, Grid, grids};

/// Writes the machine and one table per workload.
///
/// # Errors
///
/// Returns what the writer returns.
pub fn table(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let machine = &document.machine;
    writeln!(
        out,
        "{}, {} cores, Linux {}",
        machine.cpu, machine.cores, machine.kernel
    )?;
    writeln!(out, "{}, commit {}", machine.rustc, machine.commit)?;
    for grid in grids(&document.runs) {
        writeln!(out, "\n{}", grid.workload)?;
        write_grid(&grid, out)?;
    }
    Ok(())
}

fn write_grid(Grid { headings, rows, .. }: &Grid, out: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].text.len());
        cells
            .chain([headings[column].len()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let heading = |&text: &&str| Cell {
        text: text.to_owned(),
        is_number: true,
    };
    write_row(
        &headings.iter().map(heading).collect::<Vec<_>>(),
        &widths,
        out,
    )?;
    for row in rows {
        write_row(row, &widths, out)?;
    }
    Ok(())
}

fn write_row(cells: &[Cell], widths: &[usize], out: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    for (Cell { text, is_number }, &width) in cells.iter().zip(widths) {
        let padded = if *is_number {
            format!("{text:>width$}")
        } else {
            format!("{text:<width$}")
        };
        line.push_str(&padded);
        line.push_str("  ");
    }
    writeln!(out, "{}", line.trim_end())
}
