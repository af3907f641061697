//! Store: objects under keys, read and written by 1, 2 and 16 threads, beside three caches.
//!
//! `subject` is what is compared, `plan` what is asked, `measure` starts and times the threads,
//! [`memory`] looks at the process.

mod measure;
pub mod memory;
mod plan;
mod report;
mod subject;

use crate::record::{Run, fields, record};
use crate::row::{Label, Observer, Step};
use crate::timing::{REPEATS, Rate, Timing, Took};

use super::{Effort, Request, RequestError, Sizes, Workload};

use self::measure::{Filling, Latency, Measure, Tally, Throughput};
use self::memory::MemoryUse;
use self::plan::{Key, Load, SCENARIOS, Scenario, keys};
pub use self::subject::described;
use self::subject::{Entry, SUBJECTS};

const NAME: &str = "store";

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: NAME,
    summary: "1, 2 and 16 threads on one store, beside caches: hits, misses, evictions, memory per object",
    subjects: described,
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
        /// Which of them.
        Row subject: String = "subject";
        /// What the threads ask for.
        Row scenario: String = "scenario";
        /// Threads.
        Row threads: u64 = "threads";
        /// Objects that are stored at first.
        Row objects: u64;
        /// Keys that all threads ask for in a round.
        Decided ops: u64;
        /// What requests are drawn from.
        Decided seed: u64;
        /// Keys of all threads.
        Timed rate: Rate;
        /// Time of a key, all threads counted as one.
        Timed time: Timing;
        /// Half of the calls take at most so long.
        Timed p50_ns: u64 = "p50 ns";
        /// 99 of 100.
        Timed p99_ns: u64 = "p99 ns";
        /// 999 of 1,000.
        Timed p999_ns: u64 = "p99.9 ns";
        /// Keys found, of those looked up.
        Timed hit_rate: f64 = "found";
        /// Calls that did not end as the scenario expects.
        Timed unexpected_results: u64;
        /// Objects whose memory was measured.
        Decided memory_objects: u64;
        /// Memory of one of them, all in.
        Timed bytes_per_object: f64 = "B/object";
        /// Share of it that was given back when all had left.
        Timed given_back: f64;
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
        let extent = match request.effort {
            Effort::Full => Self {
                objects: 100_000,
                memory_objects: 1_000_000,
                ops: 1 << 17,
            },
            Effort::Quick => Self {
                objects: 10_000,
                memory_objects: 100_000,
                ops: 1 << 14,
            },
        };
        let asked = request.ops.and_then(|ops| usize::try_from(ops).ok());
        Self {
            ops: asked.unwrap_or(extent.ops),
            ..extent
        }
    }
}

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let extent = Extent::of(request);
    let entries: Vec<&Entry> = SUBJECTS
        .iter()
        .filter(|entry| request.subjects.contains(&entry.name))
        .collect();
    let memory = |entry: &&Entry| memory::measure_apart(entry.name, extent.memory_objects);
    let memory: Vec<MemoryUse> = entries.iter().map(memory).collect::<Result<_, _>>()?;
    let keys = keys(extent.objects, request.seed);
    let mut runs = Vec::new();
    for (index, &scenario) in SCENARIOS.iter().enumerate() {
        let label = Label {
            workload: NAME,
            row: scenario.name(),
            index,
            rows: SCENARIOS.len(),
        };
        let mut lanes: Vec<Lane<'_>> = entries
            .iter()
            .zip(&memory)
            .map(|(entry, memory)| Lane::new(entry, *memory, scenario, &keys))
            .collect();
        for threads in THREADS {
            let load = load(extent, scenario, threads, request.seed);
            for round in 0..REPEATS {
                for lane in &mut lanes {
                    let subject = lane.entry.name;
                    observer(Step {
                        label,
                        subject,
                        round,
                    });
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
        let record = Served {
            subject: self.entry.name.to_owned(),
            scenario: load.scenario.name().to_owned(),
            threads: load.threads as u64,
            objects: extent.objects as u64,
            ops: repeats[0].ops,
            seed: load.seed,
            rate: Rate::of(&repeats, 1),
            time: Timing::of(&repeats),
            p50_ns: latency.at(0.50),
            p99_ns: latency.at(0.99),
            p999_ns: latency.at(0.999),
            hit_rate: tally.hits as f64 / tally.reads.max(1) as f64,
            unexpected_results: tally.unexpected + latency.tally.unexpected,
            memory_objects: self.memory.objects,
            bytes_per_object: self.memory.bytes_per_object(),
            given_back: self.memory.given_back(),
        };
        Run::of(NAME, &record)
    }
}
