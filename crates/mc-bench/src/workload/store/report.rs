//! What the workload of the store says about itself: memory first, then one table per scenario.

use crate::number::{cell, grouped, percent, rough};
use crate::page::chart::{Drawing, Mark, Series};
use crate::page::markdown::Table;
use crate::page::{Figure, Headline, Made, Page, Place};
use crate::record::{Document, records};
use crate::timing::Rate;
use crate::workload::threads::{self, by_threads};

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
    figures: &[Figure {
        file: "store-throughput.svg",
        caption: "Keys per second of all threads by their number, of the store and of caches",
        place: Place::Results,
        draw,
    }],
    headlines,
    across: None,
};

const MEMORY: &str = "\
### Memory

All anonymous memory that a process has resident because of its objects, divided by their number, and the share of it
that the process has given back when all have been removed. The caches are made for twice as many entries, the store
for no number.

";

/// Heading and explanation of each scenario, by its name.
const SCENARIOS: [(&str, &str, &str); 5] = [
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
        "mixed",
        "Reads, puts and removals",
        "One in eight requests removes its key; the others read, and put what is not there. All fit.",
    ),
    (
        "get_many",
        "Reads of 32 keys at once",
        "The keys of a prompt in one call of the store; the caches are asked for each. The percentiles are of whole \
         calls.",
    ),
    (
        "get_miss",
        "Reads that miss",
        "One key at a time, none of them stored.",
    ),
];

fn find<'a>(rows: &'a [Served], subject: &str, scenario: &str, threads: u64) -> Option<&'a Served> {
    let mut rows = rows.iter().filter(|row| row.subject == subject);
    rows.find(|row| row.scenario == scenario && row.threads == threads)
}

fn headlines(document: &Document) -> Made<Vec<Headline>> {
    let rows: Vec<Served> = records(&document.runs)?;
    let rate = |subject| Some(threads::millions(&find(&rows, subject, "get_hit", 2)?.rate));
    Ok(vec![Headline {
        title: "Threads: reads of stored objects by two (millions per second)",
        cells: [None, rate("quick_cache"), rate("mc-store"), None],
    }])
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Served> = records(&document.runs)?;
    let line = || {
        let rate = |subject, scenario| Some(&find(&rows, subject, scenario, 2)?.rate);
        let text = |rate: &Rate| threads::millions(rate);
        let (hit, put) = ("get_hit", "get_or_put");
        let ours = find(&rows, "mc-store", hit, 2)?;
        let peer = find(&rows, "quick_cache", hit, 2)?;
        Some(format!(
            "With two threads `quick_cache` finds {} million keys a second and the store {}; where half of the keys fit \
             and the rest is put, {} and {}. An object takes {:.0} B in the store and {:.0} B in `quick_cache`; of that \
             the store gives {} back.",
            text(&peer.rate),
            text(&ours.rate),
            text(rate("quick_cache", put)?),
            text(rate("mc-store", put)?),
            ours.bytes_per_object,
            peer.bytes_per_object,
            percent(ours.given_back),
        ))
    };
    Ok(line())
}

fn tables(document: &Document) -> Made<String> {
    let rows: Vec<Served> = records(&document.runs)?;
    let sections = threads::sections(&SCENARIOS, |scenario| {
        let rows = rows.iter().filter(|row| row.scenario == scenario);
        let lines: Vec<_> = rows.map(line).collect();
        let headings = [
            "Subject", "threads", "M op/s", "CPU ns", "p50 ns", "p99 ns", "p99.9 ns", "found",
        ];
        (!lines.is_empty()).then(|| Table::of(&headings, lines))
    });
    Ok(format!("{MEMORY}{}\n{sections}", memory(&rows)))
}

fn line(row: &Served) -> Vec<String> {
    let [p50, p99, p999] = [row.p50_ns, row.p99_ns, row.p999_ns].map(|time| rough(time as f64));
    vec![
        row.subject.clone(),
        grouped(row.threads),
        threads::millions(&row.rate),
        cell(row.time.cpu_ns_per_op, rough),
        p50,
        p99,
        p999,
        percent(row.hit_rate),
    ]
}

fn memory(rows: &[Served]) -> String {
    let headings = ["Subject", "objects", "bytes per object", "given back"];
    let lines = SUBJECTS.iter().filter_map(|entry| {
        let row = rows.iter().find(|row| row.subject == entry.name)?;
        Some(vec![
            format!("`{}`: {}", entry.name, entry.summary),
            grouped(row.memory_objects),
            format!("{:.0}", row.bytes_per_object),
            percent(row.given_back),
        ])
    });
    Table::of(&headings, lines)
}

fn draw(document: &Document) -> Made<Drawing> {
    let rows: Vec<Served> = records(&document.runs)?;
    let panels = ["get_hit", "get_or_put", "get_many"];
    let series = |scenario: &str| {
        let of = |subject: &str| {
            let rows = rows
                .iter()
                .filter(|row| row.scenario == scenario && row.subject == subject);
            let points = rows.map(|row| (row.threads as f64, row.rate.ops_per_second / 1e6));
            Series::new(subject, Mark::Line, points.collect())
        };
        ["foyer-memory", "moka", "quick_cache", "mc-store"]
            .map(of)
            .to_vec()
    };
    Ok(by_threads(
        "Million keys a second, all threads",
        &panels,
        &SCENARIOS,
        document,
        series,
    ))
}
