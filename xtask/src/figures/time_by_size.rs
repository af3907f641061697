//! Time of an operation of the uniform workload by object size, both axes logarithmic.

use mc_bench::published::FAMILIES;
use mc_bench::stats::geometric_mean;
use plotters::prelude::*;

use crate::data::Data;

use super::Figure;
use super::style::{self, Series, failed};

pub(crate) const TIME_BY_SIZE: Figure = Figure {
    file: "uniform-time.svg",
    caption: "Time per operation of the uniform workload by object size",
    draw,
};

const SIZE: (u32, u32) = (1080, 560);

/// Width of the strip on the right that holds the legend.
const LEGEND_WIDTH: u32 = 210;

/// The powers i of the sizes 32 · 4^i.
const POWERS: std::ops::Range<u32> = 0..11;

/// Series in drawing order.
const SERIES: [Series; 10] = [
    style::ORACLE,
    style::BUDDY,
    style::RANGE_ALLOC,
    style::OFFSET_ALLOCATOR,
    style::BIN_EXACT,
    style::BIN_CEIL,
    style::ADAPTIVE,
    style::SHARED,
    style::GOOD_FIT,
    style::SLOTS,
];

const TICKS_NS: [f64; 11] = [
    5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0,
];

fn draw(data: &Data) -> anyhow::Result<String> {
    let curves: Vec<(Series, Vec<(f64, f64)>)> = SERIES
        .iter()
        .map(|&series| (series, curve(data, series.name)))
        .collect();
    let times = || {
        curves
            .iter()
            .flat_map(|(_, points)| points)
            .map(|&(_, time)| time)
    };
    let (low, high) = (
        times().fold(f64::MAX, f64::min),
        times().fold(1.0, f64::max),
    );
    style::svg(SIZE, |figure| {
        let title = "Uniform sizes: time per operation, geometric mean of the five families";
        let body = style::titled(figure, title)?;
        let (width, _) = body.dim_in_pixel();
        let (panel, strip) = body.split_horizontally(width - LEGEND_WIDTH);
        let (low, high) = (low * 0.8, high * 1.2);
        // A tick outside the range would be drawn outside the panel.
        let ticks = TICKS_NS
            .into_iter()
            .filter(|tick| (low..high).contains(tick));
        let times_ns = (low..high).log_scale().with_key_points(ticks.collect());
        let mut chart = ChartBuilder::on(&panel)
            .margin(10)
            .x_label_area_size(50)
            .y_label_area_size(70)
            .build_cartesian_2d(4.0..26.0, times_ns)
            .map_err(failed)?;
        style::mesh(&mut chart, 13, 15)
            .x_labels(6)
            .x_desc("object size s")
            .y_desc("time per operation (ns)")
            .x_label_formatter(&|&log2| style::bytes(log2))
            .y_label_formatter(&|time| format!("{time:.0}"))
            .draw()
            .map_err(failed)?;
        for (series, points) in &curves {
            let at = |&point| chart.plotting_area().map_coordinate(&point);
            let pixels: Vec<_> = points.iter().map(at).collect();
            series.draw(figure, &pixels)?;
        }
        let (x, y) = strip.get_pixel_range();
        style::legend(figure, (x.start + 6, y.start + 40), &legend())
    })
}

/// Returns logarithm of the size and mean time, for the sizes that were measured.
fn curve(data: &Data, subject: &str) -> Vec<(f64, f64)> {
    let point = |power: u32| {
        let times = FAMILIES.iter().filter_map(|family| {
            let run = data.sized_run("uniform", subject, family.size_bytes(power))?;
            run.number("ns_per_op")
        });
        geometric_mean(times).map(|time| (f64::from(5 + 2 * power), time))
    };
    POWERS.filter_map(point).collect()
}

/// Returns the legend from the usually slowest to the usually quickest series.
fn legend() -> Vec<(Series, &'static str)> {
    let name = |series: Series| match series.name {
        "oracle" => "oracle (harness alone)",
        name => name,
    };
    SERIES
        .iter()
        .rev()
        .map(|&series| (series, name(series)))
        .collect()
}
