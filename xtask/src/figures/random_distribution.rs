//! Distribution of utilization over the operations of the random workload.

use mc_bench::published::{self, DistributionFigures};
use plotters::prelude::*;

use crate::data::Data;

use super::Figure;
use super::style::{self, Marker, Series, failed};

pub(crate) const RANDOM_DISTRIBUTION: Figure = Figure {
    file: "random-utilization.svg",
    caption: "Distribution of utilization over the operations of the random workload",
    draw,
};

const SIZE: (u32, u32) = (1080, 560);

/// Width of the strip on the right that holds the legend.
const LEGEND_WIDTH: u32 = 270;

/// Series in drawing order. `shared` and `offset-allocator` lie on others.
const MEASURED: [Series; 8] = [
    style::BUDDY,
    style::BIN_EXACT,
    style::BIN_CEIL,
    style::GOOD_FIT,
    style::ADAPTIVE,
    style::EXTENTS_2,
    style::EXTENTS_4,
    style::ORACLE,
];

const PUBLISHED: [(Series, DistributionFigures); 2] = [
    (style::PUBLISHED_BEFORE, published::RANDOM_BEFORE),
    (style::PUBLISHED_AFTER, published::RANDOM_AFTER),
];

const LEGEND: [(Series, &str); 10] = [
    (style::ORACLE, "oracle (compacts for free)"),
    (style::EXTENTS_4, "extents-4"),
    (style::EXTENTS_2, "extents-2"),
    (curve_only(style::ADAPTIVE), "adaptive (shared alike)"),
    (curve_only(style::GOOD_FIT), "good-fit"),
    (curve_only(style::BIN_EXACT), "bin-exact"),
    (style::PUBLISHED_BEFORE, "published before"),
    (curve_only(style::BIN_CEIL), "bin-ceil"),
    (style::PUBLISHED_AFTER, "published after"),
    (curve_only(style::BUDDY), "buddy"),
];

fn draw(data: &Data) -> anyhow::Result<String> {
    style::svg(SIZE, |figure| {
        let title = "Random sizes: how often utilization is at or below a value";
        let body = style::titled(figure, title)?;
        let (width, _) = body.dim_in_pixel();
        let (panel, strip) = body.split_horizontally(width - LEGEND_WIDTH);
        let mut chart = ChartBuilder::on(&panel)
            .margin(10)
            .margin_right(20)
            .x_label_area_size(50)
            .y_label_area_size(70)
            .build_cartesian_2d(0.5..1.0, 0.0..100.0)
            .map_err(failed)?;
        style::mesh(&mut chart, 13, 15)
            .x_labels(11)
            .y_labels(11)
            .x_desc("utilization")
            .y_desc("operations at or below (%)")
            .x_label_formatter(&|share| format!("{share:.2}"))
            .y_label_formatter(&|percent| format!("{percent:.0}"))
            .draw()
            .map_err(failed)?;
        let at = |point| chart.plotting_area().map_coordinate(&point);
        for series in MEASURED {
            let curve = data
                .run("random", series.name)
                .map(|run| run.list("utilization_curve"));
            let points = curve.into_iter().flatten().enumerate();
            let drawn = points.filter(|(percent, _)| is_drawn(*percent));
            let pixels: Vec<_> = drawn
                .map(|(percent, share)| at((share, percent as f64)))
                .collect();
            curve_only(series).draw(figure, &pixels)?;
        }
        for (series, figures) in PUBLISHED {
            let shares = figures.utilization;
            let points = [
                (shares.min, 0.0),
                (shares.p99, 1.0),
                (shares.p90, 10.0),
                (shares.p50, 50.0),
                (shares.max, 100.0),
            ];
            series.draw(figure, &points.map(at))?;
        }
        let (x, y) = strip.get_pixel_range();
        style::legend(figure, (x.start + 6, y.start + 40), &LEGEND)
    })
}

/// A hundred markers would hide the curve.
const fn curve_only(series: Series) -> Series {
    Series {
        marker: Marker::None,
        ..series
    }
}

/// Picks the points that a curve needs: dense at the bent ends, sparse where it is nearly straight,
/// because points a pixel apart turn rounding to pixels into waves.
const fn is_drawn(percent: usize) -> bool {
    percent.is_multiple_of(5) || percent <= 2 || percent >= 98
}
