//! Mean utilization of the subjects under every workload that has more than one size.

use plotters::prelude::*;

use crate::data::Data;

use super::Figure;
use super::style::{self, Line, Marker, Series, failed};

pub(crate) const MEAN_BY_WORKLOAD: Figure = Figure {
    file: "mean-utilization.svg",
    caption: "Mean utilization of the subjects by workload",
    draw,
};

const SIZE: (u32, u32) = (1080, 520);

/// Width of the strip on the right that holds the legend.
const LEGEND_WIDTH: u32 = 270;

const WORKLOADS: [&str; 5] = ["random", "paired", "pages", "loguniform", "bimodal"];

/// Series from left to right within a workload.
const SERIES: [Series; 8] = [
    style::BUDDY,
    style::BIN_EXACT,
    style::BIN_CEIL,
    style::GOOD_FIT,
    style::ADAPTIVE,
    marked(style::EXTENTS_2, Marker::OpenSquare),
    marked(style::EXTENTS_4, Marker::Square),
    marked(style::ORACLE, Marker::Diamond),
];

/// Distance of two series, where that of two workloads is one.
const STEP: f64 = 0.1;

fn draw(data: &Data) -> anyhow::Result<String> {
    style::svg(SIZE, |figure| {
        let body = style::titled(figure, "Mean utilization by workload")?;
        let (width, _) = body.dim_in_pixel();
        let (panel, strip) = body.split_horizontally(width - LEGEND_WIDTH);
        let last = WORKLOADS.len() as f64 - 0.5;
        let mut chart = ChartBuilder::on(&panel)
            .margin(10)
            .margin_right(20)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(-0.5..last, 0.6..1.0)
            .map_err(failed)?;
        style::mesh(&mut chart, 13, 15)
            .disable_x_mesh()
            .x_labels(0)
            .y_labels(9)
            .y_desc("mean utilization")
            .y_label_formatter(&|share| format!("{share:.2}"))
            .draw()
            .map_err(failed)?;
        for (position, workload) in (0_u8..).map(f64::from).zip(WORKLOADS) {
            let (x, y) = chart.plotting_area().map_coordinate(&(position, 0.6));
            figure
                .draw_text(workload, &style::centered(15), (x, y + 20))
                .map_err(failed)?;
            for (index, series) in (0_u8..).map(f64::from).zip(SERIES) {
                let mean = data.run(workload, series.name);
                let Some(mean) = mean.and_then(|run| run.number("utilization_mean")) else {
                    continue;
                };
                let offset = (index - (SERIES.len() - 1) as f64 / 2.0) * STEP;
                let at = |share| {
                    let point = (position + offset, share);
                    chart.plotting_area().map_coordinate(&point)
                };
                // The axis does not begin at zero: a stem ties a marker to its workload, no more.
                let stem = PathElement::new([at(0.6), at(mean)], series.color.stroke_width(2));
                figure.draw(&stem).map_err(failed)?;
                series.draw(figure, &[at(mean)])?;
            }
        }
        let (x, y) = strip.get_pixel_range();
        let legend: Vec<_> = SERIES
            .into_iter()
            .map(|series| (marked(series, series.marker), series.name))
            .collect();
        style::legend(figure, (x.start + 6, y.start + 40), &legend)
    })
}

const fn marked(series: Series, marker: Marker) -> Series {
    Series {
        marker,
        line: Line::None,
        ..series
    }
}
