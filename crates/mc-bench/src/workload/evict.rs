//! Evict: the sizes of the random workload, three ways to choose who leaves.

use mc_offset::{Allocation, Fit, OffsetAllocator, Options};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::{BTreeMap, HashMap};

use crate::churn::{Checksum, victims};
use crate::number::{cell, share, short_share, with_spread};
use crate::page::markdown::Table;
use crate::page::{Made, Page, no_headlines};
use crate::pin;
use crate::record::{Document, Run, fields, record, records};
use crate::row::{Label, Observer, check_agreement, timing};
use crate::stats::Utilization;
use crate::subject::{Described, Placement};
use crate::timing::{Timing, Took, in_parts};

use super::random::{self, POOL};
use super::{Request, Sizes, Workload};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "evict",
    summary: "sizes of random, victims chosen at random, by age, or as the cheapest window",
    subjects: || SUBJECTS.to_vec(),
    skipped: &[],
    sizes: Sizes::Fixed,
    is_seeded: true,
    needs_hugepages: false,
    times: &["mc-offset"],
    fields: fields::<Evict>,
    page: Page {
        heading: "Who is evicted",
        models: "The sizes of the random workload under the default fit, 300,000 of them timed. Here the subjects are \
                 ways to choose who leaves when a request is refused. `random` evicts one live object chosen at random, \
                 `lru` the one stored longest ago, again and again until the request fits. `window` clears the \
                 contiguous window that makes room for the fewest bytes. Age is counted in operations since an object \
                 was stored; whatever leaves at last counts, so that its mean tends to the number of live objects under \
                 every choice.",
        omits: "It does not model hits: nothing makes one old object more worth keeping than another. Nothing is pinned.",
        result,
        tables,
        figures: &[],
        headlines: no_headlines,
        across: None,
    },
    run: |request, observer| Ok(run(request, observer)),
};

const SUBJECTS: [Described; 3] = [
    Described::new(
        "random",
        "a live object chosen at random leaves, until there is room",
    ),
    Described::new(
        "lru",
        "the object stored longest ago leaves, until there is room",
    ),
    Described::new(
        "window",
        "the neighbors leave that make room for the fewest bytes",
    ),
];

record! {
    /// One way to choose who leaves.
    pub(super) struct Evict {
        Row subject: String = "subject"; // Its name.
        Row victim: String; // The same.
        Decided ops: u64; // Timed requests.
        Decided seed: u64; // What sizes and victims are drawn from.
        Decided evicted: u64; // Objects that left.
        Decided checksum: String; // Digest of all decisions.
        Decided pool_bytes: u64; // Bytes of the pool.
        Decided utilization_min: f64 = "min"; // Smallest utilization.
        Decided utilization_p50: f64 = "p50"; // Median.
        Decided utilization_mean: f64 = "mean"; // Mean.
        Decided evicted_bytes_per_stored_byte: f64 = "evicted/stored"; // Bytes that left for each that was stored.
        Decided victim_age_mean: f64 = "age"; // Operations between storing and leaving.
        + time: Timing; // Time of a request, evictions included.
    }
}

/// Timed operations.
const OPS: u64 = 300_000;

/// Timed operations of a quick run.
const OPS_QUICK: u64 = 50_000;

/// What came of a run.
#[derive(Debug)]
struct Outcome {
    took: Vec<Took>,
    live_bytes_samples: Vec<u64>,
    tally: Tally,
    checksum: Checksum,
}

/// What the timed section counted.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    stored_bytes: u64,
    evicted: u64,
    evicted_bytes: u64,
    evicted_age: u64,
}

fn run(request: &Request, observer: Observer<'_>) -> Vec<Run> {
    let _pinned = pin::to_one_core();
    let (warm_up, timed) = random::MIX.sizes(request.seed, request.ops_or(OPS, OPS_QUICK));
    let (subjects, rounds, seed) = (&request.subjects, request.repeats_max(), request.seed);
    let label = Label::new(WORKLOAD.name, random::MIX.row, 0, 1);
    let run = |subject: &&'static str| Store::new(subject, seed).run(&warm_up, &timed);
    let outcomes = label.in_turns(subjects, |subject| subject, rounds, observer, run);
    let lanes = subjects.iter().zip(&outcomes);
    lanes
        .map(|(subject, outcomes)| Run::of(WORKLOAD.name, &record(subject, outcomes, seed)))
        .collect()
}

fn record(subject: &str, outcomes: &[Outcome], seed: u64) -> Evict {
    let first = &outcomes[0];
    check_agreement(subject, outcomes.iter().map(|one| one.checksum));
    let utilization = Utilization::of(&first.live_bytes_samples, POOL.capacity_bytes);
    let utilization = utilization.expect("operations are sampled");
    let tally = first.tally;
    Evict {
        subject: subject.to_owned(),
        victim: subject.to_owned(),
        ops: first.live_bytes_samples.len() as u64,
        seed,
        time: timing(outcomes.iter().map(|outcome| &outcome.took)),
        evicted: tally.evicted,
        checksum: first.checksum.to_string(),
        pool_bytes: POOL.capacity_bytes,
        utilization_min: utilization.min,
        utilization_p50: utilization.p50,
        utilization_mean: utilization.mean,
        evicted_bytes_per_stored_byte: tally.evicted_bytes as f64 / tally.stored_bytes as f64,
        // A run too short to evict has no victims.
        victim_age_mean: tally.evicted_age as f64 / tally.evicted.max(1) as f64,
    }
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Evict> = records(&document.runs)?;
    let mean = |subject: &str| {
        let row = rows.iter().find(|row| row.subject == subject);
        cell(row.map(|row| row.utilization_mean), short_share)
    };
    let [window, lru, random] = ["window", "lru", "random"].map(mean);
    Ok(Some(format!(
        "Neighbors that leave together keep {window} of the pool in use; single victims {lru} (the oldest) and \
         {random} (at random)."
    )))
}

fn tables(document: &Document) -> Made<String> {
    let headings = "Victims | min | p50 | mean | evicted / stored bytes | mean age | ns/op";
    let rows: Vec<Evict> = records(&document.runs)?;
    let lines = rows.iter().map(|row| {
        let utilization = [
            row.utilization_min,
            row.utilization_p50,
            row.utilization_mean,
        ];
        let mut cells = vec![row.victim.clone()];
        cells.extend(utilization.map(share));
        cells.extend([
            format!("{:.4}", row.evicted_bytes_per_stored_byte),
            format!("{:.2}", row.victim_age_mean),
            with_spread(row.time.ns_per_op, row.time.ns_per_op_spread),
        ]);
        cells
    });
    Ok(Table::of(headings, lines))
}

/// The allocator, what lives in it and what has been counted.
struct Store {
    allocator: OffsetAllocator,
    victim: &'static str,
    victims: Xoshiro256PlusPlus,
    /// Live objects by the operation that stored them, which is unique.
    by_birth: BTreeMap<u64, Allocation>,
    /// That operation by the object's offset.
    births: HashMap<u64, u64>,
    now: u64,
    tally: Tally,
}

impl Store {
    fn new(victim: &'static str, seed: u64) -> Self {
        let options = Options {
            fit: Fit::Adaptive,
            ..Options::new(POOL.capacity_bytes)
        };
        Self {
            allocator: OffsetAllocator::with_options(options).expect("the pool is not empty"),
            victim,
            victims: victims(seed),
            by_birth: BTreeMap::new(),
            births: HashMap::new(),
            now: 0,
            tally: Tally::default(),
        }
    }

    fn run(mut self, warm_up: &[u64], timed: &[u64]) -> Outcome {
        warm_up.iter().for_each(|&size| self.put(size));
        self.tally = Tally::default();
        let mut live_bytes_samples = Vec::with_capacity(timed.len());
        let took = in_parts(timed, |size_bytes| {
            self.put(size_bytes);
            live_bytes_samples.push(self.allocator.live_bytes());
        });
        let mut checksum = Checksum::of(&live_bytes_samples);
        for allocation in self.by_birth.values() {
            checksum.add_placement(Placement {
                offset_bytes: allocation.offset(),
                size_bytes: allocation.size(),
            });
        }
        Outcome {
            took,
            live_bytes_samples,
            tally: self.tally,
            checksum,
        }
    }

    /// Stores an object; every size fits the empty pool, so eviction ends.
    fn put(&mut self, size_bytes: u64) {
        let allocation = loop {
            match self.allocator.allocate(size_bytes) {
                Ok(allocation) => break allocation,
                Err(_) => self.evict_for(size_bytes),
            }
        };
        self.births.insert(allocation.offset(), self.now);
        self.by_birth.insert(self.now, allocation);
        self.tally.stored_bytes += size_bytes;
        self.now += 1;
    }

    fn evict_for(&mut self, size_bytes: u64) {
        let births = match self.victim {
            "random" => {
                let index = self.victims.random_range(0..self.by_birth.len());
                self.by_birth.keys().copied().skip(index).take(1).collect()
            }
            "lru" => self.by_birth.keys().copied().take(1).collect(),
            _ => self.window(size_bytes),
        };
        births.into_iter().for_each(|birth| self.evict(birth));
    }

    /// Returns when the objects of the cheapest window were stored.
    fn window(&self, size_bytes: u64) -> Vec<u64> {
        let cost = |allocation: &Allocation| Some(allocation.size());
        let window = self.allocator.cheapest_window(size_bytes, 1, cost);
        let victims = window.expect("nothing is pinned").victims;
        let birth = |allocation: &Allocation| self.births[&allocation.offset()];
        victims.iter().map(birth).collect()
    }

    fn evict(&mut self, birth: u64) {
        let allocation = self.by_birth.remove(&birth).expect("victims are live");
        self.births.remove(&allocation.offset());
        self.tally.evicted += 1;
        self.tally.evicted_bytes += allocation.size();
        self.tally.evicted_age += self.now - birth;
        self.allocator.free(allocation).expect("victims are live");
    }
}
