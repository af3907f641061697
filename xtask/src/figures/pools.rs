//! A pool at several moments: rows of cells, lowest address at the top left.

use mc_bench::page::chart::Cell;
use plotters::prelude::RGBColor;
use plotters::style::text_anchor::HPos;

use super::style::{self, Area, GRID, rectangle};

const WIDTH: u32 = 1080;

/// Cells of a row of the picture.
const COLUMNS: usize = 128;

/// Width of a cell in pixels, and where the first one begins.
const CELL_WIDTH: i32 = 8;
const LEFT: i32 = 28;

/// Distance of two rows in pixels, and the height of the band that is a row.
const ROW_HEIGHT: i32 = 20;
const BAND_HEIGHT: i32 = 16;

/// Height of what stands above all pools, above each, and below it.
const HEAD: i32 = 40;
const ABOVE: i32 = 22;
const BELOW: i32 = 14;

pub(super) fn draw(pools: &[(String, Vec<Cell>)]) -> anyhow::Result<String> {
    let rows = |(_, cells): &(String, Vec<Cell>)| cells.len().div_ceil(COLUMNS);
    let rows = i32::try_from(pools.iter().map(rows).sum::<usize>())?;
    let height = HEAD + rows * ROW_HEIGHT + (ABOVE + BELOW) * i32::try_from(pools.len())?;
    style::svg((WIDTH, u32::try_from(height)?), |figure| {
        legend(figure, HEAD / 2)?;
        let mut top = HEAD;
        for (text, cells) in pools {
            style::write(figure, text, 16, HPos::Left, (LEFT, top + 8))?;
            top = draw_cells(figure, top + ABOVE, cells)? + BELOW;
        }
        Ok(())
    })
}

/// Draws one rectangle per run of equal cells of a row, and returns where the last row ends.
fn draw_cells(figure: &Area<'_>, mut top: i32, cells: &[Cell]) -> anyhow::Result<i32> {
    for row in cells.chunks(COLUMNS) {
        let mut x = LEFT;
        for equal in row.chunk_by(|a, b| a == b) {
            let end = x + CELL_WIDTH * i32::try_from(equal.len())?;
            rectangle(figure, color(equal[0]), (x, top), (end, top + BAND_HEIGHT))?;
            x = end;
        }
        top += ROW_HEIGHT;
    }
    Ok(top)
}

fn color(cell: Cell) -> RGBColor {
    match cell {
        Cell::Free => GRID,
        Cell::Stays => RGBColor(196, 188, 236),
        Cell::Moves => style::STORE[2],
        Cell::Placed => style::STORE[0],
    }
}

fn legend(figure: &Area<'_>, y: i32) -> anyhow::Result<()> {
    let mut x = LEFT;
    for (cell, _, name) in Cell::ALL {
        rectangle(figure, color(cell), (x, y - 7), (x + 24, y + 7))?;
        style::write(figure, name, 15, HPos::Left, (x + 32, y))?;
        x += 72 + style::width_of(name, 15);
    }
    Ok(())
}
