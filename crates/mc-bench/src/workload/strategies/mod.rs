//! Strategies: which segment of a pool is given an object.
//!
//! `cluster` makes the pools, `fill` and `churn` are the scenarios, `measure` the clock.

mod churn;
mod cluster;
mod fill;
mod measure;
mod report;

use mc_segment::{Fit, Strategy};

use crate::pin;
use crate::record::{Run, fields};
use crate::row::{Label, Observer};
use crate::subject::Described;

use super::{Effort, Request, RequestError, Sizes, Workload};

use self::cluster::Cluster;
use self::measure::{Outcome, Strategies};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "strategies",
    summary: "a pool of segments: filling, growing, and churn of different sizes, by strategy",
    subjects: || SUBJECTS.map(|entry| entry.described).to_vec(),
    skipped: &[],
    sizes: Sizes::Fixed,
    is_seeded: true,
    needs_hugepages: false,
    times: &["mc-offset", "mc-segment"],
    fields: fields::<Strategies>,
    page: report::PAGE,
    run,
};

/// A strategy, and the fit within the segments.
#[derive(Clone, Copy, Debug)]
struct Entry {
    described: Described,
    strategy: Strategy,
    fit: Fit,
}

/// What can be measured, in the order of the output.
const SUBJECTS: [Entry; 6] = [
    Entry {
        fit: Fit::BinCeil,
        ..entry(
            "random-bin-ceil",
            "any segment, with the published fit inside: sizes rounded up to bins",
            Strategy::Random,
        )
    },
    entry("random-segment", "any segment", Strategy::Random),
    entry(
        "free-ratio-first",
        "of six segments the emptiest, with restraint towards new ones",
        Strategy::FreeRatioFirst,
    ),
    entry(
        "local-first",
        "the segments of the writer's host, then a ring of hosts",
        Strategy::LocalFirst,
    ),
    entry(
        "capacity-weighted",
        "of two segments, drawn by capacity, the emptier",
        Strategy::CapacityWeighted,
    ),
    entry(
        "best-hole",
        "the segment whose largest hole fits most tightly",
        Strategy::BestHole,
    ),
];

const fn entry(name: &'static str, summary: &'static str, strategy: Strategy) -> Entry {
    Entry {
        described: Described::new(name, summary),
        strategy,
        fit: Fit::Adaptive,
    }
}

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
    let is_asked = |entry: &&Entry| request.subjects.contains(&entry.described.name);
    let entries: Vec<&Entry> = SUBJECTS.iter().filter(is_asked).collect();
    let mut runs = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let label = Label::new(WORKLOAD.name, row.scenario.name(), index, rows.len());
        let name = |entry: &&Entry| entry.described.name;
        let run = |entry: &&Entry| measure(row, entry, request);
        let outcomes = label.in_turns(&entries, name, request.repeats_max(), observer, run);
        let lanes = entries.iter().zip(&outcomes);
        runs.extend(lanes.map(|(entry, outcomes)| record(row, entry, request, outcomes)));
    }
    Ok(runs)
}

fn measure(row: &Row, entry: &Entry, request: &Request) -> Outcome {
    let puts = request.ops_or(PUTS, PUTS_QUICK);
    let bytes = request.effort.choose(SEGMENT_BYTES, SEGMENT_BYTES / 4);
    let cluster = Cluster::new(row.segments, bytes, entry, request.seed);
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
    let (size, filled) = (report::JOINED_BYTES, report::FILLED_BYTES);
    let row = |scenario, segments, replicas| Row {
        scenario,
        segments,
        replicas,
    };
    let mut rows = Vec::new();
    let churned: &[usize] = match request.effort {
        Effort::Full => {
            let fillup = Scenario::Fillup { size: filled };
            rows.extend((1..=3).map(|replicas| row(fillup, 100, replicas)));
            rows.extend([10, 100].map(|segments| row(Scenario::Scaleout { size }, segments, 1)));
            &[1, 10, 100]
        }
        Effort::Quick => {
            let shapes = [(1, 1), (10, 1), (10, 2), (10, 3)];
            for scenario in [Scenario::Fillup { size }, Scenario::Scaleout { size }] {
                rows.extend(shapes.map(|(segments, replicas)| row(scenario, segments, replicas)));
            }
            &[1, 10]
        }
    };
    for pattern in churn::Pattern::ALL {
        for eviction in churn::Eviction::ALL {
            let churn = Scenario::Churn(pattern, eviction);
            let mut segments = churned.to_vec();
            if eviction == churn::Eviction::Window {
                // Windows are searched in each segment by itself: more of them would only repeat the row.
                segments.retain(|segments| *segments <= 10);
            }
            rows.extend(segments.into_iter().map(|segments| row(churn, segments, 1)));
        }
    }
    rows
}

impl Row {
    fn size(&self) -> Option<u64> {
        match self.scenario {
            Scenario::Fillup { size } | Scenario::Scaleout { size } => Some(size),
            Scenario::Churn(..) => None,
        }
    }
}

fn record(row: &Row, entry: &Entry, request: &Request, outcomes: &[Outcome]) -> Run {
    let (pattern, eviction) = match row.scenario {
        Scenario::Churn(pattern, eviction) => (Some(pattern.name()), Some(eviction.name())),
        Scenario::Fillup { .. } | Scenario::Scaleout { .. } => (None, None),
    };
    let record = Strategies {
        subject: entry.described.name.to_owned(),
        scenario: row.scenario.name().to_owned(),
        strategy: entry.strategy.name().to_owned(),
        segments: row.segments as u64,
        replicas: u64::from(row.replicas),
        alloc_size: row.size(),
        pattern: pattern.map(str::to_owned),
        eviction: eviction.map(str::to_owned),
        seed: request.seed,
        measured: Outcome::report(outcomes),
    };
    Run::of(WORKLOAD.name, &record)
}
