//! Arena: the time of one allocation from a shared bump arena, and of what could stand in its place.
//!
//! It models a store that cuts buffers out of one populated pool: slices of one size in a burst, from
//! one thread or from several at once. The subjects that have to ask the kernel or a heap each time
//! show what the pool saves.
//!
//! It does not model the use of the memory: no subject touches what it gets, so page faults of the
//! per-call subjects and the population of the pool are not in the time (`populate` measures the
//! latter). What flatters whom:
//!
//! - `mmap`, `hugepage-rs` and `malloc` give each allocation back before the next, and the pair is
//!   timed. For `malloc` that is the best case: the thread's cache returns the block just freed.
//! - `arena`, `thread-chunk` and `bumpalo` are emptied between bursts, outside the time.
//! - Bursts end where the last 64th of the pool begins, which the arena hands out more slowly.
//! - The pool is small, so requests of more than 1/16384 of it (16 KiB) take the arena's
//!   compare-exchange, which a pool of production size keeps for far larger ones.
//! - The size is the same throughout a burst, so its rounding leaves the loop.
//! - Large sizes exhaust the pool within microseconds, hardly long enough to contend, and where
//!   threads share a core most of their time is the wait for it.

mod burst;
mod subject;

use std::time::Duration;

use mc_arena::{Arena, PagePolicy, PoolOptions};

use crate::record::Run;
use crate::row::{Label, Observer, Step};
use crate::stats::median;

use self::burst::Burst;
pub(super) use self::subject::HUGEPAGE_RS;
pub use self::subject::SUBJECTS;
use self::subject::{Entry, Supply};

use super::tier::tier_name;
use super::{Effort, Request, RequestError, Sizes, Workload};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "arena",
    summary: "one allocation of 64 B to 2 MiB from a populated pool, by 1, 2 and 4 pinned threads",
    subjects: subject::NAMES,
    skipped: &[],
    sizes: Sizes::Chosen,
    run,
};

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
        let label = Label {
            workload: WORKLOAD.name,
            row: &name,
            index,
            rows: rows.len(),
        };
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
    times: Vec<Duration>,
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
            observer(Step {
                label,
                subject: lane.entry.name,
                round,
            });
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
    let wall = median(times.clone());
    let tier = match entry.supply {
        Supply::Pool => tier_name(arena.pool().tier()),
        Supply::Own | Supply::Calls(_) => UNTOUCHED,
    };
    Run::new(WORKLOAD.name, entry.name)
        .with("alloc_size", burst.size_bytes as u64)
        .with("threads", burst.threads as u64)
        .with("ops", burst.ops as u64)
        .with("ns_per_op", wall.as_nanos() as f64 / burst.ops as f64)
        .with(
            "ops_per_second",
            (burst.ops * burst.threads) as f64 / wall.as_secs_f64(),
        )
        .with("tier", tier)
        .with("pool_bytes", arena.pool().len() as u64)
        .with("repeats", times.len() as u64)
}
