//! What the workload of several threads says about itself: one table per scenario.

use crate::number::{cell, grouped, rough};
use crate::page::chart::{Drawing, Mark, Series};
use crate::page::markdown::Table;
use crate::page::{Figure, Headline, Made, Page, Place};
use crate::record::{Document, records};
use crate::timing::Rate;
use crate::workload::threads::{self, by_threads};

use super::Together;

pub(super) const PAGE: Page = Page {
    heading: "Several threads",
    models: "The worst contention: all threads share one allocator and do nothing else. `shared` is the allocator with a \
             magazine of freed blocks for each thread, `mutex` the same core behind one lock, `slots` the allocator of \
             equal slots, and `offset-allocator` the crate behind one lock. Threads are pinned to the cores in turn, \
             warm up with 1,000 operations and start together; beyond the number of cores they take turns.\n\n\
             **M op/s** is millions of operations per second of all threads, from the first operation of the first \
             thread to the last of the last, without a clock in the loop: the median of three rounds of 100,000 \
             operations per thread, or more where that takes less than 50 ms. **CPU ns** is the processor time of an \
             operation. The percentiles are of a run of their own that reads the clock around each operation, which \
             adds about 25 ns.",
    omits: "It does not model the share of its time that a store spends in its allocator.",
    result,
    tables,
    figures: &[Figure {
        file: "concurrency-throughput.svg",
        caption: "Operations per second of all threads by their number, in three scenarios",
        place: Place::Results,
        draw,
    }],
    headlines,
    across: None,
};

/// Heading and explanation of each scenario, by its name.
const SCENARIOS: [(&str, &str, &str); 7] = [
    (
        "successful_allocate_free",
        "One small object",
        "Each thread allocates 4 KiB and frees it at once, in an empty pool of 1 GiB. No more objects are live than \
         threads run.",
    ),
    (
        "churn",
        "A large live set",
        "Each thread keeps 4,096 objects of 4, 16, 64 or 256 KiB and replaces one of them, at random, by one of a \
         random size. The pool is 512 MiB for each thread, two thirds of it live.",
    ),
    (
        "churn_random",
        "A large live set of sizes that never repeat",
        "The same with sizes drawn log-uniformly from 4 KiB to 1 MiB, in 1.25 GiB for each thread.",
    ),
    (
        "remote_free",
        "Freed by another thread",
        "Half of the threads allocate 4 KiB and hand the objects, 64 at a time, through bounded channels to the other \
         half, which free them. One thread alone does both. An operation is an object; its two calls are timed one by \
         one, without the channel.",
    ),
    (
        "capacity_failed",
        "Refusals in a full pool",
        "Nine tenths of 1 GiB are live, and 128 MiB are asked for. Against a flag that says no, such numbers measure a \
         load and a comparison.",
    ),
    (
        "fragmentation_failed",
        "Refusals in a fragmented pool",
        "1 GiB full of blocks of 4 MiB of which every fifth is free: 128 MiB are free in all, but not in one hole.",
    ),
    (
        "high_water_mixed",
        "A mix",
        "In the full pool, 5 % of the requests are for 128 MiB and are refused; the others are for 4 KiB and freed at \
         once. A refusal empties every magazine first, so that none is wrong.",
    ),
];

/// Returns what two threads do with the large live set.
fn two_threads(rows: &[Together], subject: &str) -> Option<Rate> {
    let row = rows
        .iter()
        .find(|row| (row.scenario.as_str(), row.threads) == ("churn", 2) && row.subject == subject);
    row.map(|row| row.rate.clone())
}

fn headlines(document: &Document) -> Made<Vec<Headline>> {
    let rows: Vec<Together> = records(&document.runs)?;
    let rate = |subject| two_threads(&rows, subject).map(|rate| threads::millions(&rate));
    Ok(vec![Headline {
        title: "Threads: placements by two, a large live set (millions per second)",
        cells: [None, rate("offset-allocator"), rate("shared"), None],
    }])
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Together> = records(&document.runs)?;
    let rate = |subject| {
        two_threads(&rows, subject).map_or("–".to_owned(), |rate| threads::millions(&rate))
    };
    Ok(Some(format!(
        "Two threads replace {} million objects a second in `shared`, {} in the same core behind a mutex and {} in \
         `offset-allocator` behind one. Objects that another thread frees go through the lock, where `shared` gains \
         little or nothing.",
        rate("shared"),
        rate("mutex"),
        rate("offset-allocator"),
    )))
}

fn tables(document: &Document) -> Made<String> {
    let rows: Vec<Together> = records(&document.runs)?;
    let headings = [
        "Subject", "threads", "M op/s", "CPU ns", "p50 ns", "p99 ns", "p99.9 ns",
    ];
    let table = |scenario: &str| {
        let rows = rows.iter().filter(|row| row.scenario == scenario);
        let lines = rows.map(|row| {
            let percentiles = [row.p50_ns, row.p99_ns, row.p999_ns].map(|time| rough(time as f64));
            let mut cells = vec![
                row.subject.clone(),
                grouped(row.threads),
                threads::millions(&row.rate),
                cell(row.time.cpu_ns_per_op, rough),
            ];
            cells.extend(percentiles);
            cells
        });
        Table::of(&headings, lines)
    };
    Ok(threads::sections(&SCENARIOS, |scenario| {
        rows.iter()
            .any(|row| row.scenario == scenario)
            .then(|| table(scenario))
    }))
}

fn draw(document: &Document) -> Made<Drawing> {
    let rows: Vec<Together> = records(&document.runs)?;
    let panels = ["successful_allocate_free", "churn", "remote_free"];
    let series = |scenario: &str| {
        let subjects = ["offset-allocator", "mutex", "slots", "shared"];
        let of = |subject: &str| {
            let rows = rows
                .iter()
                .filter(|row| row.scenario == scenario && row.subject == subject);
            let points = rows.map(|row| (row.threads as f64, row.rate.ops_per_second / 1e6));
            Series::new(subject, Mark::Line, points.collect())
        };
        subjects.map(of).to_vec()
    };
    Ok(by_threads(
        "Million operations a second, all threads",
        &panels,
        &SCENARIOS,
        document,
        series,
    ))
}
