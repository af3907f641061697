//! Strategies: which segment of a pool is given an object.
//!
//! Three scenarios: a pool is filled and nothing is freed (`fillup`), empty segments join one that
//! is half full (`scaleout`), and a full pool takes objects of different sizes for others that are
//! evicted (`churn`). One thread places, the segments are remote, so that nothing but the choice and
//! the allocators is timed.
//!
//! It models one writer of a store at a time. It does not model the transfer, nor how fast each host
//! can take what it is given; that is why it reports how evenly the strategies spread.
//!
//! The whole matrix (`--full`), with up to 1024 segments and three replicas, takes about five minutes.
//! With so many segments most of the time of a put is cache misses: the next one is in another segment,
//! whose tables have left the cache since they were last used.
//!
//! `cluster` makes the pools, `fill` and `churn` are the scenarios, `measure` the clock.

mod churn;
mod cluster;
mod fill;
mod measure;

use mc_segment::{Fit, Strategy};

use crate::pin;
use crate::record::Run;
use crate::row::{Label, Observer, Step};

use super::{Effort, Matrix, Request, RequestError, Sizes, Workload};

use self::cluster::{Cluster, Skew};
use self::measure::Outcome;

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "strategies",
    summary: "a pool of segments: filling, growing, and churn of different sizes, by strategy",
    subjects: &NAMES,
    skipped: &[],
    sizes: Sizes::Fixed,
    run,
};

/// A strategy, and the fit within the segments.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name on the command line and in the records.
    pub name: &'static str,
    /// One line for `mc-bench list`.
    pub summary: &'static str,
    strategy: Strategy,
    fit: Fit,
}

/// What can be measured, in the order of the output.
pub const SUBJECTS: [Entry; 6] = [
    Entry {
        name: "random-bin-ceil",
        summary: "any segment, with the published fit inside: sizes rounded up to bins",
        strategy: Strategy::Random,
        fit: Fit::BinCeil,
    },
    Entry {
        name: "random-segment",
        summary: "any segment",
        strategy: Strategy::Random,
        fit: Fit::Adaptive,
    },
    Entry {
        name: "free-ratio-first",
        summary: "of six segments the emptiest, with restraint towards new ones",
        strategy: Strategy::FreeRatioFirst,
        fit: Fit::Adaptive,
    },
    Entry {
        name: "local-first",
        summary: "the segments of the writer's host, then a ring of hosts",
        strategy: Strategy::LocalFirst,
        fit: Fit::Adaptive,
    },
    Entry {
        name: "capacity-weighted",
        summary: "of two segments, drawn by capacity, the emptier",
        strategy: Strategy::CapacityWeighted,
        fit: Fit::Adaptive,
    },
    Entry {
        name: "best-hole",
        summary: "the segment whose largest hole fits most tightly",
        strategy: Strategy::BestHole,
        fit: Fit::Adaptive,
    },
];

/// The names of [`SUBJECTS`].
const NAMES: [&str; SUBJECTS.len()] = {
    let mut names = [""; SUBJECTS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = SUBJECTS[index].name;
        index += 1;
    }
    names
};

/// Bytes of a segment without skew.
const SEGMENT_BYTES: u64 = 1 << 30;

/// Puts that are timed, as published.
const PUTS: u64 = 10_000;

/// The same of a quick run.
const PUTS_QUICK: u64 = 500;

/// One row of the matrix.
#[derive(Clone, Copy, Debug)]
struct Row {
    scenario: Scenario,
    skew: Skew,
    segments: usize,
    replicas: u32,
}

/// What a row does, and with which objects.
#[derive(Clone, Copy, Debug)]
enum Scenario {
    /// Objects of one size until the puts are done or the pool is full.
    Fillup { size: u64 },
    /// The same after half as many segments again joined a pool that was half full.
    Scaleout { size: u64 },
    /// Objects of several sizes in a full pool.
    Churn(churn::Pattern, churn::Eviction),
}

impl Scenario {
    const fn name(self) -> &'static str {
        match self {
            Self::Fillup { .. } => "fillup",
            Self::Scaleout { .. } => "scaleout",
            Self::Churn(..) => "churn",
        }
    }
}

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let _pinned = pin::to_one_core();
    let rows = rows(request);
    let entries = || {
        let is_asked = |entry: &&Entry| request.subjects.contains(&entry.name);
        SUBJECTS.iter().filter(is_asked)
    };
    let mut runs = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        for entry in entries() {
            observer(Step {
                label: Label {
                    workload: WORKLOAD.name,
                    row: row.scenario.name(),
                    index,
                    rows: rows.len(),
                },
                subject: entry.name,
                round: 0,
            });
            runs.push(record(row, entry, request, &measure(row, entry, request)));
        }
    }
    Ok(runs)
}

fn measure(row: &Row, entry: &Entry, request: &Request) -> Outcome {
    let puts = match (request.ops, request.effort) {
        (Some(ops), _) => ops,
        (None, Effort::Full) => PUTS,
        (None, Effort::Quick) => PUTS_QUICK,
    };
    let bytes = match request.effort {
        Effort::Full => SEGMENT_BYTES,
        Effort::Quick => SEGMENT_BYTES / 4,
    };
    let cluster = Cluster::new(row.segments, bytes, row.skew, entry, request.seed);
    match row.scenario {
        Scenario::Fillup { size } => fill::up(cluster, size, row.replicas, puts),
        Scenario::Scaleout { size } => fill::scale_out(cluster, size, row.replicas),
        Scenario::Churn(pattern, eviction) => {
            churn::run(cluster, pattern, eviction, row.replicas, puts, request.seed)
        }
    }
}

/// Returns the rows in the order of the output.
fn rows(request: &Request) -> Vec<Row> {
    let (segments, sizes, skews): (&[usize], &[u64], &[Skew]) =
        match (request.effort, request.matrix) {
            (Effort::Quick, _) => (&[1, 10], &[8 << 20], &[Skew::None]),
            (Effort::Full, Matrix::Usual) => (&[1, 10, 100], &fill::SIZES, &Skew::ALL),
            (Effort::Full, Matrix::Whole) => (&[1, 10, 100, 512, 1024], &fill::SIZES, &Skew::ALL),
        };
    let filling = sizes.iter().flat_map(|&size| {
        let scenarios = [Scenario::Fillup { size }, Scenario::Scaleout { size }];
        scenarios.map(|scenario| (scenario, [1, 2, 3].as_slice()))
    });
    // Twice and three times the objects of one replica are the same objects elsewhere.
    let churn_replicas: &[u32] = match request.matrix {
        Matrix::Usual => &[1],
        Matrix::Whole => &[1, 2, 3],
    };
    let churn = churn::Pattern::ALL.into_iter().flat_map(|pattern| {
        let scenarios = churn::Eviction::ALL.map(|eviction| Scenario::Churn(pattern, eviction));
        scenarios.map(|scenario| (scenario, churn_replicas))
    });
    let mut rows = Vec::new();
    for (scenario, replicas) in filling.chain(churn) {
        for (&skew, &segments) in skews
            .iter()
            .flat_map(|skew| segments.iter().map(move |n| (skew, n)))
        {
            let is_possible = |replicas: &&u32| **replicas as usize <= segments;
            rows.extend(replicas.iter().filter(is_possible).map(|&replicas| Row {
                scenario,
                skew,
                segments,
                replicas,
            }));
        }
    }
    rows.retain(|row| match row.scenario {
        // The churn stops at 100 segments, as published, and windows are searched in each segment
        // by itself: more of them would only repeat the row.
        Scenario::Churn(_, churn::Eviction::Random) => row.segments <= 100,
        Scenario::Churn(_, churn::Eviction::Window) => row.segments <= 10 && row.replicas == 1,
        Scenario::Fillup { .. } | Scenario::Scaleout { .. } => true,
    });
    rows
}

fn record(row: &Row, entry: &Entry, request: &Request, outcome: &Outcome) -> Run {
    let run = Run::new(WORKLOAD.name, entry.name)
        .with("scenario", row.scenario.name())
        .with("strategy", entry.strategy.name())
        .with("segments", row.segments as u64)
        .with("replicas", u64::from(row.replicas))
        .with("skewed", row.skew.name());
    let run = match row.scenario {
        Scenario::Fillup { size } | Scenario::Scaleout { size } => run.with("alloc_size", size),
        Scenario::Churn(pattern, eviction) => run
            .with("pattern", pattern.name())
            .with("eviction", eviction.name()),
    };
    outcome.record(run, request.seed)
}
