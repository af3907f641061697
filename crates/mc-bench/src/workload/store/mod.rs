//! Store: objects under keys, read and written by 1, 2 and 16 threads, beside three caches.
//!
//! `subject` is what is compared, `plan` what is asked, `measure` starts and times the threads,
//! [`memory`] looks at the process.

mod entries;
mod measure;
pub mod memory;
mod plan;
mod report;
mod subject;

use crate::record::{Run, fields, record};
use crate::row::{Label, Observer};
use crate::subject::Described;
use crate::timing::{REPEATS, Took};

use super::threads::{Latency, Tally, Threaded, Throughput};
use super::{Request, RequestError, Sizes, Workload};

use self::entries::{Entry, SUBJECTS};
use self::measure::{Filling, Measure};
use self::memory::MemoryUse;
use self::plan::{Key, Load, SCENARIOS, Scenario, keys};

pub use self::entries::measure_here;

const NAME: &str = "store";

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: NAME,
    summary: "1, 2 and 16 threads on one store, beside caches: hits, misses, evictions, memory per object",
    subjects: || Described::all(SUBJECTS.iter().map(|entry| (entry.name, entry.summary))),
    skipped: &[],
    sizes: Sizes::Fixed,
    is_seeded: false,
    needs_hugepages: false,
    times: &["mc-offset", "mc-segment", "mc-store"],
    fields: fields::<Served>,
    page: report::PAGE,
    run,
};

record! {
    /// The store, or a cache, in one scenario with one number of threads.
    pub(super) struct Served {
        + threaded: Threaded;
        Row objects: u64; // Objects that are stored at first.
        Timed hit_rate: f64 = "found"; // Keys found, of those looked up.
        Timed unexpected_results: u64; // Calls that did not end as the scenario expects.
        Decided memory_objects: u64; // Objects whose memory was measured.
        Timed bytes_per_object: f64 = "B/object"; // Memory of one of them, all in.
        Timed given_back: f64; // Share of it that was given back when all had left.
    }
}

/// Numbers of threads, in the order of the output.
pub const THREADS: [usize; 3] = [1, 2, 16];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Objects that are stored.
    objects: usize,
    /// Objects whose memory is measured.
    memory_objects: u64,
    /// Keys that are asked for in a phase, by all threads together.
    ops: usize,
}

impl Extent {
    fn of(request: &Request) -> Self {
        let asked = request.ops.and_then(|ops| usize::try_from(ops).ok());
        Self {
            objects: request.effort.choose(100_000, 10_000),
            memory_objects: request.effort.choose(1_000_000, 100_000),
            ops: asked.unwrap_or(request.effort.choose(1 << 17, 1 << 14)),
        }
    }
}

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let extent = Extent::of(request);
    let is_asked = |entry: &&Entry| request.subjects.contains(&entry.name);
    let entries: Vec<&Entry> = SUBJECTS.iter().filter(is_asked).collect();
    let memory = |entry: &&Entry| memory::measure_apart(entry.name, extent.memory_objects);
    let memory: Vec<MemoryUse> = entries.iter().map(memory).collect::<Result<_, _>>()?;
    let keys = keys(extent.objects, request.seed);
    let mut runs = Vec::new();
    for (index, &scenario) in SCENARIOS.iter().enumerate() {
        let label = Label::new(NAME, scenario.name(), index, SCENARIOS.len());
        let lanes = entries.iter().zip(&memory);
        let mut lanes: Vec<Lane<'_>> = lanes
            .map(|(entry, memory)| Lane::new(entry, *memory, scenario, &keys))
            .collect();
        for threads in THREADS {
            let load = load(extent, scenario, threads, request.seed);
            for round in 0..REPEATS {
                for lane in &mut lanes {
                    observer(label.step(lane.entry.name, round));
                    lane.run(&load);
                }
            }
            runs.extend(lanes.iter_mut().map(|lane| lane.record(&load, extent)));
        }
    }
    Ok(runs)
}

fn load(extent: Extent, scenario: Scenario, threads: usize, seed: u64) -> Load {
    let keys_per_round = threads * scenario.keys_per_call();
    Load {
        scenario,
        threads,
        calls: extent.ops.div_ceil(keys_per_round),
        seed,
    }
}

/// One subject in one scenario.
struct Lane<'k> {
    entry: &'static Entry,
    memory: MemoryUse,
    filled: Box<dyn Measure + 'k>,
    /// What was measured since the last record.
    rounds: Vec<Throughput>,
    latency: Option<Latency>,
}

impl<'k> Lane<'k> {
    fn new(entry: &'static Entry, memory: MemoryUse, scenario: Scenario, keys: &'k [Key]) -> Self {
        Self {
            entry,
            memory,
            filled: (entry.fill)(Filling { scenario, keys }),
            rounds: Vec::new(),
            latency: None,
        }
    }

    /// Runs one round; the first since the last record is also its latency phase, after which caches
    /// and policies are warm.
    fn run(&mut self, load: &Load) {
        if self.latency.is_none() {
            self.latency = Some(self.filled.latency(load));
        }
        let round = self.rounds.len() as u64 + 1;
        let seed = load.seed.wrapping_add(round);
        self.rounds
            .push(self.filled.throughput(&Load { seed, ..*load }));
    }

    fn record(&mut self, load: &Load, extent: Extent) -> Run {
        let rounds = std::mem::take(&mut self.rounds);
        let latency = self.latency.take().expect("at least one round has run");
        let repeats: Vec<Took> = rounds.iter().map(|round| round.took).collect();
        let tally: Tally = rounds.iter().map(|round| round.tally).sum();
        let row = (self.entry.name, load.scenario.name(), load.threads);
        let record = Served {
            threaded: Threaded::of(row, load.seed, &repeats, &latency.times),
            objects: extent.objects as u64,
            hit_rate: tally.hits as f64 / tally.reads.max(1) as f64,
            unexpected_results: tally.unexpected + latency.tally.unexpected,
            memory_objects: self.memory.objects,
            bytes_per_object: self.memory.bytes_per_object(),
            given_back: self.memory.given_back(),
        };
        Run::of(NAME, &record)
    }
}
