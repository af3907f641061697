//! Compact: a store that moves objects so that less has to leave.
//!
//! Objects of the sizes of `random`, `loguniform`, `bimodal` and `pages`, in pools as large as theirs, are
//! put into an object store one after another, under budgets of bytes that a put may move for each byte that it
//! stores. The order in which objects leave is that of those workloads and knows nothing of where they lie: a
//! live object at random, or the payload stored longest ago. What is moved is nobody's bytes: the copier does
//! nothing, so that the time is that of looking, planning and book-keeping.
//!
//! It does not model reads, which would hold objects in their places, nor how long copying takes.

mod order;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mc_segment::{Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
use mc_store::policy::Policy;
use mc_store::{Compaction, ObjectStore, PutRequest, Removal, StoreOptions};

use crate::churn::Checksum;
use crate::pin;
use crate::record::Run;
use crate::row::{Label, Observer, Step};
use crate::stats::{Utilization, median};

use self::order::{AtRandom, PayloadsByAge};
use super::no_bytes::NoBytes;
use super::{Effort, Request, RequestError, Sizes, Workload, bimodal, loguniform, pages, random};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "compact",
    summary: "sizes of random, loguniform, bimodal, pages in a store that moves within a budget",
    subjects: &[SUBJECT],
    skipped: &[],
    sizes: Sizes::Fixed,
    run,
};

const SUBJECT: &str = "mc-store";

/// Bytes that may be moved for each that is stored.
const BUDGETS: [f64; 6] = [0.0, 0.25, 0.5, 0.75, 1.0, 4.0];

/// Sizes and the order in which objects leave.
#[derive(Clone, Copy, Debug)]
struct Mixture {
    name: &'static str,
    capacity_bytes: u64,
    ops: u64,
    ops_quick: u64,
    /// Returns what is stored before the clock starts, and what while it runs.
    draw: fn(seed: u64, ops: u64) -> (Vec<u64>, Vec<u64>),
    policy: fn(seed: u64) -> Box<dyn Policy>,
    /// Objects of so many bytes that evict more than that are counted as refused.
    budgeted_bytes_min: u64,
}

const MIXTURES: [Mixture; 4] = [
    Mixture {
        name: "random",
        capacity_bytes: random::MIX.pool.capacity_bytes,
        ops: 20_000,
        ops_quick: 1_000,
        draw: |seed, ops| random::MIX.sizes(seed, ops),
        policy: AtRandom::boxed,
        budgeted_bytes_min: u64::MAX,
    },
    Mixture {
        name: "loguniform",
        capacity_bytes: loguniform::MIX.pool.capacity_bytes,
        ops: 20_000,
        ops_quick: 1_000,
        draw: |seed, ops| loguniform::MIX.sizes(seed, ops),
        policy: AtRandom::boxed,
        budgeted_bytes_min: u64::MAX,
    },
    Mixture {
        name: "bimodal",
        capacity_bytes: bimodal::POOL.capacity_bytes,
        ops: 100_000,
        ops_quick: 2_500,
        draw: bimodal::draw,
        policy: PayloadsByAge::boxed,
        budgeted_bytes_min: bimodal::HUGE_BYTES,
    },
    Mixture {
        name: "pages",
        capacity_bytes: pages::MIX.pool.capacity_bytes,
        ops: 20_000,
        ops_quick: 500,
        draw: |seed, ops| pages::MIX.sizes(seed, ops),
        policy: AtRandom::boxed,
        budgeted_bytes_min: u64::MAX,
    },
];

/// One row: a mixture under a budget.
#[derive(Debug)]
struct Row {
    mixture: Mixture,
    budget: f64,
    warm_up: Vec<u64>,
    timed: Vec<u64>,
    seed: u64,
}

/// What came of a run.
#[derive(Debug)]
struct Outcome {
    elapsed: Duration,
    live_bytes_samples: Vec<u64>,
    stored_bytes: u64,
    moved_bytes: u64,
    moves: u64,
    evicted_bytes: u64,
    refused: u64,
    checksum: Checksum,
}

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let _pinned = pin::to_one_core();
    let rows = MIXTURES.len() * BUDGETS.len();
    let mut runs = Vec::new();
    for mixture in MIXTURES {
        let ops = request.ops.unwrap_or(match request.effort {
            Effort::Full => mixture.ops,
            Effort::Quick => mixture.ops_quick,
        });
        let (warm_up, timed) = (mixture.draw)(request.seed, ops);
        for budget in BUDGETS {
            let row = Row {
                mixture,
                budget,
                warm_up: warm_up.clone(),
                timed: timed.clone(),
                seed: request.seed,
            };
            let label = format!("{} at {budget}", mixture.name);
            let label = Label {
                workload: WORKLOAD.name,
                row: &label,
                index: runs.len(),
                rows,
            };
            let outcomes = row.measure(request, label, observer);
            runs.push(row.record(&outcomes));
        }
    }
    Ok(runs)
}

impl Row {
    /// Runs the row; a short one is repeated.
    fn measure(&self, request: &Request, label: Label<'_>, observer: Observer<'_>) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        for round in 0..request.repeats_max() {
            observer(Step {
                label,
                subject: SUBJECT,
                round,
            });
            let outcome = self.churn();
            let is_long = outcome.elapsed > Duration::from_secs(1);
            outcomes.push(outcome);
            if is_long {
                break;
            }
        }
        outcomes
    }

    fn churn(&self) -> Outcome {
        let mut churn = Churn::new(self);
        for &size_bytes in &self.warm_up {
            churn.put(size_bytes);
        }
        let before = churn.store.stats();
        churn.refused = 0;
        let mut live_bytes_samples = Vec::with_capacity(self.timed.len());
        let start = Instant::now();
        for &size_bytes in &self.timed {
            churn.put(size_bytes);
            live_bytes_samples.push(churn.store.pool().placed_bytes_in_placeable());
        }
        let elapsed = start.elapsed();
        let after = churn.store.stats();
        let mut checksum = Checksum::new();
        let samples = live_bytes_samples.iter();
        samples.for_each(|&live_bytes| checksum.add(live_bytes));
        checksum.add(after.moved.bytes);
        Outcome {
            elapsed,
            live_bytes_samples,
            stored_bytes: after.committed_bytes - before.committed_bytes,
            moved_bytes: after.moved.bytes - before.moved.bytes,
            moves: after.moved.objects - before.moved.objects,
            evicted_bytes: after.on_demand.bytes - before.on_demand.bytes,
            refused: churn.refused,
            checksum,
        }
    }

    fn record(&self, outcomes: &[Outcome]) -> Run {
        let first = &outcomes[0];
        let is_repeated = |other: &Outcome| other.checksum == first.checksum;
        assert!(
            outcomes.iter().all(is_repeated),
            "{self:?} decided differently this time"
        );
        let capacity_bytes = self.mixture.capacity_bytes;
        let ops = first.live_bytes_samples.len();
        let time = median(outcomes.iter().map(|outcome| outcome.elapsed).collect());
        let mut sorted = first.live_bytes_samples.clone();
        sorted.sort_unstable();
        let utilization = Utilization::of(&sorted, capacity_bytes).expect("operations are sampled");
        let by_stored = |bytes: u64| bytes as f64 / first.stored_bytes.max(1) as f64;
        Run::new(WORKLOAD.name, SUBJECT)
            .with("sizes", self.mixture.name)
            .with("budget", self.budget)
            .with("ops", ops as u64)
            .with("seed", self.seed)
            .with("ns_per_op", time.as_nanos() as f64 / ops.max(1) as f64)
            .with("repeats", outcomes.len() as u64)
            .with("refused", first.refused)
            .with("checksum", first.checksum.to_string())
            .with("pool_bytes", capacity_bytes)
            .with("utilization_min", utilization.min)
            .with("utilization_p50", utilization.p50)
            .with("utilization_mean", utilization.mean)
            .with("moves", first.moves)
            .with("moved_bytes_per_stored_byte", by_stored(first.moved_bytes))
            .with(
                "evicted_bytes_per_stored_byte",
                by_stored(first.evicted_bytes),
            )
    }
}

/// The store and what is put into it.
struct Churn {
    store: ObjectStore,
    mixture: Mixture,
    put: u64,
    /// Keys of the metadata that are kept, the oldest first.
    entries: VecDeque<u64>,
    refused: u64,
}

impl Churn {
    fn new(row: &Row) -> Self {
        let pool = SegmentPool::new(SegmentPoolOptions::default());
        let info = SegmentInfo::new(SegmentId(1), "pool", 0, row.mixture.capacity_bytes);
        pool.mount(Segment::remote(info))
            .expect("a segment with bytes can be mounted");
        let options = StoreOptions {
            compaction: Compaction {
                moved_per_placed: row.budget,
                bytes_per_call_max: u64::MAX,
            },
            copier: Some(Arc::new(NoBytes)),
            ..StoreOptions::default()
        };
        let policy = (row.mixture.policy)(row.seed);
        let store = ObjectStore::with_policy(pool, options, policy);
        Self {
            store: store.expect("the options are in order"),
            mixture: row.mixture,
            put: 0,
            entries: VecDeque::new(),
            refused: 0,
        }
    }

    /// Stores an object under the next key.
    fn put(&mut self, size_bytes: u64) {
        let number = self.put;
        self.put += 1;
        let evicted = |store: &ObjectStore| store.stats().on_demand.bytes;
        let is_budgeted = size_bytes >= self.mixture.budgeted_bytes_min;
        let before = if is_budgeted { evicted(&self.store) } else { 0 };
        let put = self
            .store
            .put(&number.to_be_bytes(), &PutRequest::new(size_bytes));
        let is_stored = put.is_ok_and(|put| put.commit().is_ok());
        let is_refused = !is_stored || is_budgeted && evicted(&self.store) - before > size_bytes;
        self.refused += u64::from(is_refused);
        if self.mixture.budgeted_bytes_min == bimodal::HUGE_BYTES
            && size_bytes < bimodal::METADATA_BYTES.end
        {
            self.keep_entry(number);
        }
    }

    /// Keeps an entry of metadata; the oldest leaves when there are too many.
    fn keep_entry(&mut self, number: u64) {
        self.entries.push_back(number);
        if self.entries.len() > bimodal::METADATA_OBJECTS_MAX
            && let Some(oldest) = self.entries.pop_front()
        {
            // It may have been evicted.
            let _ = self.store.remove(&oldest.to_be_bytes(), Removal::IfIdle);
        }
    }
}
