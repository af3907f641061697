//! Replay: the requests of a trace against a store of objects.
//!
//! Every block of a prompt is looked up and, if it is missing, stored, in the order of the trace; the
//! [layout](crate::trace::layout) says as which objects. Capacities are given in bytes or, for the
//! page, as shares of the bytes that all blocks of the trace take together. A token is a hit if all
//! objects that hold it are there. The subjects differ in how they place: the published allocator
//! (`bin-ceil`), ours (`adaptive`), and the reference that compacts for free (`oracle`); `eviction`
//! says who leaves, objects singly in the order of their last use (`lru`) or a window (`window`).
//!
//! It does not model when requests arrive, nor leases: a request is over before the next begins. No
//! bytes are written; the time is that of lookups, places and evictions.

mod cache;
mod drive;
mod options;

use std::collections::HashSet;
use std::time::Duration;

use mc_offset::Fit;
use mc_store::Eviction;

use crate::pin;
use crate::record::Run;
use crate::row::{Label, Observer, Step};
use crate::stats::median;
use crate::subject::ORACLE;
use crate::trace::Trace;
use crate::trace::layout::Layout;

use self::cache::{Oracle, Store};
use self::drive::{Outcome, replay};
use super::{Request, RequestError, Sizes, Workload};

pub use self::options::{ReplayError, ReplayOptions};

/// Name of the workload.
pub(super) const NAME: &str = "replay";

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: NAME,
    summary: "requests of a trace against a store, at shares of the bytes of all blocks",
    subjects: &["bin-ceil", "adaptive", ORACLE],
    skipped: &[],
    sizes: Sizes::Fixed,
    run,
};

/// Capacities of the page, as hundredths of the bytes that all blocks take.
const SHARES_PERCENT: [u64; 9] = [2, 3, 5, 7, 10, 15, 20, 25, 30];

/// Time of a round up to which it is repeated.
const SHORT_ROUND: Duration = Duration::from_secs(2);

/// Points of the curve of utilization over time.
const CURVE_POINTS: usize = 20;

/// One row: a layout at a capacity.
struct Row<'a> {
    trace: &'a Trace,
    trace_name: &'a str,
    layout: &'a Layout,
    segments: u32,
    capacity_bytes: u64,
    /// Bytes of all objects of the trace.
    unique_bytes: u64,
}

/// A subject under one way to evict.
#[derive(Clone, Copy, Debug)]
struct Lane {
    subject: &'static str,
    eviction: &'static str,
}

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let options = &request.replay;
    options.validate()?;
    let lanes = lanes(&request.subjects, &options.evictions()?);
    let (layouts, segments) = (options.layouts()?, options.segments()?);
    let (trace, trace_name) = options.read()?;
    let _pinned = pin::to_one_core();
    let mut rows = Vec::new();
    for layout in &layouts {
        let unique_bytes = unique_bytes(&trace, layout);
        let capacities = match options.capacities_bytes.as_slice() {
            [] => SHARES_PERCENT
                .map(|share| (unique_bytes / 100 * share).max(1))
                .to_vec(),
            given => given.to_vec(),
        };
        rows.extend(capacities.into_iter().map(|capacity_bytes| Row {
            trace: &trace,
            trace_name: &trace_name,
            layout,
            segments,
            capacity_bytes,
            unique_bytes,
        }));
    }
    let mut runs = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let label = format!("{} at {} bytes", row.layout.name, row.capacity_bytes);
        let label = Label {
            workload: WORKLOAD.name,
            row: &label,
            index,
            rows: rows.len(),
        };
        runs.extend(row.measure(&lanes, request, label, observer));
    }
    Ok(runs)
}

/// Returns the pairs to run: the oracle has no holes, so that a window means nothing to it.
fn lanes(subjects: &[&'static str], evictions: &[&'static str]) -> Vec<Lane> {
    let of_subject = |&subject: &&'static str| {
        let evictions = match subject {
            ORACLE => &["lru"],
            _ => evictions,
        };
        let lane = move |&eviction| Lane { subject, eviction };
        evictions.iter().map(lane)
    };
    subjects.iter().flat_map(of_subject).collect()
}

/// Returns the bytes of all objects of a trace, each counted once.
fn unique_bytes(trace: &Trace, layout: &Layout) -> u64 {
    let mut seen = HashSet::new();
    let requests = trace.requests.iter();
    let objects = requests.flat_map(|request| {
        let units = layout.units(request);
        units.flat_map(|unit| unit.objects().collect::<Vec<_>>())
    });
    let unique = objects.filter(|(key, _)| seen.insert(*key));
    unique.map(|(_, size_bytes)| size_bytes).sum()
}

impl Row<'_> {
    /// Runs every lane; they take turns, and short rounds are repeated.
    fn measure(
        &self,
        lanes: &[Lane],
        request: &Request,
        label: Label<'_>,
        observer: Observer<'_>,
    ) -> Vec<Run> {
        let mut outcomes: Vec<Vec<Outcome>> = lanes.iter().map(|_| Vec::new()).collect();
        for round in 0..request.repeats_max() {
            let mut round_time = Duration::ZERO;
            for (lane, outcomes) in lanes.iter().zip(&mut outcomes) {
                let subject = lane.subject;
                observer(Step {
                    label,
                    subject,
                    round,
                });
                let outcome = self.replay(*lane, request.ops.unwrap_or(u64::MAX));
                round_time += outcome.elapsed;
                outcomes.push(outcome);
            }
            if round_time > SHORT_ROUND {
                break;
            }
        }
        let lanes = lanes.iter().zip(&outcomes);
        lanes
            .map(|(lane, outcomes)| self.record(*lane, outcomes))
            .collect()
    }

    fn replay(&self, lane: Lane, lookups_max: u64) -> Outcome {
        let capacity = self.capacity_bytes;
        let eviction = match lane.eviction {
            "lru" => Eviction::InOrder,
            _ => Eviction::Window,
        };
        let store = |fit| Store::new(capacity, self.segments, fit, eviction);
        let (trace, layout) = (self.trace, self.layout);
        match lane.subject {
            "bin-ceil" => replay(store(Fit::BinCeil), trace, layout, lookups_max),
            "adaptive" => replay(store(Fit::Adaptive), trace, layout, lookups_max),
            ORACLE => replay(Oracle::new(capacity), trace, layout, lookups_max),
            _ => unreachable!("requests name subjects of the workload"),
        }
    }

    fn record(&self, lane: Lane, outcomes: &[Outcome]) -> Run {
        let first = &outcomes[0];
        let is_repeated = |other: &Outcome| other.checksum == first.checksum;
        assert!(
            outcomes.iter().all(is_repeated),
            "{lane:?} decided differently this time"
        );
        let time = median(outcomes.iter().map(|outcome| outcome.elapsed).collect());
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let tally = first.tally;
        // Utilization counts from the first eviction on; a pool that is never full has none.
        let full = &first.live_bytes_samples[first.requests_until_full..];
        let full = if full.is_empty() {
            &first.live_bytes_samples
        } else {
            full
        };
        let live: u128 = full.iter().map(|&live| u128::from(live)).sum();
        let utilization = live as f64 / full.len().max(1) as f64 / self.capacity_bytes as f64;
        let run = Run::new(WORKLOAD.name, lane.subject)
            .with("trace", self.trace_name)
            .with("layout", self.layout.name)
            .with("capacity_bytes", self.capacity_bytes)
            .with(
                "capacity_share",
                share(self.capacity_bytes, self.unique_bytes),
            )
            .with("segments", u64::from(self.segments))
            .with("eviction", lane.eviction)
            .with("requests", first.live_bytes_samples.len() as u64)
            .with("skipped_lines", self.trace.skipped_lines)
            .with("ops", first.lookups)
            .with(
                "ns_per_op",
                time.as_nanos() as f64 / first.lookups.max(1) as f64,
            )
            .with("repeats", outcomes.len() as u64)
            .with("token_hit_rate", share(first.hit_tokens, first.tokens))
            .with("stored_bytes", first.stored_bytes)
            .with("evicted_bytes", tally.evicted_bytes)
            .with(
                "evicted_bytes_per_stored_byte",
                share(tally.evicted_bytes, first.stored_bytes),
            )
            .with("refused", first.refused)
            .with("utilization_mean", utilization)
            .with(
                "utilization_over_time",
                self.curve(&first.live_bytes_samples),
            )
            .with("checksum", first.checksum.to_string());
        if tally.victims == 0 {
            return run;
        }
        let evicted_for = share(tally.evicted_bytes, tally.placed_by_eviction_bytes);
        run.with("evicted_bytes_per_placed_byte", evicted_for)
            .with("victim_age_mean", share(tally.victim_ages, tally.victims))
    }

    /// Returns utilization at so many moments of the trace.
    fn curve(&self, live_bytes_samples: &[u64]) -> Vec<f64> {
        let step = live_bytes_samples.len().div_ceil(CURVE_POINTS).max(1);
        let moments = live_bytes_samples.iter().step_by(step);
        moments
            .map(|&live| live as f64 / self.capacity_bytes as f64)
            .collect()
    }
}
