//! Paired: the key-value pages of a model and the pages of its sparse-attention indexer.
//!
//! A round stores n large objects and then n small ones, n drawn uniformly from 1 to 128, in a pool
//! of 1 TiB; a failure evicts 5 % of the live objects. Two sizes that do not divide each other
//! leave holes that fit neither, and half a million live objects make every step a cache miss.
//!
//! It does not model that both pages of a pair would leave together.

use rand::RngExt;

use crate::churn::{Eviction, Plan, Sampling, sizes};
use crate::published;
use crate::record::Run;
use crate::row::{Label, Measured, Observer, Row};
use crate::subject::Pool;

use super::{
    Effort, ONE_SIZE_ONLY, Request, RequestError, Sizes, Skipped, Workload, churn_run,
    with_distribution, with_published,
};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "paired",
    summary: "runs of 3,274,752 B and 658,432 B objects in a 1 TiB pool, 5 % evicted per failure",
    subjects: crate::subject::NAMES,
    skipped: &[
        ONE_SIZE_ONLY,
        Skipped {
            subject: "range-alloc",
            reason: "each call walks its list of holes, of which there are tens of thousands here",
        },
    ],
    sizes: Sizes::Fixed,
    run,
};

/// Rounds before the clock starts, as published: they fill the pool once.
const ROUNDS_WARM_UP: u64 = 5_000;

/// Timed rounds, as published.
const ROUNDS: u64 = 50_000;

/// Timed rounds of a quick run: about the pool's content once over.
const ROUNDS_QUICK: u64 = 5_000;

/// Objects of each size per round at most.
const PAIRS_MAX: u64 = 128;

/// A page of keys and values: 64 tokens.
const PAGE_BYTES: u64 = 3_274_752;

/// A page of the indexer for the same tokens: 643 KiB.
const INDEXER_BYTES: u64 = 643 << 10;

const POOL: Pool = Pool {
    capacity_bytes: 1 << 40,
    smallest_bytes: INDEXER_BYTES,
};

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let label = Label {
        workload: WORKLOAD.name,
        row: "3,274,752 B + 658,432 B",
        index: 0,
        rows: 1,
    };
    let (plan, rounds) = plan(request);
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
        .map(|measured| record(measured, &plan, rounds, request))
        .collect())
}

/// Draws the rounds and returns them with the number of timed ones.
///
/// A request for a number of operations gets as many whole rounds as reach it.
fn plan(request: &Request) -> (Plan, u64) {
    let mut generator = sizes(request.seed);
    let mut warm_up = Vec::new();
    for _ in 0..ROUNDS_WARM_UP {
        append_round(&mut warm_up, generator.random_range(1..=PAIRS_MAX));
    }
    let (rounds_max, ops_min) = match (request.ops, request.effort) {
        (Some(ops), _) => (u64::MAX, ops),
        (None, Effort::Full) => (ROUNDS, u64::MAX),
        (None, Effort::Quick) => (ROUNDS_QUICK, u64::MAX),
    };
    let (mut timed, mut rounds) = (Vec::new(), 0);
    while rounds < rounds_max && (timed.len() as u64) < ops_min {
        append_round(&mut timed, generator.random_range(1..=PAIRS_MAX));
        rounds += 1;
    }
    let (eviction, sampling) = (Eviction::Percent(5), Sampling::Failure);
    (
        Plan {
            pool: POOL,
            warm_up,
            timed,
            eviction,
            sampling,
            seed: request.seed,
            moments: request.moments,
        },
        rounds,
    )
}

fn append_round(sizes: &mut Vec<u64>, pairs: u64) {
    sizes.extend((0..pairs).map(|_| PAGE_BYTES));
    sizes.extend((0..pairs).map(|_| INDEXER_BYTES));
}

fn record(measured: &Measured, plan: &Plan, rounds: u64, request: &Request) -> Run {
    let run = churn_run(WORKLOAD.name, measured, request, plan.timed.len())
        .with("rounds", rounds)
        .with("pool_bytes", POOL.capacity_bytes)
        .with(
            "eviction_samples",
            measured.outcome.live_bytes_samples.len() as u64,
        );
    let run = with_distribution(run, &measured.outcome, POOL.capacity_bytes);
    // The published figures are of the allocator that rounds up to a bin.
    let figures = (measured.subject == published::AFTER).then_some(published::PAIRED);
    with_published(run, figures)
}
