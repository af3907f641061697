//! Replay: the requests of a trace against a store of objects.
//!
//! The [layout](crate::trace::layout) says as which objects the blocks of a prompt are stored.
//! Capacities are given in bytes or as shares of the bytes that all blocks of the trace take together.
//! A token is a hit if all objects up to the one that holds it are there, since a prompt can be served
//! up to what is missing; hits of objects are counted beside it, and the most tokens that a cache can
//! hit that knows the future.
//!
//! The subjects differ in how they place and who leaves. `published` is the published design: its
//! allocator, and objects singly in the order of their last use, each used when its turn in the prompt
//! comes. `default` is a store that nobody has given options. `bin-ceil` and `adaptive` are their
//! allocators alone, so that placement can be compared: by default both let the least recently used
//! leave, singly (`lru`) or as a window (`window`). `oracle` compacts for free. Policies other than
//! that of `published` use what is there of a prompt first, its end before its beginning.
//!
//! Where a unit of tokens is several objects that are of use only together, `published` and `bin-ceil`
//! store each under a key of its own, and so does the oracle. `default` and `adaptive` store them as the
//! parts of one object, in as many pieces at most, so that none outlives the others; lookups are counted by
//! key.
//!
//! Under a budget (`--compaction`), puts that find no hole may move objects; the copier does nothing.
//!
//! It does not model when requests arrive, nor leases: a request is over before the next begins. No
//! bytes are written; the time is that of lookups, places and evictions.

mod bound;
mod cache;
mod drive;
mod options;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mc_offset::Fit;
use mc_store::{Compaction, Eviction, PolicyKind, StoreOptions};

use crate::pin;
use crate::record::Run;
use crate::row::{Label, Observer, Step};
use crate::stats::median;
use crate::subject::ORACLE;
use crate::trace::Trace;
use crate::trace::layout::Layout;

use self::bound::Future;
use self::cache::{Oracle, Store};
use self::drive::{Extent, Order, Outcome, Storing, replay};
use self::options::{Placing, Policy};
use super::no_bytes::NoBytes;
use super::{Request, RequestError, Sizes, Workload};

pub use self::options::{ReplayError, ReplayOptions};

/// Name of the workload.
pub(super) const NAME: &str = "replay";

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: NAME,
    summary: "requests of a trace against a store, at shares of the bytes of all blocks",
    subjects: &[PUBLISHED, DEFAULT, "bin-ceil", "adaptive", ORACLE],
    skipped: &[],
    sizes: Sizes::Fixed,
    run,
};

/// The published design as a whole.
const PUBLISHED: &str = "published";

/// A store without options.
const DEFAULT: &str = "default";

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
    placing: Placing,
    compaction: Compaction,
    capacity_bytes: u64,
    belady_hit_rate: f64,
    /// Bytes of all objects of the trace.
    unique_bytes: u64,
}

/// A subject under one way to evict.
#[derive(Clone, Copy, Debug)]
struct Lane {
    subject: &'static str,
    policy: Policy,
    eviction: &'static str,
}

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let options = &request.replay;
    options.validate()?;
    let lanes = lanes(
        &request.subjects,
        &options.policies()?,
        &options.evictions()?,
    );
    let (layouts, segments, placing) =
        (options.layouts()?, options.segments()?, options.placing()?);
    let compaction = options.compaction()?;
    let (trace, trace_name) = options.read()?;
    let _pinned = pin::to_one_core();
    let mut rows = Vec::new();
    for layout in &layouts {
        let unique_bytes = unique_bytes(&trace, layout);
        let future = Future::new(&trace, layout);
        let capacities = capacities(options, unique_bytes).into_iter();
        rows.extend(capacities.map(|capacity_bytes| Row {
            trace: &trace,
            trace_name: &trace_name,
            layout,
            segments,
            placing,
            compaction,
            capacity_bytes,
            belady_hit_rate: future.hit_rate(capacity_bytes / u64::from(placing.replicas)),
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

/// Returns the capacities that are asked for, or those of the page.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares are positive, and a byte more or less does not matter"
)]
fn capacities(options: &ReplayOptions, unique_bytes: u64) -> Vec<u64> {
    let share = |percent: f64| ((unique_bytes as f64 / 100.0 * percent) as u64).max(1);
    let given = options.capacities_bytes.iter().copied();
    let shares = options
        .capacities_percent
        .iter()
        .map(|percent| share(*percent));
    let asked: Vec<u64> = given.chain(shares).collect();
    if asked.is_empty() {
        return SHARES_PERCENT
            .map(|share| (unique_bytes / 100 * share).max(1))
            .to_vec();
    }
    asked
}

/// Returns what to run. The oracle has no holes, so that a window means nothing to it, and knows one
/// order; published and default are what they are.
fn lanes(subjects: &[&'static str], policies: &[Policy], evictions: &[&'static str]) -> Vec<Lane> {
    let default = Policy::of(PolicyKind::default());
    let of_subject = |&subject: &&'static str| {
        let (policies, evictions) = match subject {
            ORACLE | PUBLISHED => (vec![Policy::LRU], &["lru"][..]),
            DEFAULT => (vec![default], &["window"][..]),
            _ if policies.is_empty() => (vec![Policy::LRU], evictions),
            _ => (policies.to_vec(), evictions),
        };
        policies.into_iter().flat_map(move |policy| {
            evictions.iter().map(move |&eviction| Lane {
                subject,
                policy,
                eviction,
            })
        })
    };
    subjects.iter().flat_map(of_subject).collect()
}

/// Returns the bytes of all objects of a trace, each counted once.
fn unique_bytes(trace: &Trace, layout: &Layout) -> u64 {
    let mut seen = HashSet::new();
    let requests = trace.requests.iter();
    let objects = requests.flat_map(|request| {
        let units = layout.units(trace, request);
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
                let extent = Extent {
                    lookups: request.ops.unwrap_or(u64::MAX),
                    moments: request.moments,
                    capacity_bytes: self.capacity_bytes,
                };
                let outcome = self.replay(*lane, extent);
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

    fn replay(&self, lane: Lane, extent: Extent) -> Outcome {
        let capacity = self.capacity_bytes;
        let eviction = match lane.eviction {
            "lru" => Eviction::InOrder,
            _ => Eviction::Window,
        };
        // The published design moves nothing.
        let compaction = match lane.subject {
            PUBLISHED => Compaction::OFF,
            _ => self.compaction,
        };
        let options = StoreOptions {
            compaction,
            copier: Some(Arc::new(NoBytes)),
            ..StoreOptions::default()
        };
        let options = match lane.subject {
            DEFAULT => options,
            _ => StoreOptions {
                policy: lane.policy.kind,
                eviction,
                ..options
            },
        };
        let order = if lane.policy == Policy::LRU {
            Order::Prompt
        } else {
            Order::PrefixFirst
        };
        let (segments, placing) = (self.segments, self.placing);
        let store = |fit| Store::new(capacity, segments, fit, options, placing);
        let (trace, layout) = (self.trace, self.layout);
        let (apart, together) = ((order, Storing::Apart), (order, Storing::Together));
        match lane.subject {
            PUBLISHED | "bin-ceil" => replay(store(Fit::BinCeil), trace, layout, apart, extent),
            DEFAULT => replay(store(Fit::default()), trace, layout, together, extent),
            "adaptive" => replay(store(Fit::Adaptive), trace, layout, together, extent),
            ORACLE => replay(Oracle::new(capacity), trace, layout, apart, extent),
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
            .with(
                "capacity_percent",
                100.0 * share(self.capacity_bytes, self.unique_bytes),
            )
            .with("segments", u64::from(self.segments))
            .with("replicas", u64::from(self.placing.replicas))
            .with("policy", lane.policy.name)
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
            .with("object_hit_rate", share(first.hit_objects, first.lookups))
            .with("belady_hit_rate", self.belady_hit_rate)
            .with("stored_bytes", first.stored_bytes)
            .with("evicted_bytes", tally.evicted_bytes)
            .with("moved_bytes", tally.moved_bytes)
            .with("compaction", self.compaction.moved_per_placed)
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
        let run = first.moments.describe(run);
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
