//! Populate: the time until a pool is mapped, backed with zeroed memory and checked.

use mc_arena::{PagePolicy, PageSize, PoolError, PoolOptions, Population};
use std::num::NonZeroUsize;

use crate::number::{cell, with_spread};
use crate::page::markdown::Table;
use crate::page::{Made, Page, no_headlines};
use crate::published;
use crate::record::{Document, Run, fields, record, records};
use crate::row::{Label, Observer};
use crate::subject::Described;
use crate::timing::{Stopwatch, middle};

use super::tier::{BASE, HUGETLB, TRANSPARENT, tier_name};
use super::{Effort, Request, RequestError, Sizes, Workload};

/// Entry of the table of workloads. `--ops` does not apply: one population is one operation.
pub(super) const WORKLOAD: Workload = Workload {
    name: "populate",
    summary: "1 GiB backed with memory before its use, by 1 and 2 workers",
    subjects: || SUBJECTS.map(|entry| entry.described).to_vec(),
    skipped: &[],
    sizes: Sizes::Fixed,
    is_seeded: false,
    needs_hugepages: true,
    times: &["mc-arena"],
    fields: fields::<Populate>,
    page: Page {
        heading: "Population",
        models: "The start of a store, which must have its memory before the first transfer: the time until a pool of \
                 1 GiB is mapped, backed with zeroed memory and, if its pages are huge, checked against what the kernel \
                 says about it; unmapping is not timed. Each tier is populated once before the clock starts, because the \
                 host of a virtual machine backs memory at its first use, then seven times with each number of workers \
                 in turns; medians. The allocator whose figures were published populates in one call on one core, within \
                 *mmap*; its time is from a virtual machine of two AMD EPYC cores.",
        omits: "It does not model a fragmented machine, where the kernel has to move memory to find huge pages, nor \
                several sockets.",
        result,
        tables,
        figures: &[],
        headlines: no_headlines,
        across: None,
    },
    run,
};

record! {
    /// One tier with one number of workers.
    pub(super) struct Populate {
        Row subject: String = "subject"; // The pages that are asked for.
        Row bytes: u64; // Bytes of the pool.
        Row workers: u64 = "workers"; // Threads that zero it.
        Decided tier: String = "tier"; // The pages obtained.
        Timed milliseconds: f64 = "ms"; // Time until it can be used.
        Timed milliseconds_spread: Option<f64>; // Half of what lies between the fastest and the slowest population.
        Timed repeats: u64; // Populations.
    }
}

/// One row of the subject table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it is called.
    pub described: Described,
    pages: PagePolicy,
}

/// Every subject, in the order of the output.
pub const SUBJECTS: [Entry; 3] = [
    Entry {
        described: Described::new(
            BASE,
            "base pages, also where the system would use transparent huge pages by itself",
        ),
        pages: PagePolicy::Off,
    },
    Entry {
        described: Described::new(
            TRANSPARENT,
            "transparent huge pages; base pages where the kernel has none, as the tier tells",
        ),
        pages: PagePolicy::Transparent,
    },
    Entry {
        described: Described::new(HUGETLB, "reserved huge pages"),
        pages: PagePolicy::Required(PageSize::Auto),
    },
];

/// Numbers of workers, a row each.
pub const WORKERS: [NonZeroUsize; 2] = [NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap()];

/// Populations of a row. Odd, so that the median is one of them.
const REPEATS: usize = 7;

const REPEATS_QUICK: usize = 3;

/// Returns the size of the pool.
pub(super) fn pool_bytes(effort: Effort) -> u64 {
    effort.choose(1 << 30, 128 << 20)
}

/// Runs one subject after the other, its numbers of workers in turns.
fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let is_asked = |entry: &Entry| request.subjects.contains(&entry.described.name);
    let asked: Vec<Entry> = SUBJECTS.into_iter().filter(is_asked).collect();
    let mut runs = Vec::new();
    for (index, &entry) in asked.iter().enumerate() {
        let label = Label::new(WORKLOAD.name, entry.described.name, index, asked.len());
        let measured = measure(entry, request.effort, label, observer);
        runs.extend(measured.map_err(|source| RequestError::memory(WORKLOAD.name, source))?);
    }
    Ok(runs)
}

fn measure(
    entry: Entry,
    effort: Effort,
    label: Label<'_>,
    observer: Observer<'_>,
) -> Result<Vec<Run>, PoolError> {
    // Not timed: the host of a virtual machine backs memory when the guest first uses it.
    let tier = options(entry, effort, NonZeroUsize::MIN).map()?.tier();
    let repeats = effort.choose(REPEATS, REPEATS_QUICK);
    let name = |_: &NonZeroUsize| entry.described.name;
    let lanes = label.in_turns(&WORKERS, name, repeats, observer, |&workers| {
        let watch = Stopwatch::start();
        let pool = options(entry, effort, workers).map()?;
        let took = watch.stop(1);
        assert_eq!(pool.tier(), tier, "the pages of a subject are the same");
        Ok(took.wall.as_secs_f64() * 1e3)
    });
    let runs = WORKERS.iter().zip(lanes).map(|(workers, times)| {
        let times: Vec<f64> = times.into_iter().collect::<Result<_, PoolError>>()?;
        let repeats = times.len() as u64;
        let (milliseconds, milliseconds_spread) = middle(times.into_iter());
        let record = Populate {
            subject: entry.described.name.to_owned(),
            bytes: pool_bytes(effort),
            workers: workers.get() as u64,
            tier: tier_name(tier).to_owned(),
            milliseconds,
            milliseconds_spread,
            repeats,
        };
        Ok(Run::of(WORKLOAD.name, &record))
    });
    runs.collect()
}

fn options(entry: Entry, effort: Effort, workers: NonZeroUsize) -> PoolOptions {
    PoolOptions::new(pool_bytes(effort))
        .pages(entry.pages)
        .population(Population::Eager {
            workers: Some(workers),
            time_limit: None,
        })
}

/// Returns the rows of a tier, by its workers.
fn lanes<'a>(rows: &'a [Populate], tier: &str) -> [Option<&'a Populate>; 2] {
    WORKERS.map(|workers| {
        let mut rows = rows.iter().filter(|row| row.subject == tier);
        rows.find(|row| row.workers == workers.get() as u64)
    })
}

fn text(row: &Populate) -> String {
    with_spread(row.milliseconds, row.milliseconds_spread)
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Populate> = records(&document.runs)?;
    let line = || {
        let [one, two] = lanes(&rows, TRANSPARENT);
        Some(format!(
            "1 GiB of transparent huge pages is there in {} ms, by two workers in {} ms; the published allocator took \
             {:.0} ms for base pages.",
            text(one?),
            text(two?),
            published::POPULATION_MS
        ))
    };
    Ok(line())
}

fn tables(document: &Document) -> Made<String> {
    let headings = "Subject | pages obtained | 1 worker (ms) | 2 workers (ms) | 1 / 2";
    let rows: Vec<Populate> = records(&document.runs)?;
    let mut table = Table::new(headings);
    let published = format!("{:.0}", published::POPULATION_MS);
    let measured = "*published allocator, measured*";
    table.row(&[measured, "base", &published, "–", "–"]);
    for entry in SUBJECTS {
        let Described { name, summary } = entry.described;
        let [Some(one), two] = lanes(&rows, name) else {
            continue;
        };
        let ratio = two.map(|two| one.milliseconds / two.milliseconds);
        table.row(&[
            format!("`{name}`: {summary}"),
            one.tier.clone(),
            text(one),
            two.map_or_else(|| "–".to_owned(), text),
            cell(ratio, |ratio| format!("{ratio:.2}")),
        ]);
    }
    Ok(table.finish())
}
