//! Throughput by threads: three scenarios of a workload side by side, both axes logarithmic.

use plotters::prelude::*;

use crate::data::Data;

use super::Figure;
use super::style::{self, Area, Series, failed};

pub(crate) const THROUGHPUT_BY_THREADS: Figure = Figure {
    file: "concurrency-throughput.svg",
    caption: "Operations per second of all threads by their number, in three scenarios",
    draw: |data| CONCURRENCY.draw(data),
};

pub(crate) const STORE_THROUGHPUT: Figure = Figure {
    file: "store-throughput.svg",
    caption: "Keys per second of all threads by their number, of the store and of caches",
    draw: |data| STORE.draw(data),
};

/// What one of the figures shows.
struct Plot {
    workload: &'static str,
    title: &'static str,
    /// Panels from left to right: the scenario and its title.
    panels: [(&'static str, &'static str); 3],
    /// Series in drawing order.
    series: [Series; 4],
}

const CONCURRENCY: Plot = Plot {
    workload: "concurrency",
    title: "Million operations per second of all threads",
    panels: [
        ("successful_allocate_free", "One small object"),
        ("churn", "A large live set"),
        ("remote_free", "Freed by another thread"),
    ],
    series: [
        style::OFFSET_ALLOCATOR,
        style::MUTEX,
        style::SLOTS,
        style::SHARED,
    ],
};

const STORE: Plot = Plot {
    workload: "store",
    title: "Million keys per second of all threads",
    panels: [
        ("get_hit", "Reads that hit"),
        ("get_or_put", "Reads of twice what fits"),
        ("get_many", "Reads of 32 keys at once"),
    ],
    series: [
        style::FOYER_MEMORY,
        style::MOKA,
        style::QUICK_CACHE,
        style::MC_STORE,
    ],
};

const SIZE: (u32, u32) = (1080, 460);

/// Distance between the entries of the legend.
const LEGEND_STEP: i32 = 190;

const TICKS_MILLIONS: [f64; 13] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0,
];

impl Plot {
    fn draw(&self, data: &Data) -> anyhow::Result<String> {
        let rates = || {
            self.panels.iter().flat_map(|(scenario, _)| {
                self.series
                    .iter()
                    .flat_map(|series| self.curve(data, scenario, series.name))
            })
        };
        let low = rates().map(|(_, rate)| rate).fold(f64::MAX, f64::min);
        let high = rates().map(|(_, rate)| rate).fold(1.0, f64::max);
        // Without data the range is empty and takes the place of any.
        let range = (low.min(high) * 0.8)..(high * 1.25);
        let legend = (&self.series[..], 180, LEGEND_STEP);
        style::svg(SIZE, |figure| {
            let (title, panels) = (self.title, &self.panels);
            style::panels(figure, title, panels, legend, |area, scenario, title| {
                self.panel(figure, area, title, range.clone(), |name| {
                    self.curve(data, scenario, name)
                })
            })
        })
    }

    fn panel(
        &self,
        figure: &Area<'_>,
        area: &Area<'_>,
        title: &str,
        range: std::ops::Range<f64>,
        curve: impl Fn(&str) -> Vec<(f64, f64)>,
    ) -> anyhow::Result<()> {
        let ticks = TICKS_MILLIONS
            .into_iter()
            .filter(|tick| range.contains(tick));
        let rates = range.clone().log_scale().with_key_points(ticks.collect());
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .caption(title, style::text(15))
            .x_label_area_size(46)
            .y_label_area_size(46)
            .build_cartesian_2d(-0.2..4.2, rates)
            .map_err(failed)?;
        style::mesh(&mut chart, 13, 15)
            .x_labels(5)
            .x_desc("threads")
            .x_label_formatter(&|log2: &f64| format!("{:.0}", log2.exp2()))
            .y_label_formatter(&|rate| format!("{rate}"))
            .draw()
            .map_err(failed)?;
        for series in self.series {
            let at = |point| chart.plotting_area().map_coordinate(&point);
            let pixels: Vec<_> = curve(series.name).into_iter().map(at).collect();
            series.draw(figure, &pixels)?;
        }
        Ok(())
    }

    /// Returns the logarithm of the number of threads and million operations per second.
    fn curve(&self, data: &Data, scenario: &str, subject: &str) -> Vec<(f64, f64)> {
        let is_asked = |run: &&crate::data::Run| {
            run.text("scenario") == Some(scenario) && run.text("subject") == Some(subject)
        };
        let runs = data.runs(self.workload).filter(is_asked);
        runs.filter_map(|run| {
            let threads = run.number("threads")?;
            Some((threads.log2(), run.number("ops_per_second")? / 1e6))
        })
        .collect()
    }
}
