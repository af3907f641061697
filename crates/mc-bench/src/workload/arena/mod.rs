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

use super::request::check_sizes;
use super::tier::tier_name;
use super::{Effort, Request, RequestError, Sizes, Workload};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "arena",
    summary: "one allocation of 64 B to 2 MiB from a populated pool, by 1, 2 and 4 pinned threads",
    subjects: || Described::all(SUBJECTS.iter().map(|entry| (entry.name, entry.summary))),
    skipped: &[],
    sizes: Sizes::Chosen {
        bytes_max: SIZE_BYTES_MAX,
    },
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
    let of_size = |&size_bytes: &usize| THREADS.map(|threads| (size_bytes, threads));
    let rows: Vec<(usize, usize)> = sizes.iter().flat_map(of_size).collect();
    let mut runs = Vec::new();
    for (index, &row) in rows.iter().enumerate() {
        let name = format!("{} B, threads: {}", row.0, row.1);
        let label = Label::new(WORKLOAD.name, &name, index, rows.len());
        runs.extend(measure(&mut arena, request, row, label, observer));
    }
    Ok(runs)
}

fn sizes_bytes(request: &Request) -> Result<Vec<usize>, RequestError> {
    check_sizes(&WORKLOAD, request)?;
    let sizes = if request.sizes.is_empty() {
        &SIZES_BYTES[..]
    } else {
        &request.sizes
    };
    let sizes = sizes.iter().map(|&size| usize::try_from(size));
    Ok(sizes.collect::<Result<_, _>>().expect("the largest fits"))
}

/// Maps the pool in transparent huge pages: reserved ones stay free for the subject that needs them.
fn arena(effort: Effort) -> Result<Arena, RequestError> {
    let bytes = effort.choose(POOL_BYTES, POOL_BYTES_QUICK);
    let options = PoolOptions::new(bytes).pages(PagePolicy::Transparent);
    let pool = options
        .map()
        .map_err(|source| RequestError::memory(WORKLOAD.name, source))?;
    Ok(Arena::new(pool).expect("the pool holds many units of the default alignment"))
}

/// One subject of a row, and what it is to do.
type Lane = (&'static Entry, Burst);

/// Runs the subjects of a row in turns.
fn measure(
    arena: &mut Arena,
    request: &Request,
    (size_bytes, threads): (usize, usize),
    label: Label<'_>,
    observer: Observer<'_>,
) -> Vec<Run> {
    let is_asked = |entry: &&Entry| request.subjects.contains(&entry.name);
    let lane = |entry: &'static Entry| {
        let ops = ops(entry.supply, arena, (size_bytes, threads), request);
        let burst = Burst {
            size_bytes,
            threads,
            ops,
        };
        (entry, burst)
    };
    let lanes: Vec<Lane> = SUBJECTS.iter().filter(is_asked).map(lane).collect();
    let repeats = request.effort.choose(REPEATS, REPEATS_QUICK);
    let run = |(entry, burst): &Lane| (entry.run)(burst, arena);
    let times = label.in_turns(&lanes, |lane| lane.0.name, repeats, observer, run);
    let lanes = lanes.into_iter().zip(times);
    lanes
        .map(|(lane, times)| record(lane, &times, arena))
        .collect()
}

/// Returns the allocations of one thread in a burst.
fn ops(
    supply: Supply,
    arena: &Arena,
    (size_bytes, threads): (usize, usize),
    request: &Request,
) -> usize {
    let ops = match supply {
        Supply::Pool | Supply::Own => {
            let slice_bytes = size_bytes.next_multiple_of(arena.align());
            subject::burst_bytes(arena) / slice_bytes / threads
        }
        Supply::Calls(calls) => calls / request.effort.choose(1, CALLS_QUICK_DIVISOR),
    };
    let asked = request.ops.and_then(|ops| usize::try_from(ops).ok());
    ops.min(asked.unwrap_or(usize::MAX))
}

fn record((entry, burst): Lane, times: &[Took], arena: &Arena) -> Run {
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
