//! Time until a pool can be used, a bar per tier and number of workers.

use mc_bench::published;
use mc_bench::workload::populate::{SUBJECTS, WORKERS};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::data::Data;

use super::Figure;
use super::style::{self, Area, failed};

pub(crate) const POPULATION_TIME: Figure = Figure {
    file: "population-time.svg",
    caption: "Time until a pool of 1 GiB can be used, by pages and workers",
    draw,
};

const SIZE: (u32, u32) = (1080, 380);

/// Half the height of a bar, where a bar and the space around it have the height 1.
const BAR_HALF: f64 = 0.32;

/// One bar.
struct Bar {
    name: String,
    milliseconds: f64,
    color: RGBColor,
}

fn draw(data: &Data) -> anyhow::Result<String> {
    let bars = bars(data);
    let longest = bars.iter().map(|bar| bar.milliseconds).fold(1.0, f64::max);
    style::svg(SIZE, |figure| {
        let title = "Population: time until a pool of 1 GiB can be used";
        let body = style::titled(figure, title)?;
        let mut chart = ChartBuilder::on(&body)
            .margin(10)
            .margin_right(60)
            .x_label_area_size(50)
            .y_label_area_size(230)
            .build_cartesian_2d(0.0..longest * 1.1, 0.0..bars.len() as f64)
            .map_err(failed)?;
        style::mesh(&mut chart, 13, 15)
            .disable_y_mesh()
            .y_labels(0)
            .x_desc("milliseconds")
            .x_label_formatter(&|time| format!("{time:.0}"))
            .draw()
            .map_err(failed)?;
        let at = |point| chart.plotting_area().map_coordinate(&point);
        for (index, bar) in bars.iter().enumerate() {
            let middle = (bars.len() - index) as f64 - 0.5;
            let corners = [
                at((0.0, middle + BAR_HALF)),
                at((bar.milliseconds, middle - BAR_HALF)),
            ];
            draw_bar(figure, bar, corners)?;
        }
        Ok(())
    })
}

/// Draws a bar between two corners, its name to the left and its number to the right.
fn draw_bar(figure: &Area<'_>, bar: &Bar, corners: [(i32, i32); 2]) -> anyhow::Result<()> {
    let [(left, top), (right, bottom)] = corners;
    let middle = i32::midpoint(top, bottom);
    let rectangle = Rectangle::new([(left, top), (right, bottom)], bar.color.filled());
    figure.draw(&rectangle).map_err(failed)?;
    let beside = |side| style::text(14).pos(Pos::new(side, VPos::Center));
    figure
        .draw_text(&bar.name, &beside(HPos::Right), (left - 10, middle))
        .map_err(failed)?;
    let number = format!("{:.0}", bar.milliseconds);
    figure
        .draw_text(&number, &beside(HPos::Left), (right + 8, middle))
        .map_err(failed)
}

/// Returns the published time and the measured ones, from top to bottom.
fn bars(data: &Data) -> Vec<Bar> {
    let mut bars = vec![Bar {
        name: "published, base pages".to_owned(),
        milliseconds: published::POPULATION_MS,
        color: style::PUBLISHED_BEFORE.color,
    }];
    for entry in SUBJECTS {
        for (workers, color) in WORKERS.into_iter().zip([style::GOOD_FIT, style::SHARED]) {
            let row = [("workers", workers.get() as u64)];
            let run = data.run_where("populate", entry.name, &row);
            let time = run.and_then(|run| run.number("milliseconds"));
            let plural = if workers.get() == 1 { "" } else { "s" };
            bars.extend(time.map(|milliseconds| Bar {
                name: format!("{}, {workers} worker{plural}", entry.name),
                milliseconds,
                color: color.color,
            }));
        }
    }
    bars
}
