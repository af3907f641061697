//! Concurrency: one allocator and 1 to 16 threads.
//!
//! [`subject`] is what is shared, [`task`] what each thread does, [`together`] starts and times
//! them.

mod entries;
mod report;
mod scenario;
mod subject;
mod task;
mod together;

use std::time::Duration;

use crate::record::{Run, fields, record};
use crate::row::{Label, Observer};
use crate::subject::Described;
use crate::timing::{REPEATS, Took};

use super::threads::{Latency, Threaded};
use super::{Effort, Request, RequestError, Sizes, Skipped, Workload};

use self::entries::{ENTRIES, Entry};
use self::scenario::{Load, SCENARIOS, Scenario};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "concurrency",
    summary: "1 to 16 threads on one allocator: refusals, small objects, a large live set, remote frees",
    subjects: || Described::all(ENTRIES.iter().map(|entry| (entry.name, entry.summary))),
    skipped: &[
        Skipped::new("slots/capacity_failed", ONE_SIZE),
        Skipped::new("slots/fragmentation_failed", ONE_SIZE),
        Skipped::new("slots/high_water_mixed", ONE_SIZE),
        Skipped::new("slots/churn", ONE_SIZE),
        Skipped::new("slots/churn_random", ONE_SIZE),
    ],
    sizes: Sizes::Fixed,
    is_seeded: false,
    needs_hugepages: false,
    times: &["mc-offset"],
    fields: fields::<Together>,
    page: report::PAGE,
    run,
};

record! {
    /// One allocator in one scenario with one number of threads.
    pub(super) struct Together {
        + threaded: Threaded;
        Timed iterations_per_thread: u64; // Operations of each.
        Timed throughput_unexpected_results: u64; // Operations that did not end as the scenario expects.
        Timed latency_unexpected_results: u64; // The same where each was timed.
        Decided pool_bytes: u64; // Bytes of the pool.
    }
}

const ONE_SIZE: &str = "all slots are of one size and the scenario asks for several";

/// Numbers of threads, in the order of the output.
const THREADS: [usize; 5] = [1, 2, 4, 8, 16];

/// Operations of each thread and phase, as published.
const ITERATIONS: u64 = 100_000;

/// The same of a quick run.
const ITERATIONS_QUICK: u64 = 5_000;

/// A throughput phase shorter than this is lengthened: it would measure how threads start.
const PHASE_MIN: Duration = Duration::from_millis(50);

/// Factor by which a phase is lengthened at most.
const LENGTHENING_MAX: u64 = 1_000;

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let mut runs = Vec::new();
    for (index, &scenario) in SCENARIOS.iter().enumerate() {
        let label = Label::new(WORKLOAD.name, scenario.name(), index, SCENARIOS.len());
        let mut lanes = lanes(scenario, request);
        // Rounds go through all lanes, so that a slow minute slows all of them.
        for round in 0..REPEATS {
            for lane in &mut lanes {
                observer(label.step(lane.entry.name, round));
                lane.run(request)?;
            }
        }
        runs.extend(lanes.iter().map(|lane| lane.record(request)));
    }
    Ok(runs)
}

/// Returns the rows of a scenario: every number of threads with every subject that can run it.
fn lanes(scenario: Scenario, request: &Request) -> Vec<Lane> {
    let is_run = |entry: &&Entry| {
        request.subjects.contains(&entry.name) && (scenario.has_one_size() || !entry.is_fixed_size)
    };
    let of_threads = |threads| {
        let load = Load {
            scenario,
            threads,
            iterations: request.ops_or(ITERATIONS, ITERATIONS_QUICK),
            seed: request.seed,
        };
        let entries = ENTRIES.iter().filter(is_run);
        entries.map(move |entry| Lane::new(entry, load))
    };
    THREADS.into_iter().flat_map(of_threads).collect()
}

/// One subject and one number of threads, over the rounds.
struct Lane {
    entry: &'static Entry,
    /// What the throughput phase runs, lengthened after the first round if that was short.
    load: Load,
    /// What the latency phase runs.
    latency_load: Load,
    times: Vec<Took>,
    unexpected: u64,
    latency: Option<Latency>,
}

impl Lane {
    fn new(entry: &'static Entry, load: Load) -> Self {
        Self {
            entry,
            load,
            latency_load: load,
            times: Vec::new(),
            unexpected: 0,
            latency: None,
        }
    }

    /// Runs one round; the first of a lane is also its only latency phase.
    fn run(&mut self, request: &Request) -> Result<(), RequestError> {
        if self.latency.is_none() {
            self.latency = Some((self.entry.latency)(&self.latency_load)?);
        }
        let mut throughput = (self.entry.throughput)(&self.load)?;
        let may_lengthen =
            self.times.is_empty() && request.ops.is_none() && request.effort == Effort::Full;
        if may_lengthen && throughput.took.wall < PHASE_MIN {
            self.load.iterations *= lengthening(throughput.took.wall);
            throughput = (self.entry.throughput)(&self.load)?;
        }
        self.times.push(throughput.took);
        self.unexpected += throughput.tally.unexpected;
        Ok(())
    }

    fn record(&self, request: &Request) -> Run {
        let latency = self.latency.as_ref().expect("every lane ran at least once");
        let scenario = self.load.scenario;
        let row = (self.entry.name, scenario.name(), self.load.threads);
        let record = Together {
            threaded: Threaded::of(row, request.seed, &self.times, &latency.times),
            iterations_per_thread: self.load.iterations,
            throughput_unexpected_results: self.unexpected,
            latency_unexpected_results: latency.tally.unexpected,
            pool_bytes: self.load.pool_bytes(),
        };
        Run::of(WORKLOAD.name, &record)
    }
}

/// Returns the factor that makes a phase of a duration last long enough.
fn lengthening(elapsed: Duration) -> u64 {
    let factor = PHASE_MIN.as_nanos() / elapsed.as_nanos().max(1) + 1;
    u64::try_from(factor).map_or(LENGTHENING_MAX, |factor| factor.min(LENGTHENING_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_phases_are_lengthened_within_bounds() {
        for (nanoseconds, expected) in [(0, 1_000), (1_000_000, 51), (49_999_999, 2)] {
            assert_eq!(lengthening(Duration::from_nanos(nanoseconds)), expected);
        }
    }
}
