//! Utilization of a full pool under churn by its number of segments: a panel per mix of sizes.

use plotters::prelude::*;

use crate::data::Data;

use super::Figure;
use super::style::{self, Area, Series, failed};

pub(crate) const UTILIZATION_BY_SEGMENTS: Figure = Figure {
    file: "strategies-utilization.svg",
    caption: "Mean utilization of a full pool by the number of its segments, 2 % evicted at random",
    draw,
};

const SIZE: (u32, u32) = (1080, 460);

/// Distance between the entries of the legend.
const LEGEND_STEP: i32 = 172;

/// Panels from left to right: the mix and its title.
const PANELS: [(&str, &str); 2] = [
    ("kv_mixed", "4 KiB, 256 KiB and 3.12 MiB"),
    ("dsa_pair", "3.12 MiB and 643 KiB"),
];

/// Series in drawing order.
const SERIES: [Series; 6] = [
    style::RANDOM_BIN_CEIL,
    style::RANDOM_SEGMENT,
    style::FREE_RATIO_FIRST,
    style::LOCAL_FIRST,
    style::CAPACITY_WEIGHTED,
    style::BEST_HOLE,
];

fn draw(data: &Data) -> anyhow::Result<String> {
    let means = PANELS.iter().flat_map(|(pattern, _)| {
        let curves = SERIES.iter();
        curves.flat_map(|series| curve(data, pattern, series.name))
    });
    let low = means.map(|(_, mean)| mean).fold(0.95, f64::min);
    let range = (low - 0.01)..1.0;
    let legend = (&SERIES[..], 40, LEGEND_STEP);
    style::svg(SIZE, |figure| {
        let title = "Mean utilization of a full pool under churn";
        style::panels(figure, title, &PANELS, legend, |area, pattern, title| {
            panel(figure, area, title, range.clone(), |name| {
                curve(data, pattern, name)
            })
        })
    })
}

fn panel(
    figure: &Area<'_>,
    area: &Area<'_>,
    title: &str,
    range: std::ops::Range<f64>,
    curve: impl Fn(&str) -> Vec<(f64, f64)>,
) -> anyhow::Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(title, style::text(15))
        .x_label_area_size(46)
        .y_label_area_size(52)
        .build_cartesian_2d(-0.1..2.1, range)
        .map_err(failed)?;
    style::mesh(&mut chart, 13, 15)
        .x_labels(3)
        .x_desc("segments")
        .x_label_formatter(&|log10: &f64| format!("{:.0}", 10_f64.powf(*log10)))
        .y_label_formatter(&|share| format!("{share:.2}"))
        .draw()
        .map_err(failed)?;
    for series in SERIES {
        let at = |point| chart.plotting_area().map_coordinate(&point);
        let pixels: Vec<_> = curve(series.name).into_iter().map(at).collect();
        series.draw(figure, &pixels)?;
    }
    Ok(())
}

/// Returns the logarithm of the number of segments and the mean utilization.
fn curve(data: &Data, pattern: &str, subject: &str) -> Vec<(f64, f64)> {
    let is_asked = |run: &&crate::data::Run| {
        run.text("pattern") == Some(pattern)
            && run.text("eviction") == Some("random")
            && run.text("subject") == Some(subject)
            && run.text("skewed") == Some("no")
            && run.count("replicas") == Some(1)
    };
    let runs = data.runs("strategies").filter(is_asked);
    runs.filter_map(|run| {
        let segments = run.number("segments")?;
        Some((segments.log10(), run.number("utilization_mean")?))
    })
    .collect()
}
