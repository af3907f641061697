//! Replay: the requests of a trace against a store of objects.

mod bound;
mod cache;
mod drive;
mod options;
mod report;

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use mc_offset::Fit;
use mc_store::{Compaction, Eviction, PolicyKind, StoreOptions};

use crate::pin;
use crate::record::{Run, fields, record};
use crate::row::{Label, Observer, check_agreement};
use crate::subject::{Described, ORACLE};
use crate::timing::{Timing, Took};
use crate::trace::Trace;
use crate::trace::layout::Layout;

use self::bound::Future;
use self::cache::{Oracle, Store};
use self::drive::{Extent, Order, Outcome, Storing, replay};
use self::options::{CAPACITY_MAX, PERCENT_MAX, Placing, each_once};
use super::remote::NoBytes;
use super::{Request, RequestError, Sizes, Workload};

pub use self::options::{ReplayError, ReplayOptions};

/// Name of the workload.
pub(super) const NAME: &str = "replay";

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: NAME,
    summary: "requests of a trace against a store, at shares of the bytes of all blocks",
    subjects: || SUBJECTS.to_vec(),
    skipped: &[],
    sizes: Sizes::Fixed,
    is_seeded: true,
    needs_hugepages: false,
    times: &["mc-offset", "mc-segment", "mc-store"],
    fields: fields::<Replayed>,
    page: report::PAGE,
    run,
};

/// What is replayed against, in the order of the output.
const SUBJECTS: [Described; 5] = [
    Described::new(
        PUBLISHED,
        "the published design: bin-ceil, objects singly in the order of their last use",
    ),
    Described::new(DEFAULT, "a store whose options nobody has set"),
    Described::new(
        "bin-ceil",
        "the published placement alone; --policy and --eviction say who leaves",
    ),
    Described::new(
        "adaptive",
        "the default placement alone; --policy and --eviction say who leaves",
    ),
    Described::new(
        ORACLE,
        "reference that compacts for free and lets the objects used longest ago leave",
    ),
];

record! {
    /// One subject in one layout at one capacity.
    pub(super) struct Replayed {
        Row subject: String = "subject"; // What the trace was replayed against.
        Row trace: String; // Name of the trace.
        Row layout: String = "layout"; // As which objects blocks are stored.
        Row capacity_bytes: u64; // Bytes of the store.
        Decided capacity_percent: f64 = "capacity %"; // The same in percent.
        Row segments: u64; // Segments of the store.
        Row replicas: u64; // Copies of each object.
        Row policy: String = "policy"; // In which order objects leave.
        Row eviction: String = "eviction"; // Whether they leave singly or as a window.
        Decided requests: u64; // Requests.
        Decided skipped_lines: u64; // Lines of the trace that were no requests.
        Decided ops: u64; // Objects looked up.
        Decided token_hit_rate: f64 = "token hits"; // Tokens before the first object that was missing, of all tokens.
        Decided object_hit_rate: f64; // Objects that were there.
        Decided belady_hit_rate: f64 = "bound"; // The most token hits that a cache can have that knows the future.
        Decided stored_bytes: u64; // Bytes put, those of all copies.
        Decided evicted_bytes: u64; // Bytes that left for puts.
        Decided moved_bytes: u64; // Bytes moved.
        Row compaction: f64; // Bytes that a put may move for each that it stores.
        Decided evicted_bytes_per_stored_byte: f64; // Bytes that left for each that was put.
        Decided evicted_bytes_per_placed_byte: Option<f64>; // Bytes that left for each of the puts that had to evict or move; null if none had.
        Decided refused: u64 = "refused"; // Objects for which there was no room.
        Decided utilization_mean: f64 = "mean"; // Mean from the first eviction on.
        Timed peak_rss_bytes: Option<u64>; // The most memory that the process has had resident.
        Decided checksum: String; // Digest of all decisions.
        + time: Timing; // Time of a lookup, stores and evictions included.
    }
}

/// The published design as a whole.
const PUBLISHED: &str = "published";

/// A store without options.
const DEFAULT: &str = "default";

/// Capacities of the page, as hundredths of the bytes that all blocks take.
const SHARES_PERCENT: [u64; 9] = [2, 3, 5, 7, 10, 15, 20, 25, 30];

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
    policy: PolicyKind,
    eviction: &'static str,
}

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let options = &request.replay;
    options.validate()?;
    let evictions = options.evictions()?;
    let policies = each_once(options.policies.iter().copied());
    let lanes = lanes(&request.subjects, &policies, &evictions);
    let (layouts, segments) = (options.layouts()?, options.segments()?);
    let (placing, compaction) = (options.placing()?, options.compaction()?);
    let (trace, trace_name) = options.read()?;
    let _pinned = pin::to_one_core();
    let mut rows = Vec::new();
    for layout in &layouts {
        check_bytes(&trace, &trace_name, layout, placing.replicas)?;
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
        let label = Label::new(WORKLOAD.name, &label, index, rows.len());
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
    // A byte for each segment.
    let least = u64::from(options.segments.unwrap_or(1));
    let share = |percent: f64| ((unique_bytes as f64 / 100.0 * percent) as u64).max(least);
    let given = options.capacities_bytes.iter().copied();
    let shares = options.capacities_percent.iter();
    let shares = shares.map(|percent| share(*percent));
    let mut asked: Vec<u64> = given.chain(shares).collect();
    if asked.is_empty() {
        asked.extend(SHARES_PERCENT.map(|share| (unique_bytes / 100 * share).max(least)));
    }
    each_once(asked)
}

/// Returns what to run. The oracle has no holes, so that a window means nothing to it, and knows one
/// order; published and default are what they are.
fn lanes(
    subjects: &[&'static str],
    policies: &[PolicyKind],
    evictions: &[&'static str],
) -> Vec<Lane> {
    let of_subject = |&subject: &&'static str| {
        let (policies, evictions) = match subject {
            ORACLE | PUBLISHED => (vec![PolicyKind::Lru], &["lru"][..]),
            DEFAULT => (vec![PolicyKind::default()], &["window"][..]),
            _ if policies.is_empty() => (vec![PolicyKind::Lru], evictions),
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

/// Refuses a trace whose bytes, or a capacity in percent of them, could not be counted.
fn check_bytes(
    trace: &Trace,
    name: &str,
    layout: &Layout,
    replicas: u32,
) -> Result<(), ReplayError> {
    let most = CAPACITY_MAX / (PERCENT_MAX / 100) / u64::from(replicas);
    let units = trace
        .requests
        .iter()
        .flat_map(|request| layout.units(trace, request));
    let objects = units.flat_map(|unit| unit.objects().collect::<Vec<_>>());
    let bytes: u128 = objects.map(|(_, size_bytes)| u128::from(size_bytes)).sum();
    if bytes > u128::from(most) {
        let (trace, layout) = (name.to_owned(), layout.name);
        return Err(ReplayError::TooManyBytes {
            trace,
            layout,
            most,
        });
    }
    Ok(())
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
    /// Runs every lane; they take turns.
    fn measure(
        &self,
        lanes: &[Lane],
        request: &Request,
        label: Label<'_>,
        observer: Observer<'_>,
    ) -> Vec<Run> {
        let extent = Extent {
            lookups: request.ops.unwrap_or(u64::MAX),
            moments: request.moments,
            capacity_bytes: self.capacity_bytes,
        };
        let (rounds, run) = (request.repeats_max(), |lane: &Lane| {
            self.replay(*lane, extent)
        });
        let outcomes = label.in_turns(lanes, |lane| lane.subject, rounds, observer, run);
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
        let options = StoreOptions {
            compaction: self.compaction_of(lane),
            copier: Some(Arc::new(NoBytes)),
            ..StoreOptions::default()
        };
        let options = match lane.subject {
            DEFAULT => options,
            _ => StoreOptions {
                policy: lane.policy,
                eviction,
                ..options
            },
        };
        let order = if lane.policy == PolicyKind::Lru {
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
            ORACLE => {
                let oracle = Oracle::new(capacity, self.placing.replicas);
                replay(oracle, trace, layout, apart, extent)
            }
            _ => unreachable!("requests name subjects of the workload"),
        }
    }

    /// The published design moves nothing, and the oracle has nothing to move.
    fn compaction_of(&self, lane: Lane) -> Compaction {
        match lane.subject {
            PUBLISHED | ORACLE => Compaction::OFF,
            _ => self.compaction,
        }
    }

    fn record(&self, lane: Lane, outcomes: &[Outcome]) -> Run {
        let first = &outcomes[0];
        check_agreement(lane.subject, outcomes.iter().map(|one| one.checksum));
        let took: Vec<Took> = outcomes.iter().map(|outcome| outcome.took).collect();
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let tally = first.tally;
        // Utilization counts from the first eviction on; a pool that is never full has none.
        let full = &first.live_bytes_samples[first.requests_until_full..];
        let full = match full {
            [] => &first.live_bytes_samples,
            _ => full,
        };
        let live: u128 = full.iter().map(|&live| u128::from(live)).sum();
        let utilization = live as f64 / full.len().max(1) as f64 / self.capacity_bytes as f64;
        let stored_bytes = first.stored_bytes * u64::from(self.placing.replicas);
        let has_evicted = tally.victims > 0;
        let evicted_for = share(tally.evicted_bytes, tally.placed_by_eviction_bytes);
        let record = Replayed {
            subject: lane.subject.to_owned(),
            trace: self.trace_name.to_owned(),
            layout: self.layout.name.to_owned(),
            capacity_bytes: self.capacity_bytes,
            capacity_percent: 100.0 * share(self.capacity_bytes, self.unique_bytes),
            segments: u64::from(self.segments),
            replicas: u64::from(self.placing.replicas),
            policy: lane.policy.to_string(),
            eviction: lane.eviction.to_owned(),
            requests: first.live_bytes_samples.len() as u64,
            skipped_lines: self.trace.skipped_lines,
            ops: first.lookups,
            time: Timing::of(&took),
            token_hit_rate: share(first.hit_tokens, first.tokens),
            object_hit_rate: share(first.hit_objects, first.lookups),
            belady_hit_rate: self.belady_hit_rate,
            stored_bytes,
            evicted_bytes: tally.evicted_bytes,
            moved_bytes: tally.moved_bytes,
            compaction: self.compaction_of(lane).moved_per_placed,
            evicted_bytes_per_stored_byte: share(tally.evicted_bytes, stored_bytes),
            evicted_bytes_per_placed_byte: has_evicted.then_some(evicted_for),
            refused: first.refused,
            utilization_mean: utilization,
            peak_rss_bytes: peak_rss_bytes(),
            checksum: first.checksum.to_string(),
        };
        let mut run = Run::of(NAME, &record);
        first.moments.describe(&mut run);
        run
    }
}

/// Returns the most memory that this process has had resident, if the kernel tells.
fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}
