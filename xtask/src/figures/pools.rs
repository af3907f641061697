//! Who lies where in pools: rows of cells, lowest address at the top left.

use mc_bench::churn::Occupancy;
use plotters::prelude::RGBColor;
use plotters::style::text_anchor::HPos;

use super::style::{self, Area, GRID, rectangle};

const WIDTH: u32 = 1080;
const SMALL: RGBColor = style::VERMILLION;
const LARGE: RGBColor = RGBColor(150, 190, 225);

/// Cells of a row of the picture.
const COLUMNS: usize = 128;

/// Width of a cell in pixels, and where the first one begins.
const CELL_WIDTH: i32 = 8;
const LEFT: i32 = 28;

/// Distance of two rows in pixels.
const ROW_HEIGHT: i32 = 29;

/// Height of the band that shows what large objects hold; that of the free bytes is left above.
const BAND_HEIGHT: i32 = 18;

/// Height of the ticks below a band that mark the cells of small objects.
const TICK_HEIGHT: i32 = 5;

/// Height of what stands above all pools, and above and below each.
const HEAD: i32 = 74;
const AROUND: i32 = 36;

pub(super) fn draw(pools: &[(String, Occupancy)]) -> anyhow::Result<String> {
    let rows = |(_, pool): &(String, Occupancy)| pool.large.len().div_ceil(COLUMNS);
    let rows = i32::try_from(pools.iter().map(rows).sum::<usize>())?;
    let height = HEAD + rows * ROW_HEIGHT + AROUND * i32::try_from(pools.len())?;
    style::svg((WIDTH, u32::try_from(height)?), |figure| {
        let title = "The pool at the end of a run, lowest address at the top left";
        style::write(figure, title, 19, HPos::Center, (540, 22))?;
        legend(figure, 52)?;
        let mut top = HEAD;
        for (name, pool) in pools {
            top = draw_pool(figure, top, name, pool)? + 14;
        }
        Ok(())
    })
}

/// Draws a pool and returns where it ends.
fn draw_pool(figure: &Area<'_>, top: i32, name: &str, pool: &Occupancy) -> anyhow::Result<i32> {
    let Occupancy { small, large } = pool;
    let used = small.iter().chain(large).sum::<f64>() / small.len().max(1) as f64;
    let text = format!(
        "{name}: {:.1} % used, small objects in {} of {} cells",
        used * 100.0,
        small.iter().filter(|&&share| share > 0.0).count(),
        small.len(),
    );
    style::write(figure, &text, 15, HPos::Left, (LEFT, top + 8))?;
    let mut top = top + 22;
    for (small, large) in small.chunks(COLUMNS).zip(large.chunks(COLUMNS)) {
        let bottom = top + BAND_HEIGHT;
        let width = CELL_WIDTH * i32::try_from(large.len())?;
        rectangle(figure, GRID, (LEFT, top), (LEFT + width, bottom))?;
        bars(
            figure,
            LARGE,
            large.iter().map(|&share| band_height(share)),
            bottom,
        )?;
        // Ticks hang below the band: beside a payload a small object would be thinner than a pixel.
        let ticks = small
            .iter()
            .map(|&share| if share > 0.0 { TICK_HEIGHT } else { 0 });
        bars(figure, SMALL, ticks, bottom + 1 + TICK_HEIGHT)?;
        top += ROW_HEIGHT;
    }
    Ok(top)
}

/// Draws one rectangle per run of cells of the same height.
fn bars(
    figure: &Area<'_>,
    color: RGBColor,
    heights: impl Iterator<Item = i32>,
    bottom: i32,
) -> anyhow::Result<()> {
    let heights: Vec<i32> = heights.collect();
    let mut x = LEFT;
    for equal in heights.chunk_by(|a, b| a == b) {
        let end = x + CELL_WIDTH * i32::try_from(equal.len())?;
        if equal[0] > 0 {
            rectangle(figure, color, (x, bottom - equal[0]), (end, bottom))?;
        }
        x = end;
    }
    Ok(())
}

fn legend(figure: &Area<'_>, y: i32) -> anyhow::Result<()> {
    let entries = [
        (LARGE, "payloads"),
        (GRID, "free"),
        (SMALL, "metadata somewhere in the cell"),
    ];
    for (index, (color, name)) in (0..).zip(entries) {
        let x = LEFT + 130 * index;
        rectangle(figure, color, (x, y - 6), (x + 24, y + 6))?;
        style::write(figure, name, 14, HPos::Left, (x + 32, y))?;
    }
    Ok(())
}

/// Returns the pixels of a band that a share of it takes.
fn band_height(share: f64) -> i32 {
    (0..=BAND_HEIGHT)
        .rev()
        .find(|&pixels| f64::from(pixels) <= share * f64::from(BAND_HEIGHT) + 0.5)
        .unwrap_or(0)
}
