//! Compact: a store that moves objects so that less has to leave.

mod order;
mod picture;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mc_store::policy::Policy;
use mc_store::{Compaction, ObjectStore, PutRequest, Removal, StoreOptions};

use crate::churn::Checksum;
use crate::number::{grouped, share, short_share, with_spread};
use crate::page::chart::{Axis, Chart, Drawing, Mark, Panel, Series};
use crate::page::markdown::Table;
use crate::page::{Figure, Made, Page, Place, no_headlines};
use crate::pin;
use crate::record::{Document, Run, fields, record, records};
use crate::row::{Label, Observer, check_agreement, timing};
use crate::stats::Utilization;
use crate::subject::Described;
use crate::timing::{Timing, Took, in_parts};

use self::order::Ordered;
use self::picture::{Before, Picture};
use super::mixed::Mix;
use super::remote::{self, NoBytes, SEGMENT};
use super::{Request, Sizes, Workload, bimodal, loguniform, pages, random};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "compact",
    summary: "sizes of random, loguniform, bimodal, pages in a store that moves within a budget",
    subjects: || {
        vec![Described::new(
            SUBJECT,
            "the store, with a copier that copies nothing",
        )]
    },
    skipped: &[],
    sizes: Sizes::Fixed,
    is_seeded: true,
    needs_hugepages: false,
    times: &["mc-offset", "mc-segment", "mc-store"],
    fields: fields::<Compact>,
    page: Page {
        heading: "Moving within a budget",
        models: "An object store holds objects of the sizes of the workloads of the same names, in pools as large as \
                 theirs. A put that finds no hole may move at most *budget* bytes for each byte that it stores. The order \
                 in which objects leave knows nothing of where they lie: it is drawn at random for `random`, `loguniform` \
                 and `pages`, and `bimodal` lets payloads leave by their age. Of the next ones, up to an eighth of all \
                 bytes, those leave that fit best. Without a budget neighbors leave together where the next in order \
                 make no hole. Of `bimodal`, a 1.25 GiB object counts as refused if more bytes left for it than it has.",
        omits: "It does not model reads, which would hold objects in their places, nor how long copying takes: nothing \
                is copied, so that the time is that of looking, planning and book-keeping.",
        result,
        tables,
        figures: &[
            Figure::new(
                Place::Results,
                "compact-hole.svg",
                "A full pool before and after the put whose hole grew most by moves alone",
                picture::draw,
            ),
            Figure::new(
                Place::Tables,
                "compact-utilization.svg",
                "Mean utilization by the bytes that a put may move for each that it stores",
                draw,
            ),
        ],
        headlines: no_headlines,
        across: None,
    },
    run: |request, observer| Ok(run(request, observer)),
};

record! {
    /// One mixture of sizes under one budget.
    pub(super) struct Compact {
        Row subject: String; // Always the store.
        Row sizes: String = "sizes"; // Name of the mixture.
        Row budget: f64 = "budget"; // Bytes that may be moved for each that is stored.
        Decided ops: u64; // Timed puts.
        Decided seed: u64; // What sizes and order are drawn from.
        Decided refused: u64 = "refused"; // Puts that were refused.
        Decided checksum: String; // Digest of all decisions.
        Decided pool_bytes: u64; // Bytes of the pool.
        Decided utilization_min: f64 = "min"; // Smallest utilization.
        Decided utilization_p50: f64 = "p50"; // Median.
        Decided utilization_mean: f64 = "mean"; // Mean.
        Decided moves: u64; // Objects that were moved.
        Decided moved_bytes_per_stored_byte: f64 = "moved/stored"; // Bytes moved for each that was stored.
        Decided evicted_bytes_per_stored_byte: f64 = "evicted/stored"; // Bytes that left for each that was stored.
        + time: Timing; // Time of a put.
        + picture: Picture; // The put whose hole grew most by moves alone, in one row.
    }
}

const SUBJECT: &str = "mc-store";

/// Bytes that may be moved for each that is stored.
const BUDGETS: [f64; 6] = [0.0, 0.25, 0.5, 0.75, 1.0, 4.0];

/// The row of which a put is pictured, and the bytes that it has at least.
const PICTURED: (&str, f64) = (random::MIX.name, 1.0);
const PICTURED_BYTES_MIN: u64 = 16 << 20;

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
    Mixture::of(&random::MIX, 1_000, |seed, ops| {
        random::MIX.sizes(seed, ops)
    }),
    Mixture::of(&loguniform::MIX, 1_000, |seed, ops| {
        loguniform::MIX.sizes(seed, ops)
    }),
    Mixture {
        name: "bimodal",
        capacity_bytes: bimodal::POOL.capacity_bytes,
        ops: 100_000,
        ops_quick: 2_500,
        draw: bimodal::draw,
        policy: Ordered::payloads_by_age,
        budgeted_bytes_min: bimodal::HUGE_BYTES,
    },
    Mixture::of(&pages::MIX, 500, |seed, ops| pages::MIX.sizes(seed, ops)),
];

impl Mixture {
    /// Returns the sizes of another workload, in which each object is as likely as any other to leave next.
    const fn of(mix: &Mix, ops_quick: u64, draw: fn(u64, u64) -> (Vec<u64>, Vec<u64>)) -> Self {
        Self {
            name: mix.name,
            capacity_bytes: mix.pool.capacity_bytes,
            ops: 20_000,
            ops_quick,
            draw,
            policy: Ordered::at_random,
            budgeted_bytes_min: u64::MAX,
        }
    }
}

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
    took: Vec<Took>,
    live_bytes_samples: Vec<u64>,
    stored_bytes: u64,
    moved_bytes: u64,
    moves: u64,
    evicted_bytes: u64,
    refused: u64,
    checksum: Checksum,
    picture: Picture,
}

fn run(request: &Request, observer: Observer<'_>) -> Vec<Run> {
    let _pinned = pin::to_one_core();
    let rows = MIXTURES.len() * BUDGETS.len();
    let mut runs = Vec::new();
    for mixture in MIXTURES {
        let ops = request.ops_or(mixture.ops, mixture.ops_quick);
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
            let label = Label::new(WORKLOAD.name, &label, runs.len(), rows);
            let outcomes = row.measure(request, label, observer);
            runs.push(Run::of(WORKLOAD.name, &row.record(&outcomes)));
        }
    }
    runs
}

impl Row {
    /// Runs the row; a short one is repeated.
    fn measure(&self, request: &Request, label: Label<'_>, observer: Observer<'_>) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        for round in 0..request.repeats_max() {
            observer(label.step(SUBJECT, round));
            let outcome = self.churn();
            let wall: Duration = outcome.took.iter().map(|took| took.wall).sum();
            let is_long = wall > Duration::from_secs(1);
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
        churn.picture = Picture::default();
        let mut live_bytes_samples = Vec::with_capacity(self.timed.len());
        let took = in_parts(&self.timed, |size_bytes| {
            churn.put(size_bytes);
            live_bytes_samples.push(churn.store.pool().placed_bytes_in_placeable());
        });
        let after = churn.store.stats();
        let mut checksum = Checksum::of(&live_bytes_samples);
        checksum.add(after.moved.bytes);
        Outcome {
            took,
            live_bytes_samples,
            stored_bytes: after.committed_bytes - before.committed_bytes,
            moved_bytes: after.moved.bytes - before.moved.bytes,
            moves: after.moved.objects - before.moved.objects,
            evicted_bytes: after.on_demand.bytes - before.on_demand.bytes,
            refused: churn.refused,
            checksum,
            picture: churn.picture,
        }
    }

    fn record(&self, outcomes: &[Outcome]) -> Compact {
        let first = &outcomes[0];
        check_agreement(self.mixture.name, outcomes.iter().map(|one| one.checksum));
        let capacity_bytes = self.mixture.capacity_bytes;
        let utilization = Utilization::of(&first.live_bytes_samples, capacity_bytes);
        let utilization = utilization.expect("operations are sampled");
        let by_stored = |bytes: u64| bytes as f64 / first.stored_bytes.max(1) as f64;
        Compact {
            subject: SUBJECT.to_owned(),
            sizes: self.mixture.name.to_owned(),
            budget: self.budget,
            ops: first.live_bytes_samples.len() as u64,
            seed: self.seed,
            time: timing(outcomes.iter().map(|outcome| &outcome.took)),
            refused: first.refused,
            checksum: first.checksum.to_string(),
            pool_bytes: capacity_bytes,
            utilization_min: utilization.min,
            utilization_p50: utilization.p50,
            utilization_mean: utilization.mean,
            moves: first.moves,
            moved_bytes_per_stored_byte: by_stored(first.moved_bytes),
            evicted_bytes_per_stored_byte: by_stored(first.evicted_bytes),
            picture: first.picture.clone(),
        }
    }
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Compact> = records(&document.runs)?;
    let at = |sizes: &str, budget: f64| {
        let row = rows
            .iter()
            .find(|row| row.sizes == sizes && row.budget == budget)?;
        Some(short_share(row.utilization_mean))
    };
    let line = || {
        let random = [at("random", 0.0)?, at("random", 0.5)?, at("random", 4.0)?];
        let log = [at("loguniform", 0.0)?, at("loguniform", 0.5)?];
        Some(format!(
            "Half a byte moved for each that is stored takes random sizes from {} to {} of the pool and log-uniform \
             ones from {} to {}; with four bytes random sizes fill {}.",
            random[0], random[1], log[0], log[1], random[2]
        ))
    };
    Ok(line())
}

fn tables(document: &Document) -> Made<String> {
    let headings = "Sizes | budget | min | p50 | mean | moved / stored | evicted / stored | refused | \
                    ns/op";
    let rows: Vec<Compact> = records(&document.runs)?;
    let lines = rows.iter().map(|row| {
        let utilization = [
            row.utilization_min,
            row.utilization_p50,
            row.utilization_mean,
        ];
        let mut cells = vec![row.sizes.clone(), row.budget.to_string()];
        cells.extend(utilization.map(share));
        cells.extend([
            format!("{:.4}", row.moved_bytes_per_stored_byte),
            format!("{:.4}", row.evicted_bytes_per_stored_byte),
            grouped(row.refused),
            with_spread(row.time.ns_per_op, row.time.ns_per_op_spread),
        ]);
        cells
    });
    Ok(Table::of(headings, lines))
}

fn draw(document: &Document) -> Made<Drawing> {
    let rows: Vec<Compact> = records(&document.runs)?;
    let series = MIXTURES.iter().map(|mixture| {
        let rows = rows
            .iter()
            .filter(|row| row.sizes == mixture.name && row.budget <= 1.0);
        let points = rows.map(|row| (row.budget, row.utilization_mean)).collect();
        Series::new(&format!("sizes {}", mixture.name), Mark::Line, points).labelled(mixture.name)
    });
    let x = Axis::linear(
        "bytes that a put may move for each that it stores",
        0.0,
        Some(1.0),
    );
    let y = Axis::linear("mean utilization", 0.8, Some(1.0));
    let panel = Panel::new("", x, y, series.collect());
    Ok(Chart::drawing(
        "Moving within a budget: what a full pool holds",
        1,
        vec![panel],
    ))
}

/// The store and what is put into it.
struct Churn {
    store: ObjectStore,
    mixture: Mixture,
    put: u64,
    /// Keys of the metadata that are kept, the oldest first.
    entries: VecDeque<u64>,
    refused: u64,
    has_picture: bool,
    /// The put whose hole grew most by moves alone.
    picture: Picture,
}

impl Churn {
    fn new(row: &Row) -> Self {
        let pool = remote::pool(row.mixture.capacity_bytes);
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
            has_picture: (row.mixture.name, row.budget) == PICTURED,
            picture: Picture::default(),
        }
    }

    /// Stores an object under the next key.
    fn put(&mut self, size_bytes: u64) {
        let number = self.put;
        self.put += 1;
        let evicted = |store: &ObjectStore| store.stats().on_demand.bytes;
        let is_budgeted = size_bytes >= self.mixture.budgeted_bytes_min;
        let before = if is_budgeted { evicted(&self.store) } else { 0 };
        let placed_bytes = self.store.pool().placed_bytes_in_placeable();
        let free_bytes = self.mixture.capacity_bytes - placed_bytes;
        let may_only_move = (PICTURED_BYTES_MIN..=free_bytes).contains(&size_bytes);
        let pictured =
            (self.has_picture && may_only_move).then(|| Before::of(&self.store, SEGMENT));
        let put = self
            .store
            .put(&number.to_be_bytes(), &PutRequest::new(size_bytes));
        let is_stored = put.is_ok_and(|put| put.commit().is_ok());
        if let Some(before) = pictured {
            self.picture.improve(before.compare(size_bytes));
        }
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
