//! Store: objects under keys, read and written by 1, 2 and 16 threads, beside three caches.
//!
//! Five scenarios with keys of 32 bytes. The caches hold a value of the size of a
//! descriptor for each key and count entries, so that all evict alike; the store holds places of a
//! segment that nobody writes to. Throughput and latency come from separate phases, so that no clock
//! is read in the loop whose throughput counts. What memory an object takes is measured apart, in a
//! process for each subject.
//!
//! It models the worst contention: threads are pinned to the cores in turn and do nothing but ask.
//! Keys are as likely as each other, so that hit rates tell nothing about policies; `replay` does.
//!
//! `subject` is what is compared, `plan` what is asked, `measure` starts and times the threads,
//! [`memory`] looks at the process.

mod measure;
pub mod memory;
mod plan;
mod subject;

use std::time::Duration;

use crate::record::Run;
use crate::row::{Label, Observer, Step};
use crate::stats::median;

use super::{Effort, Request, RequestError, Sizes, Workload};

use self::measure::{Filling, Latency, Measure, Tally, Throughput};
use self::memory::MemoryUse;
use self::plan::{Key, Load, SCENARIOS, Scenario, keys};

pub use self::subject::{Entry, SUBJECTS};

const NAME: &str = "store";

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: NAME,
    summary: "1, 2 and 16 threads on one store, beside caches: hits, misses, evictions, memory per object",
    subjects: subject::NAMES,
    skipped: &[],
    sizes: Sizes::Fixed,
    run,
};

/// Numbers of threads, in the order of the output.
pub const THREADS: [usize; 3] = [1, 2, 16];

/// Repeats of each row. Odd, so that the median is one of them.
const REPEATS: usize = 3;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Objects that are stored.
    objects: usize,
    /// Objects whose memory is measured.
    memory_objects: u64,
    /// Keys that are asked for in a phase, by all threads together.
    ops: usize,
    repeats: usize,
}

impl Extent {
    fn of(request: &Request) -> Self {
        let extent = match request.effort {
            Effort::Full => Self {
                objects: 100_000,
                memory_objects: 1_000_000,
                ops: 1 << 17,
                repeats: REPEATS,
            },
            Effort::Quick => Self {
                objects: 10_000,
                memory_objects: 100_000,
                ops: 1 << 14,
                repeats: 1,
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
            for round in 0..extent.repeats {
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
        let middle = |time: fn(&Throughput) -> Duration| median(rounds.iter().map(time).collect());
        let seconds = middle(|round| round.elapsed).as_secs_f64();
        let processor = middle(|round| round.processor).as_secs_f64();
        let ops = (load.threads * load.calls * load.scenario.keys_per_call()) as u64;
        let tally: Tally = rounds.iter().map(|round| round.tally).sum();
        let unexpected = tally.unexpected + latency.tally.unexpected;
        Run::new(NAME, self.entry.name)
            .with("scenario", load.scenario.name())
            .with("threads", load.threads as u64)
            .with("objects", extent.objects as u64)
            .with("ops", ops)
            .with("seed", load.seed)
            .with("repeats", rounds.len() as u64)
            .with("ops_per_second", ops as f64 / seconds)
            .with("ns_per_op", seconds * 1e9 / ops as f64)
            .with("cpu_ns_per_op", processor * 1e9 / ops as f64)
            .with("p50_ns", latency.at(0.50))
            .with("p99_ns", latency.at(0.99))
            .with("p999_ns", latency.at(0.999))
            .with("hit_rate", tally.hits as f64 / tally.reads.max(1) as f64)
            .with("unexpected_results", unexpected)
            .with("memory_objects", self.memory.objects)
            .with("bytes_per_object", self.memory.bytes_per_object())
            .with("given_back", self.memory.given_back())
    }
}
