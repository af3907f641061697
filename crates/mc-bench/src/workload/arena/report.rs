//! What the arena workload says about itself, beside what was published.

use crate::number::with_spread;
use crate::page::markdown::{Table, glossary};
use crate::page::{Made, Page, no_headlines};
use crate::published;
use crate::record::{Document, records};

use super::{ArenaRow, SIZES_BYTES, SUBJECTS, THREADS};

pub(super) const PAGE: Page = Page {
    heading: "Arena allocations",
    models: "A store that cuts buffers out of one populated pool: slices of one size, out of 256 MiB, in a burst that \
             leaves its last 64th, by threads that are pinned to cores, start together and share one arena. Bursts run \
             nine times, the subjects in turns, and the median counts. The time of an allocation is that of the whole \
             burst, from the first thread's start to the last thread's end, divided by the allocations of one thread: \
             threads that did not disturb each other would keep the time of one. With more threads than cores, threads \
             share cores.\n\n`mmap`, `hugepage-rs` and `malloc` give each allocation back before the next, and the pair \
             is timed; for `malloc` that is the best case, the block just freed. `arena`, `thread-chunk` and `bumpalo` \
             are emptied between bursts, which is not timed. The pool is small, so requests of more than 16 KiB take the \
             compare-exchange that a pool of 16 GiB would keep for more than 1 MiB. Slices of 64 KiB and 2 MiB exhaust \
             it within microseconds, hardly long enough to contend.",
    omits: "It does not model the use of the memory: no subject touches what it gets (`populate` measures that).",
    result,
    tables,
    figures: &[],
    headlines: no_headlines,
    across: None,
};

/// Size and subjects of the comparison with the published allocator.
const COMPARED_BYTES: u64 = 64;
const COMPARED: [&str; 2] = ["arena", "thread-chunk"];

const COMPARISON_NOTE: &str = "
The claim names neither size nor threads. The published allocator, built unmodified with full optimization, was
measured on a virtual machine of two AMD EPYC cores, not in the same run.
";

fn find<'a>(
    rows: &'a [ArenaRow],
    subject: &str,
    bytes: u64,
    threads: usize,
) -> Option<&'a ArenaRow> {
    let mut rows = rows.iter().filter(|row| row.subject == subject);
    rows.find(|row| (row.alloc_size, row.threads) == (bytes, threads as u64))
}

fn time(row: Option<&ArenaRow>) -> String {
    let text = |row: &ArenaRow| with_spread(row.time.ns_per_op, row.time.ns_per_op_spread);
    row.map_or_else(|| "–".to_owned(), text)
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<ArenaRow> = records(&document.runs)?;
    let one = |subject, threads| time(find(&rows, subject, COMPARED_BYTES, threads));
    Ok(Some(format!(
        "64 B take {} ns from the shared arena and {} ns from a thread's chunk of it; two threads at once {} and {} ns. \
         `malloc` takes {} ns in its best case.",
        one("arena", 1),
        one("thread-chunk", 1),
        one("arena", 2),
        one("thread-chunk", 2),
        one("malloc", 1),
    )))
}

fn tables(document: &Document) -> Made<String> {
    let rows: Vec<ArenaRow> = records(&document.runs)?;
    let is_measured = |name: &str| rows.iter().any(|row| row.subject == name);
    let subjects: Vec<_> = SUBJECTS
        .iter()
        .filter(|entry| is_measured(entry.name))
        .collect();
    let entries = subjects
        .iter()
        .map(|entry| (entry.name.to_owned(), entry.summary.to_owned()));
    let mut text = glossary("Subject", entries);
    text.push_str(&comparison(&rows));
    let names: Vec<&str> = subjects.iter().map(|entry| entry.name).collect();
    for threads in THREADS {
        let mut headings = vec!["Size (B)"];
        headings.extend(&names);
        let lines = SIZES_BYTES.map(|bytes| {
            let mut cells = vec![crate::number::grouped(bytes)];
            cells.extend(
                names
                    .iter()
                    .map(|name| time(find(&rows, name, bytes, threads))),
            );
            cells
        });
        let table = Table::of(&headings.join("|"), lines);
        text.push_str(&format!(
            "\nns per allocation, threads: {threads}\n\n{table}"
        ));
    }
    Ok(text)
}

/// Returns our times of the smallest size below those of the published allocator.
fn comparison(rows: &[ArenaRow]) -> String {
    let [one, two] = published::ARENA_MEASURED_NS;
    let mut table = Table::new("64 B, ns per allocation | 1 thread | 2 threads");
    let claim = format!("about {}", published::ARENA_CLAIM_NS);
    table.row(&["*published claim*", &claim, "–"]);
    table.row(&["*published allocator, measured*", one, two]);
    for subject in COMPARED {
        let [one, two] = [1, 2].map(|threads| time(find(rows, subject, COMPARED_BYTES, threads)));
        table.row(&[subject.to_owned(), one, two]);
    }
    format!("\n{}{COMPARISON_NOTE}", table.finish())
}
