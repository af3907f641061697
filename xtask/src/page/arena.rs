//! The arena section: time of one allocation by size and threads, beside what was published.

use mc_bench::published;
use mc_bench::workload::arena::{SIZES_BYTES, SUBJECTS, THREADS};

use crate::data::Data;
use crate::figures;

use super::Section;
use super::markdown::{Table, cell, grouped, nanoseconds};

const WORKLOAD: &str = "arena";

pub(super) const SECTION: Section = Section {
    workload: WORKLOAD,
    text,
    figures: &[figures::ARENA_TIME],
};

/// Size and subjects of the comparison with the published allocator.
const COMPARED_BYTES: u64 = 64;
const COMPARED: [&str; 2] = ["arena", "thread-chunk"];

const INTRODUCTION: &str = "\
## Arena allocations

Slices of one size, cut out of a populated pool of 256 MiB in a burst that leaves its last 64th, by
threads that are pinned to cores, start together and share one arena. Bursts run nine times, the
subjects in turns, and the median counts. The time of an allocation is that of the whole burst, from
the first thread's start to the last thread's end, divided by the allocations of one thread: threads
that did not disturb each other would keep the time of one. With more threads than cores, threads
share cores.

";

const BIASES: &str = "
No subject touches the memory it gets. `mmap`, `hugepage-rs` and `malloc` give each allocation back
before the next, and the pair is timed; for `malloc` that is the best case, the block just freed.
`arena`, `thread-chunk` and `bumpalo` are emptied between bursts, which is not timed. The pool is
small, so requests of more than 16 KiB take the compare-exchange that a pool of 16 GiB would keep for
more than 1 MiB. Slices of 64 KiB and 2 MiB exhaust it within microseconds, hardly long enough to
contend; where four threads share two cores, their times are mostly the wait for a core.
";

fn text(data: &Data) -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("| Subject | What it is |\n|---|---|\n");
    let measured = data.subjects(WORKLOAD);
    for entry in SUBJECTS
        .iter()
        .filter(|entry| measured.contains(&entry.name))
    {
        text.push_str(&format!("| `{}` | {} |\n", entry.name, entry.summary));
    }
    text.push_str(&comparison(data));
    text.push_str("\n### Time per allocation (ns)\n");
    text.push_str(&tables(data, "ns_per_op", nanoseconds));
    text.push_str("\n### Allocations per second, all threads (millions)\n");
    text.push_str(&tables(data, "ops_per_second", millions));
    text.push_str(BIASES);
    text
}

/// Returns our times of the smallest size below those of the published allocator.
fn comparison(data: &Data) -> String {
    let [one, two] = published::ARENA_MEASURED_NS;
    let mut table = Table::new(&["64 B, ns per allocation", "1 thread", "2 threads"]);
    let claim = format!("about {}", published::ARENA_CLAIM_NS);
    table.row(&["*published claim*", &claim, "–"]);
    table.row(&["*published allocator, measured*", one, two]);
    for subject in COMPARED {
        let time = |threads| {
            let time = figure(data, subject, (COMPARED_BYTES, threads), "ns_per_op");
            cell(time, nanoseconds)
        };
        table.row(&[subject.to_owned(), time(1), time(2)]);
    }
    format!("\n{}{COMPARISON_NOTE}", table.finish())
}

const COMPARISON_NOTE: &str = "
The claim names neither size nor threads. The published allocator, built unmodified with full
optimization, was measured on a virtual machine of two AMD EPYC cores, not in the same run.
";

/// Returns a table per number of threads: a line per size, a column per subject.
fn tables(data: &Data, field: &str, format: fn(f64) -> String) -> String {
    let subjects = data.subjects(WORKLOAD);
    let mut headings = vec!["Size (B)"];
    headings.extend(&subjects);
    let mut text = String::new();
    for threads in THREADS {
        let mut table = Table::new(&headings);
        for bytes in SIZES_BYTES {
            let figure = |subject| figure(data, subject, (bytes, threads), field);
            let mut cells = vec![grouped(bytes)];
            cells.extend(subjects.iter().map(|subject| cell(figure(subject), format)));
            table.row(&cells);
        }
        text.push_str(&format!("\nThreads: {threads}\n\n{}", table.finish()));
    }
    text
}

fn figure(data: &Data, subject: &str, (bytes, threads): (u64, usize), field: &str) -> Option<f64> {
    let row = [("alloc_size", bytes), ("threads", threads as u64)];
    data.run_where(WORKLOAD, subject, &row)?.number(field)
}

/// Returns a rate with the digits that mean something, in millions.
fn millions(per_second: f64) -> String {
    let millions = per_second / 1e6;
    if millions < 10.0 {
        format!("{millions:.2}")
    } else {
        format!("{millions:.0}")
    }
}
