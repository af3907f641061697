//! The section on several threads: one table per scenario.

use crate::data::{Data, Run};
use crate::figures;

use super::Section;
use super::markdown::{Table, grouped};

pub(super) const SECTION: Section = Section {
    workload: "concurrency",
    text,
    figures: &[figures::THROUGHPUT_BY_THREADS],
};

const INTRODUCTION: &str = "\
## Several threads

All threads share one allocator and do nothing else. `shared` is the allocator with a magazine of
freed blocks for each thread, `mutex` the same core behind one lock, `slots` the allocator of equal
slots, and `offset-allocator` the crate behind one lock. Threads are pinned to the cores in turn,
warm up with 1,000 operations and start together; beyond the number of cores they take turns.

**M op/s** is millions of operations per second of all threads, from the first operation of the first
thread to the last of the last, without a clock in the loop: the median of three rounds of 100,000
operations per thread, or more where that takes less than 50 ms. The percentiles are of a run of
their own that reads the clock around each operation, which adds about 25 ns.
";

/// Heading and explanation of each scenario, by its name.
const SCENARIOS: [(&str, &str, &str); 6] = [
    (
        "successful_allocate_free",
        "One small object",
        "Each thread allocates 4 KiB and frees it at once, in an empty pool of 1 GiB. No more objects \
         are live than threads run.",
    ),
    (
        "churn",
        "A large live set",
        "Each thread keeps 4,096 objects of 4, 16, 64 or 256 KiB and replaces one of them, at random, \
         by one of a random size. The pool is 512 MiB for each thread, two thirds of it live.",
    ),
    (
        "remote_free",
        "Freed by another thread",
        "Half of the threads allocate 4 KiB and hand the objects, 64 at a time, through bounded \
         channels to the other half, which free them. One thread alone does both. An operation is an \
         object; its two calls are timed one by one, without the channel.",
    ),
    (
        "capacity_failed",
        "Refusals in a full pool",
        "Nine tenths of 1 GiB are live, and 128 MiB are asked for. Against a flag that says no, such \
         numbers measure a load and a comparison.",
    ),
    (
        "fragmentation_failed",
        "Refusals in a fragmented pool",
        "1 GiB full of blocks of 4 MiB of which every fifth is free: 128 MiB are free in all, but not \
         in one hole.",
    ),
    (
        "high_water_mixed",
        "A mix",
        "In the full pool, 5 % of the requests are for 128 MiB and are refused; the others are for \
         4 KiB and freed at once. A refusal empties every magazine first, so that none is wrong.",
    ),
];

fn text(data: &Data) -> String {
    let mut text = INTRODUCTION.to_owned();
    for (scenario, heading, explanation) in SCENARIOS {
        let runs = || data.runs("concurrency").filter(is_of(scenario));
        if runs().next().is_some() {
            text.push_str(&format!("\n### {heading}\n\n{explanation}\n\n"));
            text.push_str(&table(runs()));
        }
    }
    text
}

fn is_of(scenario: &str) -> impl Fn(&&Run) -> bool {
    move |run| run.text("scenario") == Some(scenario)
}

fn table<'a>(runs: impl Iterator<Item = &'a Run>) -> String {
    let headings = [
        "Subject", "threads", "M op/s", "p50 ns", "p99 ns", "p99.9 ns",
    ];
    let mut table = Table::new(&headings);
    for run in runs {
        let count = |name| run.count(name).map_or_else(|| "–".to_owned(), grouped);
        let rate = run.number("ops_per_second").map(|rate| rate / 1e6);
        table.row(&[
            run.text("subject").unwrap_or("–").to_owned(),
            count("threads"),
            rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}")),
            count("p50_ns"),
            count("p99_ns"),
            count("p999_ns"),
        ]);
    }
    table.finish()
}
