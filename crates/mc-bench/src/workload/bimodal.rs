//! Bimodal: small long-lived metadata between large payloads, and now and then one huge object.
//!
//! Every payload of 10.5 to 12.4 MiB comes with a metadata entry of 256 B to 10 KB. The entries stay
//! long: 4,000 of them are kept and the oldest leaves when a new one comes. Payloads leave when a
//! request fails, the one stored longest ago first. Every 2,000th request is one object of 1.25 GiB,
//! which may evict as many bytes as it needs and is refused if that makes no hole for it. An entry
//! that lies between two payloads keeps their holes apart until it leaves, so that what is lost is
//! decided by where the allocator puts objects that take half a percent of the pool.
//!
//! It does not model that entries are read more often than payloads, nor that a payload's entry
//! leaves with it.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::churn::{Classes, Eviction, Plan, Sampling, sizes};
use crate::record::Run;
use crate::row::{Measured, Observer};
use crate::subject::Pool;

use super::{
    Effort, ONE_SIZE_ONLY, Request, RequestError, Sizes, Workload, churn_run, mixed,
    with_distribution,
};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "bimodal",
    summary: "metadata of 256 B to 10 KB, payloads of 10.5 to 12.4 MiB, rarely 1.25 GiB; 4 GiB pool",
    subjects: crate::subject::NAMES,
    skipped: &[ONE_SIZE_ONLY],
    sizes: Sizes::Fixed,
    run,
};

/// Timed operations.
const OPS: u64 = 200_000;

/// Timed operations of a quick run.
const OPS_QUICK: u64 = 50_000;

/// Operations before the clock starts: the metadata are complete after 8,000 and turn over twice
/// more. Half a turn of the huge object beyond a whole number of them, so that a full run does not
/// end in the gap that it leaves.
const OPS_WARM_UP: u64 = 25_000;

/// Metadata sizes: 256 B and more, less than 10 KB.
pub(super) const METADATA_BYTES: std::ops::Range<u64> = 256..10_240;

/// Metadata entries that are kept.
pub(super) const METADATA_OBJECTS_MAX: usize = 4_000;

/// Payload sizes: 10.5 MiB and more, less than 12.4 MiB.
const PAYLOAD_BYTES: std::ops::Range<u64> = 11_010_048..13_002_342;

/// The huge object: 1.25 GiB.
pub(super) const HUGE_BYTES: u64 = 5 << 28;

/// Operations from one huge object to the next. Even, so that it takes the turn of an entry.
const HUGE_EVERY: u64 = 2_000;

pub(super) const POOL: Pool = Pool {
    capacity_bytes: 4 << 30,
    smallest_bytes: METADATA_BYTES.start,
};

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let plan = plan(request);
    let row = "256 B to 1.25 GiB";
    let measured = mixed::measure(WORKLOAD.name, row, &plan, request, observer);
    Ok(measured
        .iter()
        .map(|measured| record(measured, &plan, request))
        .collect())
}

fn plan(request: &Request) -> Plan {
    let ops = request.ops.unwrap_or(match request.effort {
        Effort::Full => OPS,
        Effort::Quick => OPS_QUICK,
    });
    let (warm_up, timed) = draw(request.seed, ops);
    Plan {
        pool: POOL,
        warm_up,
        timed,
        eviction: Eviction::Classes(Classes {
            small_bytes_max: METADATA_BYTES.end,
            small_objects_max: METADATA_OBJECTS_MAX,
            budgeted_bytes_min: HUGE_BYTES,
        }),
        sampling: Sampling::Operation,
        seed: request.seed,
        moments: request.moments,
    }
}

/// Draws the sizes of the warm-up and of the timed operations.
pub(super) fn draw(seed: u64, ops: u64) -> (Vec<u64>, Vec<u64>) {
    let mut generator = sizes(seed);
    let mut draw = |index| size_bytes(index, &mut generator);
    let warm_up = (0..OPS_WARM_UP).map(&mut draw).collect();
    let timed = (OPS_WARM_UP..OPS_WARM_UP + ops).map(&mut draw).collect();
    (warm_up, timed)
}

/// Returns the size of the operation of an index: payload and entry in turns.
fn size_bytes(index: u64, generator: &mut Xoshiro256PlusPlus) -> u64 {
    if index % HUGE_EVERY == HUGE_EVERY - 1 {
        HUGE_BYTES
    } else if index.is_multiple_of(2) {
        generator.random_range(PAYLOAD_BYTES)
    } else {
        generator.random_range(METADATA_BYTES)
    }
}

fn record(measured: &Measured, plan: &Plan, request: &Request) -> Run {
    let outcome = &measured.outcome;
    let huge = plan.timed.iter().filter(|&&size| size == HUGE_BYTES);
    let run = churn_run(WORKLOAD.name, measured, request, plan.timed.len())
        .with("requested_huge", huge.count() as u64)
        .with("refused_others", outcome.refused_others)
        .with("pool_bytes", POOL.capacity_bytes);
    let run = with_distribution(run, outcome, POOL.capacity_bytes);
    match &outcome.occupancy {
        Some(occupancy) => run
            .with("occupancy_small", occupancy.small.clone())
            .with("occupancy_large", occupancy.large.clone()),
        None => run,
    }
}
