//! Time of one allocation from the arena and from what could stand in its place, by size, one panel
//! per number of threads.

use mc_bench::workload::arena::{SIZES_BYTES, THREADS};
use plotters::prelude::*;

use crate::data::Data;

use super::Figure;
use super::style::{self, Area, Series, failed};

pub(crate) const ARENA_TIME: Figure = Figure {
    file: "arena-time.svg",
    caption: "Time per allocation by size, for one, two and four threads",
    draw,
};

const SIZE: (u32, u32) = (1080, 520);

/// Height of the strip at the bottom that holds the legend.
const LEGEND_HEIGHT: u32 = 60;

/// Series in drawing order.
const SERIES: [Series; 6] = [
    style::MMAP,
    style::HUGEPAGE_RS,
    style::MALLOC,
    style::BUMPALO,
    style::ARENA,
    style::THREAD_CHUNK,
];

/// Pixels from one entry of the legend to the next.
const LEGEND_STEP: i32 = 165;

const TICKS_NS: [f64; 6] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

fn draw(data: &Data) -> anyhow::Result<String> {
    style::svg(SIZE, |figure| {
        let body = style::titled(figure, "Arena: time per allocation by size")?;
        let (_, height) = body.dim_in_pixel();
        let (panels, strip) = body.split_vertically(height - LEGEND_HEIGHT);
        let panels = panels.split_evenly((1, THREADS.len()));
        for (threads, panel) in THREADS.into_iter().zip(&panels) {
            draw_panel(data, threads, figure, panel)?;
        }
        let (x, y) = strip.get_pixel_range();
        for (left, series) in (x.start + 40..).step_by(LEGEND_STEP as usize).zip(SERIES) {
            style::legend(figure, (left, y.start + 20), &[(series, series.name)])?;
        }
        Ok(())
    })
}

fn draw_panel(
    data: &Data,
    threads: usize,
    figure: &Area<'_>,
    panel: &Area<'_>,
) -> anyhow::Result<()> {
    let times_ns = (0.2..200_000.0)
        .log_scale()
        .with_key_points(TICKS_NS.to_vec());
    let plural = if threads == 1 { "" } else { "s" };
    let mut chart = ChartBuilder::on(panel)
        .margin(8)
        .margin_right(18)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .caption(format!("{threads} thread{plural}"), style::text(15))
        .build_cartesian_2d(4.0..23.0, times_ns)
        .map_err(failed)?;
    style::mesh(&mut chart, 12, 13)
        .x_labels(5)
        .x_desc("size")
        .y_desc("time per allocation (ns)")
        .x_label_formatter(&|&log2| style::bytes(log2))
        .y_label_formatter(&|time| format!("{time:.0}"))
        .draw()
        .map_err(failed)?;
    let area = chart.plotting_area();
    for series in SERIES {
        let time = |bytes: u64| {
            let row = [("alloc_size", bytes), ("threads", threads as u64)];
            let run = data.run_where("arena", series.name, &row)?;
            let time = run.number("ns_per_op")?;
            Some(area.map_coordinate(&((bytes as f64).log2(), time)))
        };
        let points: Vec<_> = SIZES_BYTES.into_iter().filter_map(time).collect();
        series.draw(figure, &points)?;
    }
    Ok(())
}
