//! The headline: for the page all placements beside the published figures, for the README what counts for a
//! user beside the published design and what is in use today.

use mc_bench::published::{self, UNIFORM, UniformRow};
use mc_bench::stats::geometric_mean;

use crate::data::Data;
use crate::figures::{belady_rates, hit_rates};

use super::markdown::{Table, cell, nanoseconds, share};

const BEGIN: &str = "<!-- headline:begin -->\n";
const END: &str = "<!-- headline:end -->";

const SUBJECTS: [&str; 5] = ["bin-ceil", "good-fit", "adaptive", "shared", "oracle"];

/// Workloads without published figures, with their titles.
const UNPUBLISHED: [(&str, &str); 3] = [
    ("Pages, 20 to 100 of 128 KiB: mean utilization", "pages"),
    (
        "Log-uniform 1 KiB to 64 MiB: mean utilization",
        "loguniform",
    ),
    ("Bimodal 256 B to 1.25 GiB: mean utilization", "bimodal"),
];

/// Returns a text with the table between its markers, or nothing when it has no markers.
pub(super) fn replace(readme: &str, data: &Data) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", summary(data)))
}

/// Capacity of the hits in the README, in hundredths of the bytes of all blocks.
const HITS_PERCENT: f64 = 5.0;

/// Returns the table of the README.
fn summary(data: &Data) -> String {
    let headings = [
        "",
        "Published design",
        "In use today",
        "These crates",
        "Bound",
    ];
    let mut table = Table::new(&headings);
    let mut row = |title: &str, figures: [Option<f64>; 4], format: fn(f64) -> String| {
        let figures = figures.map(|figure| cell(figure, format));
        table.row(&[&[title.to_owned()], &figures[..]].concat());
    };
    row(
        "Hits: tokens of conversations found, memory for 5 % of their blocks",
        [
            hits(&hit_rates(data, "mixed", ("published", "lru"))),
            None,
            hits(&hit_rates(data, "mixed", ("default", "window"))),
            hits(&belady_rates(data, "mixed")),
        ],
        |rate| format!("{rate:.3}"),
    );
    row(
        "Utilization: random sizes, 1 KiB to 64 MiB",
        ["bin-ceil", "offset-allocator", "adaptive", "oracle"]
            .map(|subject| figure(data, "random", subject, "utilization_mean")),
        |share| format!("{share:.3}"),
    );
    row(
        "Time: allocate and free, uniform sizes, one thread (ns)",
        [
            mean_time_measured(data, "bin-ceil"),
            mean_time_measured(data, "offset-allocator"),
            mean_time_measured(data, "shared"),
            None,
        ],
        nanoseconds,
    );
    row(
        "Threads: placements by two, a large live set (millions per second)",
        [
            None,
            two_threads(data, "concurrency", "offset-allocator", "churn"),
            two_threads(data, "concurrency", "shared", "churn"),
            None,
        ],
        |millions| format!("{millions:.1}"),
    );
    row(
        "Threads: reads of stored objects by two (millions per second)",
        [
            None,
            two_threads(data, "store", "quick_cache", "get_hit"),
            two_threads(data, "store", "mc-store", "get_hit"),
            None,
        ],
        |millions| format!("{millions:.1}"),
    );
    format!("{}{SUMMARY_LEGEND}", table.finish())
}

/// Returns the rate at the capacity of the README.
fn hits(rates: &[(f64, f64)]) -> Option<f64> {
    let is_asked = |(percent, _): &&(f64, f64)| (percent - HITS_PERCENT).abs() < 0.01;
    rates.iter().find(is_asked).map(|(_, rate)| *rate)
}

/// Returns what two threads do in a scenario, in millions per second.
fn two_threads(data: &Data, workload: &str, subject: &str, scenario: &str) -> Option<f64> {
    let mut runs = data.runs(workload);
    let run = runs.find(|run| {
        (run.text("subject"), run.text("scenario")) == (Some(subject), Some(scenario))
            && run.count("threads") == Some(2)
    })?;
    Some(run.number("ops_per_second")? / 1e6)
}

const SUMMARY_LEGEND: &str = "
The published design is replayed and measured here, in Rust, on the same machine. In use today are the crate
`offset-allocator`, behind a mutex where there are two threads, and the cache `quick_cache`, which holds values
and places nothing: it reads faster. Bounds: a clairvoyant policy (Belady), and an allocator that compacts for
free.
";

/// Returns the table of the page.
pub(super) fn table(data: &Data) -> String {
    let mut headings = vec!["Workload", "Published before", "Published after"];
    headings.extend(SUBJECTS);
    let mut table = Table::new(&headings);
    let mut row = |title: &str, published: [Option<f64>; 2], measured: [Option<f64>; 5], format| {
        let mut cells = vec![title.to_owned()];
        cells.extend(
            published
                .into_iter()
                .chain(measured)
                .map(|figure| cell(figure, format)),
        );
        table.row(&cells);
    };
    row(
        "Uniform, worst of 55 sizes: minimum utilization / bound",
        [
            worst(data, |row| row.before.utilization_min),
            worst(data, |row| row.after.utilization_min),
        ],
        SUBJECTS.map(|subject| worst_measured(data, subject)),
        share,
    );
    row(
        "Random 1 KiB to 64 MiB: mean utilization",
        [published::RANDOM_BEFORE, published::RANDOM_AFTER].map(|row| Some(row.utilization.mean)),
        SUBJECTS.map(|subject| figure(data, "random", subject, "utilization_mean")),
        share,
    );
    row(
        "Paired 3.12 MiB + 643 KiB: mean utilization",
        [None, Some(published::PAIRED.utilization.mean)],
        SUBJECTS.map(|subject| figure(data, "paired", subject, "utilization_mean")),
        share,
    );
    for (title, workload) in UNPUBLISHED {
        let measured = SUBJECTS.map(|subject| figure(data, workload, subject, "utilization_mean"));
        row(title, [None, None], measured, share);
    }
    row(
        "Uniform: ns per operation, geometric mean",
        [
            mean_time(|row| row.before.ns_per_op),
            mean_time(|row| row.after.ns_per_op),
        ],
        SUBJECTS.map(|subject| mean_time_measured(data, subject)),
        nanoseconds,
    );
    row(
        "Random: ns per operation",
        [published::RANDOM_BEFORE, published::RANDOM_AFTER].map(|row| Some(row.ns_per_op)),
        SUBJECTS.map(|subject| figure(data, "random", subject, "ns_per_op")),
        nanoseconds,
    );
    row(
        "Paired: ns per operation",
        [None, Some(published::PAIRED.ns_per_op)],
        SUBJECTS.map(|subject| figure(data, "paired", subject, "ns_per_op")),
        nanoseconds,
    );
    format!("{}{LEGEND}", table.finish())
}

const LEGEND: &str = "
`bin-ceil` is the published policy in this workspace, `adaptive` the default, `good-fit` the default
without its guidance by recent sizes, `shared` the default behind thread-safe handles. `oracle`
compacts for free: its utilization is the bound, its time that of the harness. Published times are of
another machine.
";

fn figure(data: &Data, workload: &str, subject: &str, field: &str) -> Option<f64> {
    data.run(workload, subject)?.number(field)
}

/// Returns the smallest share of its bound that a published row reaches, of the rows measured.
fn worst(data: &Data, published: fn(&UniformRow) -> f64) -> Option<f64> {
    let shares = UNIFORM.iter().filter_map(|row| {
        let run = data.sized_run("uniform", "oracle", row.size_bytes)?;
        // Published digits end after the sixth, so a row can seem to exceed its bound.
        Some((published(row) / run.number("utilization_bound")?).min(1.0))
    });
    shares.reduce(f64::min)
}

fn worst_measured(data: &Data, subject: &str) -> Option<f64> {
    let runs = data
        .runs("uniform")
        .filter(|run| run.text("subject") == Some(subject));
    let shares = runs
        .filter_map(|run| Some(run.number("utilization_min")? / run.number("utilization_bound")?));
    shares.reduce(f64::min)
}

fn mean_time(published: fn(&UniformRow) -> f64) -> Option<f64> {
    geometric_mean(UNIFORM.iter().map(published))
}

fn mean_time_measured(data: &Data, subject: &str) -> Option<f64> {
    let runs = data
        .runs("uniform")
        .filter(|run| run.text("subject") == Some(subject));
    geometric_mean(runs.filter_map(|run| run.number("ns_per_op")))
}
