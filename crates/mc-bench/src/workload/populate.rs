//! Populate: the time until a pool is mapped, backed with zeroed memory and checked.
//!
//! It models the start of a store, which must have its memory before the first transfer: with pages
//! of each tier, and with one or two workers that zero them. The whole of mapping a pool is timed, for
//! huge pages with reading back from the kernel what was obtained; unmapping is not.
//!
//! It does not model a fragmented machine, where the kernel has to move memory to find huge pages, nor
//! several sockets. `--ops` does not apply: one population is one operation, repeated a few times.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use mc_arena::{PagePolicy, PageSize, PoolError, PoolOptions, Population, Tier};

use crate::record::Run;
use crate::row::{Label, Observer, Step};
use crate::stats::median;

use super::tier::tier_name;
use super::{Effort, Request, RequestError, Sizes, Workload};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "populate",
    summary: "1 GiB backed with memory before its use, by 1 and 2 workers",
    subjects: &[BASE, TRANSPARENT, HUGETLB],
    skipped: &[],
    sizes: Sizes::Fixed,
    run,
};

/// One row of the subject table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name on the command line and in every output.
    pub name: &'static str,
    /// One line for `mc-bench list` and for the page.
    pub summary: &'static str,
    pages: PagePolicy,
}

/// Every subject, in the order of the output.
pub const SUBJECTS: [Entry; 3] = [
    Entry {
        name: BASE,
        summary: "base pages, also where the system would use transparent huge pages by itself",
        pages: PagePolicy::Off,
    },
    Entry {
        name: TRANSPARENT,
        summary: "transparent huge pages; base pages where the kernel has none, as the tier tells",
        pages: PagePolicy::Transparent,
    },
    Entry {
        name: HUGETLB,
        summary: "reserved huge pages",
        pages: PagePolicy::Required(PageSize::Auto),
    },
];

pub(super) const BASE: &str = "base";

pub(super) const TRANSPARENT: &str = "transparent";

/// Needs the whole pool in reserved huge pages.
pub(super) const HUGETLB: &str = "hugetlb";

/// Numbers of workers, a row each.
pub const WORKERS: [NonZeroUsize; 2] = [NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap()];

/// Populations of a row. Odd, so that the median is one of them.
const REPEATS: usize = 7;

const REPEATS_QUICK: usize = 3;

/// Returns the size of the pool.
pub(super) fn pool_bytes(effort: Effort) -> u64 {
    match effort {
        Effort::Full => 1 << 30,
        Effort::Quick => 128 << 20,
    }
}

/// One subject's populations with one number of workers.
struct Lane {
    entry: Entry,
    workers: NonZeroUsize,
    times: Vec<Duration>,
}

/// Runs one subject after the other, its numbers of workers in turns, so that a slow moment of the
/// machine slows both of them.
fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let asked: Vec<Entry> = SUBJECTS
        .into_iter()
        .filter(|entry| request.subjects.contains(&entry.name))
        .collect();
    let mut runs = Vec::new();
    for (index, &entry) in asked.iter().enumerate() {
        let label = Label {
            workload: WORKLOAD.name,
            row: entry.name,
            index,
            rows: asked.len(),
        };
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
    let mut lanes = WORKERS.map(|workers| Lane {
        entry,
        workers,
        times: Vec::new(),
    });
    // Not timed: the host of a virtual machine backs memory when the guest first uses it.
    let tier = options(entry, effort, NonZeroUsize::MIN).map()?.tier();
    let repeats = match effort {
        Effort::Full => REPEATS,
        Effort::Quick => REPEATS_QUICK,
    };
    for round in 0..repeats {
        for lane in &mut lanes {
            observer(Step {
                label,
                subject: entry.name,
                round,
            });
            let began = Instant::now();
            let pool = options(entry, effort, lane.workers).map()?;
            lane.times.push(began.elapsed());
            assert_eq!(pool.tier(), tier, "the pages of a subject are the same");
        }
    }
    Ok(lanes.iter().map(|lane| lane.record(effort, tier)).collect())
}

fn options(entry: Entry, effort: Effort, workers: NonZeroUsize) -> PoolOptions {
    PoolOptions::new(pool_bytes(effort))
        .pages(entry.pages)
        .population(Population::Eager {
            workers: Some(workers),
            time_limit: None,
        })
}

impl Lane {
    fn record(&self, effort: Effort, tier: Tier) -> Run {
        let time = median(self.times.clone());
        Run::new(WORKLOAD.name, self.entry.name)
            .with("bytes", pool_bytes(effort))
            .with("workers", self.workers.get() as u64)
            .with("tier", tier_name(tier))
            .with("milliseconds", time.as_secs_f64() * 1e3)
            .with("repeats", self.times.len() as u64)
    }
}
