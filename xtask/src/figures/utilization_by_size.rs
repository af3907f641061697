//! Minimum utilization of the uniform workload by object size, one panel per family of sizes.

use mc_bench::published::{FAMILIES, Family, UniformRow};
use plotters::prelude::*;

use crate::data::Data;

use super::Figure;
use super::style::{self, Area, Series, failed};

pub(crate) const UTILIZATION_BY_SIZE: Figure = Figure {
    file: "uniform-utilization.svg",
    caption: "Minimum utilization of the uniform workload by object size",
    draw,
};

const SIZE: (u32, u32) = (1080, 660);

/// Measured series, in drawing order. The others lie on one of these.
const MEASURED: [Series; 4] = [
    style::BUDDY,
    style::BIN_EXACT,
    style::BIN_CEIL,
    style::GOOD_FIT,
];

/// What a series shows of a published row.
type Column = fn(&UniformRow) -> f64;

const PUBLISHED: [(Series, Column); 2] = [
    (style::PUBLISHED_BEFORE, |row| row.before.utilization_min),
    (style::PUBLISHED_AFTER, |row| row.after.utilization_min),
];

const LEGEND: [(Series, &str); 6] = [
    (style::GOOD_FIT, "good-fit (all but those below alike)"),
    (style::BIN_CEIL, "bin-ceil"),
    (style::PUBLISHED_AFTER, "published after"),
    (style::BIN_EXACT, "bin-exact (offset-allocator alike)"),
    (style::PUBLISHED_BEFORE, "published before"),
    (style::BUDDY, "buddy"),
];

fn draw(data: &Data) -> anyhow::Result<String> {
    style::svg(SIZE, |figure| {
        let body = style::titled(figure, "Uniform sizes: minimum utilization by object size")?;
        let panels = body.split_evenly((2, 3));
        for (family, panel) in FAMILIES.into_iter().zip(&panels) {
            draw_panel(data, family, figure, panel)?;
        }
        let (x, y) = panels[FAMILIES.len()].get_pixel_range();
        style::legend(figure, (x.start + 40, y.start + 60), &LEGEND)
    })
}

fn draw_panel(
    data: &Data,
    family: Family,
    figure: &Area<'_>,
    panel: &Area<'_>,
) -> anyhow::Result<()> {
    // Sizes on the axis are binary logarithms, so that the labels fall on powers of two.
    let mut chart = ChartBuilder::on(panel)
        .margin(8)
        .margin_right(18)
        .x_label_area_size(44)
        .y_label_area_size(58)
        .caption(title(family), style::text(15))
        .build_cartesian_2d(3.0..26.0, 0.5..1.02)
        .map_err(failed)?;
    style::mesh(&mut chart, 12, 13)
        .x_labels(6)
        .y_labels(6)
        .x_desc("object size")
        .y_desc("utilization")
        .x_label_formatter(&|&log2| style::bytes(log2))
        .y_label_formatter(&|share| format!("{share:.1}"))
        .draw()
        .map_err(failed)?;

    let area = chart.plotting_area();
    let at =
        |row: &UniformRow, share| area.map_coordinate(&((row.size_bytes as f64).log2(), share));
    for series in MEASURED {
        let minimum = |row: &UniformRow| {
            let run = data.sized_run("uniform", series.name, row.size_bytes)?;
            run.number("utilization_min").map(|share| at(row, share))
        };
        let points: Vec<_> = family.rows().filter_map(minimum).collect();
        series.draw(figure, &points)?;
    }
    for (series, minimum) in PUBLISHED {
        let points: Vec<_> = family.rows().map(|row| at(row, minimum(row))).collect();
        series.draw(figure, &points)?;
    }
    Ok(())
}

fn title(family: Family) -> &'static str {
    match family {
        Family::PowerOfTwo => "s = 32 · 4^i",
        Family::PowerOfTwoMinus17 => "s − 17",
        Family::PowerOfTwoPlus17 => "s + 17",
        Family::NineTenths => "0.9 s",
        Family::ElevenTenths => "1.1 s",
    }
}
