//! Arena: the time of one allocation from a shared bump arena, and of what could stand in its place.

mod burst;
mod report;
mod subject;

use mc_arena::{Arena, PagePolicy, PoolOptions};

use crate::record::{Run, fields, record};
use crate::row::{Label, Observer};
use crate::subject::Described;
use crate::timing::{Rate, Timing, Took};

use self::burst::Burst;
pub(super) use self::subject::HUGEPAGE_RS;
use self::subject::{Entry, SUBJECTS, Supply};

use super::tier::tier_name;
use super::{Effort, Request, RequestError, Sizes, Workload};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "arena",
    summary: "one allocation of 64 B to 2 MiB from a populated pool, by 1, 2 and 4 pinned threads",
    subjects: || Described::all(SUBJECTS.iter().map(|entry| (entry.name, entry.summary))),
    skipped: &[],
    sizes: Sizes::Chosen,
    is_seeded: false,
    needs_hugepages: true,
    times: &["mc-arena"],
    fields: fields::<ArenaRow>,
    page: report::PAGE,
    run,
};

record! {
    /// One subject on one size with one number of threads.
    pub(super) struct ArenaRow {
        Row subject: String = "subject"; // Who allocates.
        Row alloc_size: u64 = "size B"; // Bytes of an allocation.
        Row threads: u64 = "threads"; // Threads.
        Timed ops: u64; // Allocations of a thread in a burst.
        Decided tier: String = "tier"; // Pages that the memory is in.
        Decided pool_bytes: u64; // Bytes of the pool.
        + time: Timing; // Time of an allocation: that of the burst over the allocations of one thread.
        + rate: Rate; // Allocations of all threads.
    }
}

/// Numbers of threads, a row each.
pub const THREADS: [usize; 3] = [1, 2, 4];

/// Sizes of a run that names none.
pub const SIZES_BYTES: [u64; 4] = [64, 4 << 10, 64 << 10, SIZE_BYTES_MAX];

/// Largest size: one huge page of the default size of x86-64, to which the subject `hugepage-rs`
/// rounds everything up.
const SIZE_BYTES_MAX: u64 = 2 << 20;

const POOL_BYTES: u64 = 256 << 20;

/// Large enough for a few slices of the largest size per thread.
const POOL_BYTES_QUICK: u64 = 64 << 20;

/// Rounds of a row. Odd, so that the median is one of them.
const REPEATS: usize = 9;

const REPEATS_QUICK: usize = 3;

/// Stands for the tier of memory that a subject obtains and nobody ever touches.
const UNTOUCHED: &str = "untouched";

/// How much shorter the bursts of per-call subjects are in a quick run.
const CALLS_QUICK_DIVISOR: usize = 10;

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let sizes = sizes_bytes(request)?;
    let mut arena = arena(request.effort)?;
    let rows: Vec<(usize, usize)> = sizes
        .iter()
        .flat_map(|&size_bytes| THREADS.map(|threads| (size_bytes, threads)))
        .collect();
    let mut runs = Vec::new();
    for (index, &(size_bytes, threads)) in rows.iter().enumerate() {
        let name = format!("{size_bytes} B, threads: {threads}");
        let label = Label::new(WORKLOAD.name, &name, index, rows.len());
        for lane in measure(&mut arena, request, (size_bytes, threads), label, observer) {
            runs.push(record(&lane, &arena));
        }
    }
    Ok(runs)
}

fn sizes_bytes(request: &Request) -> Result<Vec<usize>, RequestError> {
    let sizes = if request.sizes.is_empty() {
        &SIZES_BYTES[..]
    } else {
        &request.sizes
    };
    let in_range = |&size_bytes: &u64| {
        usize::try_from(size_bytes)
            .ok()
            .filter(|_| (1..=SIZE_BYTES_MAX).contains(&size_bytes))
            .ok_or(RequestError::SizeOutOfRange {
                size_bytes,
                size_bytes_max: SIZE_BYTES_MAX,
            })
    };
    sizes.iter().map(in_range).collect()
}

/// Maps the pool in transparent huge pages: reserved ones stay free for the subject that needs them.
fn arena(effort: Effort) -> Result<Arena, RequestError> {
    let bytes = match effort {
        Effort::Full => POOL_BYTES,
        Effort::Quick => POOL_BYTES_QUICK,
    };
    let options = PoolOptions::new(bytes).pages(PagePolicy::Transparent);
    let pool = options
        .map()
        .map_err(|source| RequestError::memory(WORKLOAD.name, source))?;
    Ok(Arena::new(pool).expect("the pool holds many units of the default alignment"))
}

/// One subject's rounds of a row.
struct Lane {
    entry: &'static Entry,
    burst: Burst,
    times: Vec<Took>,
}

/// Runs the subjects of a row in turns, so that a slow moment of the machine slows all of them.
fn measure(
    arena: &mut Arena,
    request: &Request,
    (size_bytes, threads): (usize, usize),
    label: Label<'_>,
    observer: Observer<'_>,
) -> Vec<Lane> {
    let asked = SUBJECTS
        .iter()
        .filter(|entry| request.subjects.contains(&entry.name));
    let mut lanes: Vec<Lane> = asked
        .map(|entry| Lane {
            entry,
            burst: Burst {
                size_bytes,
                threads,
                ops: ops(entry.supply, arena, (size_bytes, threads), request),
            },
            times: Vec::new(),
        })
        .collect();
    let repeats = match request.effort {
        Effort::Full => REPEATS,
        Effort::Quick => REPEATS_QUICK,
    };
    for round in 0..repeats {
        for lane in &mut lanes {
            observer(label.step(lane.entry.name, round));
            lane.times.push((lane.entry.run)(&lane.burst, arena));
        }
    }
    lanes
}

/// Returns the allocations of one thread in a burst.
fn ops(
    supply: Supply,
    arena: &Arena,
    (size_bytes, threads): (usize, usize),
    request: &Request,
) -> usize {
    let ops = match (supply, request.effort) {
        (Supply::Pool | Supply::Own, _) => {
            let slice_bytes = size_bytes.next_multiple_of(arena.align());
            subject::burst_bytes(arena) / slice_bytes / threads
        }
        (Supply::Calls(calls), Effort::Full) => calls,
        (Supply::Calls(calls), Effort::Quick) => calls / CALLS_QUICK_DIVISOR,
    };
    let asked = request
        .ops
        .map(|ops| usize::try_from(ops).unwrap_or(usize::MAX));
    ops.min(asked.unwrap_or(usize::MAX))
}

fn record(lane: &Lane, arena: &Arena) -> Run {
    let Lane {
        entry,
        burst,
        times,
    } = lane;
    let tier = match entry.supply {
        Supply::Pool => tier_name(arena.pool().tier()),
        Supply::Own | Supply::Calls(_) => UNTOUCHED,
    };
    let record = ArenaRow {
        subject: entry.name.to_owned(),
        alloc_size: burst.size_bytes as u64,
        threads: burst.threads as u64,
        ops: burst.ops as u64,
        time: Timing::of(times),
        rate: Rate::of(times, burst.threads as u64),
        tier: tier.to_owned(),
        pool_bytes: arena.pool().len() as u64,
    };
    Run::of(WORKLOAD.name, &record)
}
