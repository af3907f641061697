//! The section on the store beside caches: memory first, then one table per scenario.

use mc_bench::workload::store::SUBJECTS;

use crate::data::{Data, Run};
use crate::figures;

use super::Section;
use super::markdown::{Table, cell, grouped, nanoseconds};

const WORKLOAD: &str = "store";

pub(super) const SECTION: Section = Section {
    workload: WORKLOAD,
    text,
    figures: &[figures::STORE_THROUGHPUT],
};

const INTRODUCTION: &str = "\
## The store beside caches

A store that places objects does more than a cache that holds values: it finds room in a segment, lets
objects go whose places make a hole, and what is read stays where it is until the reader is done. This
is what that costs. The caches hold a value of the size of a descriptor under each key and count
entries; the store holds places of 4 KiB in one segment. All have keys of 32 bytes and their default
options.

Threads are pinned to the cores in turn, start together and do nothing but ask; beyond the number of
cores they take turns. Every key is as likely as the others, so that hit rates say nothing about
policies. **M op/s** is millions of keys per second of all threads, without a clock in the loop, and
**CPU ns** the processor time that one key takes: medians of rounds in which the subjects take turns.
The percentiles are of a run of their own that reads the clock around each call.
";

const MEMORY: &str = "
### Memory

All anonymous memory that a process has resident because of its objects, divided by their number, and
the share of it that the process has given back when all have been removed. The caches are made for
twice as many entries, the store for no number.

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
        "The keys of a prompt in one call of the store; the caches are asked for each. The percentiles \
         are of whole calls.",
    ),
    (
        "get_miss",
        "Reads that miss",
        "One key at a time, none of them stored.",
    ),
];

fn text(data: &Data) -> String {
    let mut text = format!("{INTRODUCTION}{MEMORY}{}", memory(data));
    for (scenario, heading, explanation) in SCENARIOS {
        let runs = || data.runs(WORKLOAD).filter(is_of(scenario));
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

fn memory(data: &Data) -> String {
    let headings = ["Subject", "objects", "bytes per object", "given back"];
    let mut table = Table::new(&headings);
    for entry in SUBJECTS {
        let Some(run) = data.run(WORKLOAD, entry.name) else {
            continue;
        };
        let objects = run.count("memory_objects").map(grouped);
        table.row(&[
            format!("`{}`: {}", entry.name, entry.summary),
            objects.unwrap_or_else(|| "–".to_owned()),
            cell(run.number("bytes_per_object"), |bytes| {
                format!("{bytes:.0}")
            }),
            cell(run.number("given_back"), percent),
        ]);
    }
    table.finish()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn table<'a>(runs: impl Iterator<Item = &'a Run>) -> String {
    let headings = [
        "Subject", "threads", "M op/s", "CPU ns", "p50 ns", "p99 ns", "p99.9 ns", "found",
    ];
    let mut table = Table::new(&headings);
    for run in runs {
        let count = |name| run.count(name).map_or_else(|| "–".to_owned(), grouped);
        let rate = run.number("ops_per_second").map(|rate| rate / 1e6);
        table.row(&[
            run.text("subject").unwrap_or("–").to_owned(),
            count("threads"),
            cell(rate, |rate| format!("{rate:.2}")),
            cell(run.number("cpu_ns_per_op"), nanoseconds),
            count("p50_ns"),
            count("p99_ns"),
            count("p999_ns"),
            cell(run.number("hit_rate"), percent),
        ]);
    }
    table.finish()
}
