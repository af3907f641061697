//! What a thread waits for at most and in one of a thousand calls, beside each aggressor and beside a
//! thread that only computes: a row of points per aggressor at the most objects measured.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::data::{Data, Run};

use super::Figure;
use super::style::{self, Series, failed};

pub(crate) const STALL: Figure = Figure {
    file: "stall.svg",
    caption: "The longest call and the 99.9th percentile of a thread beside each aggressor",
    draw,
};

const SIZE: (u32, u32) = (1080, 460);

/// Distance between the entries of the legend.
const LEGEND_STEP: i32 = 230;

/// The series and the field that each shows.
const POINTS: [(Series, &str); 4] = [
    (style::VICTIM_MAX, "victim_max_ns"),
    (style::VICTIM_P999, "victim_p999_ns"),
    (style::CONTROL_MAX, "control_max_ns"),
    (style::CONTROL_P999, "control_p999_ns"),
];

const TICKS_MICROSECONDS: [f64; 7] = [0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

fn draw(data: &Data) -> anyhow::Result<String> {
    let rows = rows(data);
    let objects = rows.first().and_then(|run| run.count("objects"));
    let title = format!(
        "Calls of a thread beside an aggressor at {} objects",
        objects.unwrap_or_default()
    );
    let times = || {
        rows.iter()
            .flat_map(|run| POINTS.iter().filter_map(|(_, field)| time(run, field)))
    };
    let low = times().fold(1.0, f64::min) * 0.8;
    let high = times().fold(10.0, f64::max) * 1.25;
    let series = POINTS.map(|(series, _)| series);
    let legend = (&series[..], 100, LEGEND_STEP);
    style::svg(SIZE, |figure| {
        style::panels(figure, &title, &[("", "")], legend, |area, _, _| {
            let ticks = TICKS_MICROSECONDS.into_iter();
            let ticks = ticks.filter(|tick| (low..high).contains(tick)).collect();
            let mut chart = ChartBuilder::on(area)
                .margin(10)
                .margin_right(40)
                .x_label_area_size(50)
                .y_label_area_size(180)
                .build_cartesian_2d(
                    (low..high).log_scale().with_key_points(ticks),
                    0.0..rows.len().max(1) as f64,
                )
                .map_err(failed)?;
            style::mesh(&mut chart, 13, 15)
                .disable_y_mesh()
                .y_labels(0)
                .x_desc("microseconds, each step tenfold")
                .x_label_formatter(&|time| format!("{time}"))
                .draw()
                .map_err(failed)?;
            for (index, run) in rows.iter().enumerate() {
                let middle = (rows.len() - index) as f64 - 0.5;
                let at = |time| chart.plotting_area().map_coordinate(&(time, middle));
                let (left, y) = at(low);
                let name = run.text("aggressor").unwrap_or_default();
                let style = style::text(14).pos(Pos::new(HPos::Right, VPos::Center));
                figure
                    .draw_text(name, &style, (left - 10, y))
                    .map_err(failed)?;
                for (series, field) in POINTS {
                    let points: Vec<_> = time(run, field).map(at).into_iter().collect();
                    series.draw(figure, &points)?;
                }
            }
            Ok(())
        })
    })
}

/// Returns the runs with the most objects, in the order of the aggressors.
fn rows(data: &Data) -> Vec<&Run> {
    let objects = |run: &&Run| run.count("objects");
    let most = data.runs("stall").filter_map(|run| objects(&run)).max();
    data.runs("stall")
        .filter(|run| objects(run) == most)
        .collect()
}

fn time(run: &Run, field: &str) -> Option<f64> {
    Some(run.number(field)? / 1e3)
}
