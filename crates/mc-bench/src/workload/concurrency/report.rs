//! What the workload of several threads says about itself: one table per scenario.

use crate::page::chart::Drawing;
use crate::page::{Figure, Headline, Made, Measure, Page, Place};
use crate::record::{Document, records};
use crate::workload::threads::{self, Scenario, Threaded};

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
    figures: &[Figure::new(
        Place::Results,
        "concurrency-throughput.svg",
        "Operations per second of all threads by their number, in three scenarios",
        draw,
    )],
    headlines,
    across: None,
};

/// Heading and explanation of each scenario, by its name.
const SCENARIOS: [Scenario; 7] = [
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
        "remote_free",
        "Freed by another thread",
        "Half of the threads allocate 4 KiB and hand the objects, 64 at a time, through bounded channels to the other \
         half, which free them. One thread alone does both. An operation is an object; its two calls are timed one by \
         one, without the channel. Where every thread has a core, whoever waits for the other end asks again; \
         otherwise it sleeps, which then takes longer than all else.",
    ),
    (
        "churn_random",
        "A large live set of sizes that never repeat",
        "As the large live set, with sizes drawn log-uniformly from 4 KiB to 1 MiB, in 1.25 GiB for each thread.",
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

/// How many of them are drawn.
const DRAWN: usize = 3;

fn headlines(document: &Document) -> Made<Vec<Headline>> {
    let rows: Vec<Threaded> = records(&document.runs)?;
    let rate = |subject| threads::millions(&rows, subject, "churn", 2);
    Ok(vec![Headline {
        measure: Measure::Threads,
        title: "placements by two, a large live set (millions per second)",
        cells: [None, rate("offset-allocator"), rate("shared"), None],
    }])
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Threaded> = records(&document.runs)?;
    let line = || {
        let rate = |subject, scenario| threads::millions(&rows, subject, scenario, 2);
        Some(format!(
            "Two threads replace {} million objects a second in `shared`, {} in the same core behind a mutex and {} in \
             `offset-allocator` behind one. Of objects that another thread frees, `shared` serves {} million a second \
             and `offset-allocator` {}.",
            rate("shared", "churn")?,
            rate("mutex", "churn")?,
            rate("offset-allocator", "churn")?,
            rate("shared", "remote_free")?,
            rate("offset-allocator", "remote_free")?,
        ))
    };
    Ok(line())
}

fn tables(document: &Document) -> Made<String> {
    Ok(threads::sections(&records(&document.runs)?, &SCENARIOS))
}

fn draw(document: &Document) -> Made<Drawing> {
    let subjects = ["offset-allocator", "mutex", "slots", "shared"];
    let shown = (&SCENARIOS[..DRAWN], subjects);
    let title = "Million operations a second, all threads";
    Ok(threads::draw(
        title,
        document,
        &records(&document.runs)?,
        shown,
    ))
}
