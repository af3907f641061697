//! Paired: the key-value pages of a model and the pages of its sparse-attention indexer.

use rand::RngExt;

use crate::churn::{Eviction, Plan, Sampling, sizes};
use crate::page::{Page, no_headlines};
use crate::published;
use crate::record::{Run, fields, record};
use crate::row::{Label, Observer};
use crate::subject::Pool;
use crate::subject::entries;

use super::placed::{self, Mixed};
use super::{ONE_SIZE_ONLY, Request, Sizes, Skipped, Workload, mixed};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "paired",
    summary: "runs of 3,274,752 B and 658,432 B objects in a 1 TiB pool, 5 % evicted per failure",
    subjects: entries::described,
    skipped: &[
        ONE_SIZE_ONLY,
        Skipped::new(
            "range-alloc",
            "each call walks its list of holes, of which there are tens of thousands here",
        ),
    ],
    sizes: Sizes::Fixed,
    is_seeded: true,
    needs_hugepages: false,
    times: &["mc-offset", "mc-offset-compat"],
    fields: fields::<Paired>,
    page: Page {
        heading: "Paired sizes",
        models: "The pages of a model with sparse attention: a round stores n pages of keys and values of 3,274,752 B \
                 and then n indexer pages of 658,432 B, n drawn uniformly from 1 to 128, in a pool of 1 TiB. Two sizes \
                 that do not divide each other leave holes that fit neither, and half a million live objects make every \
                 step a cache miss. 5,000 rounds fill the pool before the clock starts; 50,000 are timed. Every refusal \
                 evicts 5 % of the live objects, chosen at random. Utilization is taken at the refusals only, before \
                 the eviction. What the published allocator gave before its optimization was never published.",
        omits: "It does not model that both pages of a pair would leave together.",
        result: placed::result,
        tables: |document| placed::table(document, &[("after", published::PAIRED)]),
        figures: &[],
        headlines: no_headlines,
        across: Some(|document| {
            let published = [None, Some(published::PAIRED)];
            placed::across("pairs of 3.12 MiB and 643 KiB", document, published)
        }),
    },
    run: |request, observer| Ok(run(request, observer)),
};

record! {
    /// One subject on pairs.
    pub(super) struct Paired {
        + mixed: Mixed; // What every workload of several sizes reports.
        Decided rounds: u64; // Rounds that were timed.
        Decided eviction_samples: u64; // Refusals, at each of which utilization was taken.
    }
}

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

fn run(request: &Request, observer: Observer<'_>) -> Vec<Run> {
    let (plan, rounds) = plan(request);
    let label = Label::new(WORKLOAD.name, "3,274,752 B + 658,432 B", 0, 1);
    let measured = mixed::measure(label, &plan, request, observer);
    let runs = measured.iter().map(|measured| {
        let record = Paired {
            mixed: Mixed::of(measured, request, &plan),
            rounds,
            eviction_samples: measured.outcome.live_bytes_samples.len() as u64,
        };
        placed::run(WORKLOAD.name, &record, &measured.outcome)
    });
    runs.collect()
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
    let (rounds_max, ops_min) = match request.ops {
        Some(ops) => (u64::MAX, ops),
        None => (request.effort.choose(ROUNDS, ROUNDS_QUICK), u64::MAX),
    };
    let (mut timed, mut rounds) = (Vec::new(), 0);
    while rounds < rounds_max && (timed.len() as u64) < ops_min {
        append_round(&mut timed, generator.random_range(1..=PAIRS_MAX));
        rounds += 1;
    }
    let plan = Plan {
        pool: POOL,
        warm_up,
        timed,
        eviction: Eviction::Percent(5),
        sampling: Sampling::Failure,
        seed: request.seed,
        moments: request.moments,
    };
    (plan, rounds)
}

fn append_round(sizes: &mut Vec<u64>, pairs: u64) {
    sizes.extend((0..pairs).map(|_| PAGE_BYTES));
    sizes.extend((0..pairs).map(|_| INDEXER_BYTES));
}
