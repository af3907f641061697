//! What the workload of the store says about itself: memory first, then one table per scenario.

use crate::number::{grouped, percent};
use crate::page::chart::Drawing;
use crate::page::markdown::Table;
use crate::page::{Figure, Headline, Made, Measure, Page, Place};
use crate::record::{Document, records};
use crate::workload::threads::{self, Scenario, Threaded};

use super::{SUBJECTS, Served};

pub(super) const PAGE: Page = Page {
    heading: "The store beside caches",
    models: "A store that places objects does more than a cache that holds values: it finds room in a segment, lets \
             objects go whose places make a hole, and what is read stays where it is until the reader is done. This is \
             what that costs. The caches hold a value of the size of a descriptor under each key and count entries; the \
             store holds places of 4 KiB in one segment. All have keys of 32 bytes and their default options.\n\n\
             Threads are pinned to the cores in turn, start together and do nothing but ask; beyond the number of cores \
             they take turns. **M op/s** is millions of keys per second of all threads, without a clock in the loop, and \
             **CPU ns** the processor time that one key takes: medians of rounds in which the subjects take turns. The \
             percentiles are of a run of their own that reads the clock around each call.",
    omits: "Every key is as likely as the others, so that hit rates say nothing about policies; `replay` does. Nobody \
            writes the bytes.",
    result,
    tables,
    figures: &[Figure::new(
        Place::Results,
        "store-throughput.svg",
        "Keys per second of all threads by their number, of the store and of caches",
        draw,
    )],
    headlines,
    across: None,
};

const MEMORY: &str = "\
### Memory

All anonymous memory that a process has resident because of its objects, divided by their number, and the share of it
that the process has given back when all have been removed. The heap is told to keep little of what is freed. The
caches are made for twice as many entries, the store for no number.

";

/// Heading and explanation of each scenario, by its name.
const SCENARIOS: [Scenario; 5] = [
    (
        "get_hit",
        "Reads that hit",
        "One key at a time, all of them stored. The store leases what it finds.",
    ),
    (
        "get_or_put",
        "Reads of twice what fits",
        "What is not there is put, and another object leaves for it.",
    ),
    (
        "get_many",
        "Reads of 32 keys at once",
        "The keys of a prompt in one call of the store; the caches are asked for each. The percentiles are of whole \
         calls.",
    ),
    (
        "mixed",
        "Reads, puts and removals",
        "One in eight requests removes its key; the others read, and put what is not there. All fit.",
    ),
    (
        "get_miss",
        "Reads that miss",
        "One key at a time, none of them stored.",
    ),
];

/// How many of them are drawn.
const DRAWN: usize = 3;

fn headlines(document: &Document) -> Made<Vec<Headline>> {
    let rows: Vec<Threaded> = records(&document.runs)?;
    let rate = |subject| threads::millions(&rows, subject, "get_hit", 2);
    Ok(vec![Headline {
        measure: Measure::Threads,
        title: "reads of stored objects by two (millions per second)",
        cells: [None, rate("quick_cache"), rate("mc-store"), None],
    }])
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Threaded> = records(&document.runs)?;
    let served: Vec<Served> = records(&document.runs)?;
    let line = || {
        let rate = |subject, scenario| threads::millions(&rows, subject, scenario, 2);
        let memory = |subject| served.iter().find(|row| row.threaded.subject == subject);
        let (ours, peer) = (memory("mc-store")?, memory("quick_cache")?);
        Some(format!(
            "With two threads `quick_cache` finds {} million keys a second and the store {}; where half of the keys fit \
             and the rest is put, {} and {}. An object takes {:.0} B in the store and {:.0} B in `quick_cache`; of that \
             the store gives {} back.",
            rate("quick_cache", "get_hit")?,
            rate("mc-store", "get_hit")?,
            rate("quick_cache", "get_or_put")?,
            rate("mc-store", "get_or_put")?,
            ours.bytes_per_object,
            peer.bytes_per_object,
            percent(ours.given_back),
        ))
    };
    Ok(line())
}

fn tables(document: &Document) -> Made<String> {
    let served: Vec<Served> = records(&document.runs)?;
    let lines = SUBJECTS.iter().filter_map(|entry| {
        let row = served
            .iter()
            .find(|row| row.threaded.subject == entry.name)?;
        Some(vec![
            format!("`{}`: {}", entry.name, entry.summary),
            grouped(row.memory_objects),
            format!("{:.0}", row.bytes_per_object),
            percent(row.given_back),
        ])
    });
    let memory = Table::of("Subject | objects | bytes per object | given back", lines);
    let sections = threads::sections(&records(&document.runs)?, &SCENARIOS);
    Ok(format!("{MEMORY}{memory}\n{sections}"))
}

fn draw(document: &Document) -> Made<Drawing> {
    let subjects = ["foyer-memory", "moka", "quick_cache", "mc-store"];
    let shown = (&SCENARIOS[..DRAWN], subjects);
    let title = "Million keys a second, all threads";
    Ok(threads::draw(
        title,
        document,
        &records(&document.runs)?,
        shown,
    ))
}
