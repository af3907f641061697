//! Token hit rate against capacity: the published design, ours, and the bound.

use plotters::prelude::*;

use crate::data::{Data, Run};

use super::Figure;
use super::style::{self, Series, failed};

pub(crate) const HIT_RATE: Figure = Figure {
    file: "replay-hit-rate.svg",
    caption: "Token hit rate by capacity, pages of 64 tokens in two parts",
    draw,
};

const SIZE: (u32, u32) = (860, 460);
const LAYOUT: &str = "dsa-pair";

/// Series in drawing order: how it is drawn, subject, eviction, and name in the legend.
const SERIES: [(Series, &str, &str, &str); 4] = [
    (
        style::ORACLE,
        "oracle",
        "lru",
        "published, compacted for free",
    ),
    (style::BIN_CEIL, "published", "lru", "published"),
    (
        style::ADAPTIVE,
        "adaptive",
        "lru",
        "published, but for placement and parts",
    ),
    (style::DEFAULT, "default", "window", "default"),
];

/// How the bound is called.
const BELADY: &str = "Belady, who knows the future";

/// Returns capacity in hundredths and token hit rate of a subject under an eviction, by capacity.
pub(crate) fn hit_rates(
    data: &Data,
    layout: &str,
    (subject, eviction): (&str, &str),
) -> Vec<(f64, f64)> {
    let is_asked = |run: &&Run| {
        run.text("layout") == Some(layout)
            && run.text("subject") == Some(subject)
            && run.text("eviction") == Some(eviction)
    };
    points(data.runs("replay").filter(is_asked), "token_hit_rate")
}

/// Returns capacity in hundredths and the bound of Belady, by capacity.
pub(crate) fn belady_rates(data: &Data, layout: &str) -> Vec<(f64, f64)> {
    let of_layout = |run: &&Run| run.text("layout") == Some(layout);
    let mut rates = points(data.runs("replay").filter(of_layout), "belady_hit_rate");
    rates.dedup_by_key(|(percent, _)| percent.round());
    rates
}

fn points<'a>(runs: impl Iterator<Item = &'a Run>, field: &str) -> Vec<(f64, f64)> {
    let point = |run: &Run| {
        let share = run.number("capacity_share")?;
        Some((100.0 * share, run.number(field)?))
    };
    let mut points: Vec<(f64, f64)> = runs.filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// Returns which share of a capacity a curve does without to reach a rate, or nothing where the curve
/// does not cross it between two of its points.
pub(crate) fn saved_share(curve: &[(f64, f64)], capacity: f64, rate: f64) -> Option<f64> {
    let crosses = |pair: &&[(f64, f64)]| pair[0].1 <= rate && rate <= pair[1].1;
    let pair = curve.windows(2).find(crosses)?;
    let [(low, low_rate), (high, high_rate)] = [pair[0], pair[1]];
    let part = if high_rate > low_rate {
        (rate - low_rate) / (high_rate - low_rate)
    } else {
        0.0
    };
    Some(1.0 - (low + part * (high - low)) / capacity)
}

fn draw(data: &Data) -> anyhow::Result<String> {
    let curves = || {
        let bound = (style::BELADY, BELADY, belady_rates(data, LAYOUT));
        let measured = SERIES.map(|(series, subject, eviction, name)| {
            (series, name, hit_rates(data, LAYOUT, (subject, eviction)))
        });
        std::iter::once(bound).chain(measured)
    };
    let rates = || curves().flat_map(|(_, _, curve)| curve);
    let low = rates().map(|(_, rate)| rate).fold(1.0, f64::min);
    let high = rates().map(|(_, rate)| rate).fold(0.0, f64::max);
    // Without data the range is that of all rates.
    let range = if low < high {
        low - 0.02..high + 0.02
    } else {
        0.0..1.0
    };
    let last = rates().map(|(percent, _)| percent).fold(1.0, f64::max);
    style::svg(SIZE, |figure| {
        let body = style::titled(figure, "Replay: token hit rate by capacity")?;
        let mut chart = ChartBuilder::on(&body)
            .margin(10)
            .margin_right(30)
            .x_label_area_size(50)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..last + 1.0, range)
            .map_err(failed)?;
        style::mesh(&mut chart, 13, 15)
            .x_labels(8)
            .y_labels(9)
            .x_desc("capacity (% of the bytes of all blocks)")
            .y_desc("token hit rate")
            .x_label_formatter(&|percent| format!("{percent:.0}"))
            .y_label_formatter(&|rate| format!("{rate:.2}"))
            .draw()
            .map_err(failed)?;
        let mut legend = Vec::new();
        for (series, name, curve) in curves() {
            let at = |point: &(f64, f64)| chart.plotting_area().map_coordinate(point);
            let pixels: Vec<(i32, i32)> = curve.iter().map(at).collect();
            series.draw(figure, &pixels)?;
            legend.push((series, name));
        }
        style::legend(figure, (520, 250), &legend)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_capacity_is_interpolated_between_points() {
        let curve = [(2.0, 0.1), (4.0, 0.3), (8.0, 0.3)];
        assert_eq!(saved_share(&curve, 4.0, 0.2), Some(0.25));
        assert_eq!(saved_share(&curve, 4.0, 0.3), Some(0.0));
        assert_eq!(saved_share(&curve, 4.0, 0.05), None);
        assert_eq!(saved_share(&curve, 4.0, 0.31), None);
    }
}
