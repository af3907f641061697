//! Random: sizes drawn uniformly from 1 KiB to 64 MiB, about 60 live objects.
//!
//! The case of few, large, unrelated objects, where fragmentation between objects dominates and
//! rounding hardly matters. One random victim leaves per failure, so a large request may take many.
//!
//! It does not model the many small objects that real stores keep beside the large ones.

use rand::RngExt;

use crate::churn::{Eviction, Plan, Sampling, sizes};
use crate::published;
use crate::record::Run;
use crate::row::{Label, Measured, Observer, Row};
use crate::subject::Pool;

use super::{
    Effort, Request, RequestError, Sizes, Workload, churn_run, with_distribution, with_published,
};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "random",
    summary: "sizes uniform in 1 KiB..=64 MiB in a 2 GiB pool, one victim per failure",
    subjects: crate::subject::NAMES,
    skipped: &[],
    sizes: Sizes::Fixed,
    run,
};

/// Timed operations, as published.
const OPS: u64 = 1_000_000;

/// Timed operations of a quick run.
const OPS_QUICK: u64 = 200_000;

const POOL: Pool = Pool {
    capacity_bytes: 2 << 30,
    smallest_bytes: 1 << 10,
};

const SIZE_BYTES_MAX: u64 = 1 << 26;

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let label = Label {
        workload: WORKLOAD.name,
        row: "1 KiB to 64 MiB",
        index: 0,
        rows: 1,
    };
    let plan = plan(request);
    let (subjects, repeats_max) = (&request.subjects, request.repeats_max());
    let row = Row {
        label,
        plan: &plan,
        subjects,
        repeats_max,
    };
    let measured = row.measure(observer);
    Ok(measured
        .iter()
        .map(|measured| record(measured, &plan, request))
        .collect())
}

/// Draws sizes until they fill the pool for the warm-up, then one per timed operation.
fn plan(request: &Request) -> Plan {
    let mut generator = sizes(request.seed);
    let mut draw = || generator.random_range(POOL.smallest_bytes..=SIZE_BYTES_MAX);
    let mut warm_up = Vec::new();
    let mut warm_up_bytes = 0;
    while warm_up_bytes < POOL.capacity_bytes {
        let size_bytes = draw();
        warm_up.push(size_bytes);
        warm_up_bytes += size_bytes;
    }
    let ops = match request.effort {
        Effort::Full => OPS,
        Effort::Quick => OPS_QUICK,
    };
    Plan {
        pool: POOL,
        warm_up,
        timed: (0..request.ops.unwrap_or(ops)).map(|_| draw()).collect(),
        eviction: Eviction::One,
        sampling: Sampling::Operation,
        seed: request.seed,
    }
}

fn record(measured: &Measured, plan: &Plan, request: &Request) -> Run {
    let run = churn_run(WORKLOAD.name, measured, request, plan.timed.len())
        .with("pool_bytes", POOL.capacity_bytes);
    let run = with_distribution(run, &measured.outcome, POOL.capacity_bytes);
    let figures = match measured.subject {
        published::BEFORE => Some(published::RANDOM_BEFORE),
        published::AFTER => Some(published::RANDOM_AFTER),
        _ => None,
    };
    with_published(run, figures)
}
