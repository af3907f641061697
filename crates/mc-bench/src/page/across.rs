//! Tables and a figure that compare allocators over all workloads that place objects.

use crate::number::{cell, short_share, with_spread};
use crate::timing::Timing;

use super::chart::{Axis, Chart, Drawing, Mark, Panel, Series};
use super::markdown::Table;

/// One workload in the comparison.
#[derive(Clone, Debug)]
pub struct Across {
    /// Its sizes, in words.
    pub title: &'static str,
    /// What the published page says of it: utilization before and after, nanoseconds before and after.
    pub published: [Option<f64>; 4],
    /// Utilization by subject: the mean, or the worst share of the bound where all sizes are equal.
    pub utilization: Vec<(String, f64)>,
    /// Time by subject.
    pub times: Vec<(String, Timing)>,
}

/// The subjects of the comparison, and what the guide calls those that are fits.
const SUBJECTS: [(&str, &str); 8] = [
    ("bin-exact", "`BinExact`"),
    ("bin-ceil", "`BinCeil`"),
    ("good-fit", "`GOOD`"),
    ("adaptive", "`Adaptive`"),
    ("shared", ""),
    ("offset-allocator", ""),
    ("range-alloc", ""),
    ("oracle", ""),
];

/// How many of them are fits.
const FITS: usize = 4;

/// What the figure shows.
const DRAWN: [&str; 8] = [
    "buddy",
    "bin-exact",
    "bin-ceil",
    "good-fit",
    "adaptive",
    "extents-2",
    "extents-4",
    "oracle",
];

impl Across {
    fn utilization(&self, subject: &str) -> Option<f64> {
        let mut all = self.utilization.iter();
        all.find(|(name, _)| name == subject)
            .map(|(_, share)| *share)
    }

    fn time(&self, subject: &str) -> Option<String> {
        let mut all = self.times.iter();
        let time = all.find(|(name, _)| name == subject).map(|(_, time)| time);
        time.map(|time| with_spread(time.ns_per_op, time.ns_per_op_spread))
    }
}

/// Returns the table of the appendix: utilization and time of all subjects beside what was published.
#[must_use]
pub fn table(workloads: &[Across]) -> String {
    let mut headings = vec![
        "Mean utilization",
        "*published before*",
        "*published after*",
    ];
    headings.extend(SUBJECTS.map(|(subject, _)| subject));
    let utilization = workloads.iter().map(|workload| {
        let mut cells = vec![workload.title.to_owned()];
        cells.extend(
            workload.published[..2]
                .iter()
                .map(|share| cell(*share, short_share)),
        );
        cells.extend(SUBJECTS.map(|(subject, _)| cell(workload.utilization(subject), short_share)));
        cells
    });
    let utilization = Table::of(&headings, utilization);
    headings[0] = "ns per operation";
    let times = workloads.iter().map(|workload| {
        let mut cells = vec![workload.title.to_owned()];
        cells.extend(
            workload.published[2..]
                .iter()
                .map(|time| cell(*time, |time| format!("{time:.0}"))),
        );
        cells.extend(SUBJECTS.map(|(subject, _)| dash(workload.time(subject))));
        cells
    });
    format!("{utilization}\n{}", Table::of(&headings, times))
}

/// Returns the guide's table of what each fit holds.
#[must_use]
pub fn fits(workloads: &[Across]) -> String {
    fit_table(workloads, |workload, subject| {
        cell(workload.utilization(subject), short_share)
    })
}

/// Returns the guide's table of what each fit takes.
#[must_use]
pub fn fit_times(workloads: &[Across]) -> String {
    fit_table(workloads, |workload, subject| dash(workload.time(subject)))
}

fn fit_table(workloads: &[Across], figure: impl Fn(&Across, &str) -> String) -> String {
    let fits = &SUBJECTS[..FITS];
    let headings: Vec<&str> = std::iter::once("Workload")
        .chain(fits.iter().map(|(_, fit)| *fit))
        .collect();
    let lines = workloads.iter().map(|workload| {
        let mut cells = vec![workload.title.to_owned()];
        cells.extend(fits.iter().map(|(subject, _)| figure(workload, subject)));
        cells
    });
    Table::of(&headings, lines)
}

/// Returns the figure: a row per workload, a marker per subject. The bound is that of compaction for free.
#[must_use]
pub fn drawing(workloads: &[Across]) -> Drawing {
    let names = workloads.iter().map(|workload| workload.title.to_owned());
    let series = DRAWN.map(|subject| {
        let rows = (0_u32..).map(f64::from).zip(workloads);
        let points = rows.filter_map(|(row, workload)| Some((workload.utilization(subject)?, row)));
        let label = if subject == "oracle" {
            "bound: compacts for free"
        } else {
            subject
        };
        Series::new(subject, Mark::Points, points.collect()).labelled(label)
    });
    let x = Axis::linear(
        "mean utilization; of equal sizes the worst share of what is possible",
        0.5,
        Some(1.0),
    );
    let panel = Panel::new("", x, Axis::rows(names.collect()), series.into());
    Chart::drawing("What a full pool holds", 1, vec![panel])
}

fn dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}
