//! Who lies where in the pool at the end of the bimodal workload, for two fits.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::data::{Data, Run};

use super::Figure;
use super::style::{self, Area, GRID, failed};

pub(crate) const OCCUPANCY: Figure = Figure {
    file: "bimodal-occupancy.svg",
    caption: "Who lies where in the pool at the end of the bimodal workload",
    draw,
};

const SIZE: (u32, u32) = (1080, 620);

const SUBJECTS: [&str; 2] = ["good-fit", "adaptive"];

const SMALL: RGBColor = style::BIN_EXACT.color;
const LARGE: RGBColor = RGBColor(150, 190, 225);

/// Cells of a row of the picture.
const COLUMNS: usize = 128;

/// Width of a cell in pixels.
const CELL_WIDTH: i32 = 8;

/// Distance of two rows in pixels.
const ROW_HEIGHT: i32 = 29;

/// Height of the band that shows what large objects hold; that of the free bytes is left above.
const BAND_HEIGHT: i32 = 18;

/// Height of the ticks below a band that mark the cells of small objects.
const TICK_HEIGHT: i32 = 5;

fn draw(data: &Data) -> anyhow::Result<String> {
    style::svg(SIZE, |figure| {
        let title = "Bimodal sizes: the pool at the end of a run, lowest address at the top left";
        let body = style::titled(figure, title)?;
        let (_, y) = body.get_pixel_range();
        legend(figure, y.start + 12)?;
        let mut top = y.start + 40;
        for subject in SUBJECTS {
            if let Some(run) = data.run("bimodal", subject) {
                top = draw_pool(figure, top, run)? + 14;
            }
        }
        Ok(())
    })
}

/// Draws a pool and returns where it ends.
fn draw_pool(figure: &Area<'_>, top: i32, run: &Run) -> anyhow::Result<i32> {
    let (small, large) = (run.list("occupancy_small"), run.list("occupancy_large"));
    let utilization = small.iter().chain(&large).sum::<f64>() / small.len().max(1) as f64;
    let text = format!(
        "{}: {:.1} % used, small objects in {} of {} cells",
        run.text("subject").unwrap_or_default(),
        utilization * 100.0,
        small.iter().filter(|&&share| share > 0.0).count(),
        small.len(),
    );
    let label = style::text(15).pos(Pos::new(HPos::Left, VPos::Center));
    figure
        .draw_text(&text, &label, (left(), top + 8))
        .map_err(failed)?;
    let mut top = top + 22;
    for (small, large) in small.chunks(COLUMNS).zip(large.chunks(COLUMNS)) {
        draw_row(figure, top, small, large)?;
        top += ROW_HEIGHT;
    }
    Ok(top)
}

fn draw_row(figure: &Area<'_>, top: i32, small: &[f64], large: &[f64]) -> anyhow::Result<()> {
    let bottom = top + BAND_HEIGHT;
    let width = CELL_WIDTH * i32::try_from(large.len())?;
    rectangle(figure, GRID, (left(), top), (left() + width, bottom))?;
    let heights = large.iter().map(|&share| band_height(share));
    bars(figure, LARGE, heights, bottom)?;
    // Ticks hang below the band: beside a payload a small object would be thinner than a pixel.
    let heights = small.iter().map(|&share| tick_height(share));
    bars(figure, SMALL, heights, bottom + 1 + TICK_HEIGHT)
}

/// Draws one rectangle per run of cells of the same height.
fn bars(
    figure: &Area<'_>,
    color: RGBColor,
    heights: impl Iterator<Item = i32>,
    bottom: i32,
) -> anyhow::Result<()> {
    let heights: Vec<i32> = heights.collect();
    let mut x = left();
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
    let label = style::text(14).pos(Pos::new(HPos::Left, VPos::Center));
    for (index, (color, name)) in (0..).zip(entries) {
        let x = left() + 130 * index;
        rectangle(figure, color, (x, y - 6), (x + 24, y + 6))?;
        figure
            .draw_text(name, &label, (x + 32, y))
            .map_err(failed)?;
    }
    Ok(())
}

fn rectangle(
    figure: &Area<'_>,
    color: RGBColor,
    from: (i32, i32),
    to: (i32, i32),
) -> anyhow::Result<()> {
    figure
        .draw(&Rectangle::new([from, to], color.filled()))
        .map_err(failed)
}

/// Where rows begin, so that they stand in the middle.
fn left() -> i32 {
    let columns = i32::try_from(COLUMNS).unwrap_or(i32::MAX);
    let width = i32::try_from(SIZE.0).unwrap_or(i32::MAX);
    (width - columns * CELL_WIDTH) / 2
}

/// Returns the pixels of a band that a share of it takes.
fn band_height(share: f64) -> i32 {
    (0..=BAND_HEIGHT)
        .rev()
        .find(|&pixels| f64::from(pixels) <= share * f64::from(BAND_HEIGHT) + 0.5)
        .unwrap_or(0)
}

const fn tick_height(share: f64) -> i32 {
    if share > 0.0 { TICK_HEIGHT } else { 0 }
}
