//! What the workloads of several threads share: a section per scenario, and a panel of rates by threads.

use crate::number::with_spread;
use crate::page::chart::{Axis, Chart, Drawing, Panel, Series, Unit};
use crate::record::Document;
use crate::timing::Rate;

/// Name, heading and explanation of a scenario.
pub(super) type Scenario = (&'static str, &'static str, &'static str);

/// Returns a heading, the explanation and a table for each scenario that has one.
pub(super) fn sections(scenarios: &[Scenario], table: impl Fn(&str) -> Option<String>) -> String {
    let section = |(name, heading, explanation): &Scenario| {
        let table = table(name)?;
        Some(format!("### {heading}\n\n{explanation}\n\n{table}"))
    };
    let sections: Vec<String> = scenarios.iter().filter_map(section).collect();
    sections.join("\n")
}

/// Returns a rate in millions a second.
pub(super) fn millions(rate: &Rate) -> String {
    let million = |rate: f64| rate / 1e6;
    with_spread(
        million(rate.ops_per_second),
        rate.ops_per_second_spread.map(million),
    )
}

/// Draws a panel per scenario: rates by the number of threads, with a line at that of the cores.
pub(super) fn by_threads(
    title: &str,
    panels: &[&str],
    scenarios: &[Scenario],
    document: &Document,
    series: impl Fn(&str) -> Vec<Series>,
) -> Drawing {
    let cores = document.machine.cores;
    let panel = |name: &&str| {
        let heading = scenarios.iter().find(|(scenario, ..)| scenario == name);
        let heading = heading.map_or(*name, |(_, heading, _)| heading);
        let y = Axis::log("", Unit::Number);
        let panel = Panel::new(heading, Axis::log("threads", Unit::Number), y, series(name));
        Panel {
            rule: Some((cores as f64, format!("{cores} cores"))),
            ..panel
        }
    };
    Chart::drawing(title, panels.len(), panels.iter().map(panel).collect())
}
