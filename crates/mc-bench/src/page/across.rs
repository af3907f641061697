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
}

/// Returns the table of the appendix: utilization and time of all subjects beside what was published.
#[must_use]
pub fn table(workloads: &[Across]) -> String {
    let (utilization, time) = (
        utilization as fn(&Across, &str) -> String,
        time as fn(&Across, &str) -> String,
    );
    let halves = [
        ("Mean utilization", utilization, 0),
        ("ns per operation", time, 2),
    ];
    let tables = halves.map(|(heading, figure, first)| {
        let subjects = SUBJECTS.map(|(subject, _)| subject).join("|");
        let headings = format!("{heading} | *published before* | *published after* | {subjects}");
        let lines = workloads.iter().map(|workload| {
            let published = &workload.published[first..first + 2];
            let digits = if first == 0 { 4 } else { 0 };
            let mut cells = vec![workload.title.to_owned()];
            cells.extend(
                published
                    .iter()
                    .map(|one| cell(*one, |one| format!("{one:.digits$}"))),
            );
            cells.extend(SUBJECTS.map(|(subject, _)| figure(workload, subject)));
            cells
        });
        Table::of(&headings, lines)
    });
    tables.join("\n")
}

/// Returns the guide's table of what each fit holds.
#[must_use]
pub fn fits(workloads: &[Across]) -> String {
    fit_table(workloads, utilization)
}

/// Returns the guide's table of what each fit takes.
#[must_use]
pub fn fit_times(workloads: &[Across]) -> String {
    fit_table(workloads, time)
}

fn fit_table(workloads: &[Across], figure: fn(&Across, &str) -> String) -> String {
    let fits = &SUBJECTS[..FITS];
    let names: Vec<&str> = fits.iter().map(|(_, fit)| *fit).collect();
    let lines = workloads.iter().map(|workload| {
        let figures = fits.iter().map(|(subject, _)| figure(workload, subject));
        std::iter::once(workload.title.to_owned())
            .chain(figures)
            .collect()
    });
    Table::of(&format!("Workload | {}", names.join("|")), lines)
}

fn utilization(workload: &Across, subject: &str) -> String {
    cell(workload.utilization(subject), short_share)
}

fn time(workload: &Across, subject: &str) -> String {
    let time = workload.times.iter().find(|(name, _)| name == subject);
    let text = |time: &Timing| with_spread(time.ns_per_op, time.ns_per_op_spread);
    time.map_or("–".to_owned(), |(_, time)| text(time))
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
