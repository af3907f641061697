//! Utilization against the mean age of the victims, one point per way to choose them.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::data::Data;

use super::Figure;
use super::style::{self, Line, Marker, Series, failed};

pub(crate) const EVICTION: Figure = Figure {
    file: "evict-utilization.svg",
    caption: "Mean utilization of the evict workload against the mean age of the victims",
    draw,
};

const SIZE: (u32, u32) = (860, 460);

const SERIES: [Series; 4] = [
    point("random", style::BUDDY, Marker::Ring),
    point("lru", style::BIN_CEIL, Marker::Triangle),
    point("window", style::GOOD_FIT, Marker::Circle),
    point("window-age", style::ADAPTIVE, Marker::Diamond),
];

/// Room on either side of the ages, in operations.
const AGE_MARGIN: f64 = 1.0;

fn draw(data: &Data) -> anyhow::Result<String> {
    let points: Vec<(Series, f64, f64)> = SERIES
        .iter()
        .filter_map(|&series| {
            let run = data.run("evict", series.name)?;
            let (age, mean) = ("victim_age_mean", "utilization_mean");
            Some((series, run.number(age)?, run.number(mean)?))
        })
        .collect();
    let ages = || points.iter().map(|&(_, age, _)| age);
    let first = (ages().fold(f64::MAX, f64::min) - AGE_MARGIN).floor();
    let last = (ages().fold(f64::MIN, f64::max) + AGE_MARGIN).ceil();
    style::svg(SIZE, |figure| {
        let body = style::titled(figure, "Evict: what each choice of victims keeps")?;
        let mut chart = ChartBuilder::on(&body)
            .margin(10)
            .margin_right(30)
            .x_label_area_size(50)
            .y_label_area_size(70)
            .build_cartesian_2d(first..last, 0.84..1.0)
            .map_err(failed)?;
        style::mesh(&mut chart, 13, 15)
            .x_labels(8)
            .y_labels(9)
            .x_desc("mean age of the victims (operations)")
            .y_desc("mean utilization")
            .x_label_formatter(&|age| format!("{age:.1}"))
            .y_label_formatter(&|share| format!("{share:.2}"))
            .draw()
            .map_err(failed)?;
        for &(series, age, mean) in &points {
            let (x, y) = chart.plotting_area().map_coordinate(&(age, mean));
            series.draw(figure, &[(x, y)])?;
            // Random and least recently used victims lie close: one label above, the other below.
            let (dy, anchor) = if series.name == "lru" {
                (12, VPos::Top)
            } else {
                (-10, VPos::Bottom)
            };
            let label = style::text(14).pos(Pos::new(HPos::Center, anchor));
            let text = format!("{}: {mean:.3} at age {age:.1}", series.name);
            figure
                .draw_text(&text, &label, (x, y + dy))
                .map_err(failed)?;
        }
        Ok(())
    })
}

const fn point(name: &'static str, like: Series, marker: Marker) -> Series {
    Series {
        name,
        marker,
        line: Line::None,
        ..like
    }
}
