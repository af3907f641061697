//! Threads that start together, and what a phase of them gives.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::pin;
use crate::probe::{Clocked, Probe, Unclocked, histogram, thread_time};
use crate::timing::Took;
use crate::workload::RequestError;

use super::scenario::Load;
use super::subject::{Holes, Shareable};
use super::task::{Task, tasks};

/// Operations of each thread before it is measured, as published.
const WARM_UP_ITERATIONS: u64 = 1_000;

/// What a phase without clocks in its loop gives.
pub(super) struct Throughput {
    /// From the first operation of the first thread to the last of the last.
    pub(super) took: Took,
    /// Operations that did not end as the scenario expects.
    pub(super) unexpected: u64,
    /// What was free when the threads started.
    pub(super) holes: Holes,
}

/// What a phase gives that times each operation.
pub(super) struct Latency {
    times: Histogram<u64>,
    /// Operations that did not end as the scenario expects.
    pub(super) unexpected: u64,
}

impl Latency {
    /// Returns the time in nanoseconds that a share of the operations stays within.
    pub(super) fn at(&self, share: f64) -> u64 {
        self.times.value_at_quantile(share)
    }
}

/// What one thread did.
struct Part<P> {
    start: Instant,
    end: Instant,
    processor: Duration,
    unexpected: u64,
    probe: P,
}

/// Runs the phase without clocks on a fresh subject.
pub(super) fn throughput<S: Shareable>(load: &Load) -> Result<Throughput, RequestError> {
    let (parts, holes) = phase::<S, _>(load, || Unclocked)?;
    let start = parts.iter().map(|part| part.start).min();
    let end = parts.iter().map(|part| part.end).max();
    let elapsed = start.zip(end).map(|(start, end)| end - start);
    Ok(Throughput {
        took: Took {
            wall: elapsed.expect("there is at least one thread"),
            processor: Some(parts.iter().map(|part| part.processor).sum()),
            ops: load.iterations * load.threads as u64,
        },
        unexpected: parts.iter().map(|part| part.unexpected).sum(),
        holes,
    })
}

/// Runs the phase that times each operation on a fresh subject.
pub(super) fn latency<S: Shareable>(load: &Load) -> Result<Latency, RequestError> {
    let (parts, _) = phase::<S, _>(load, || Clocked(histogram()))?;
    let mut times = histogram();
    for Part { probe, .. } in &parts {
        times += &probe.0;
    }
    Ok(Latency {
        times,
        unexpected: parts.iter().map(|part| part.unexpected).sum(),
    })
}

/// Runs all threads of a load on a fresh subject in the state that the scenario starts from.
fn phase<S: Shareable, P: Probe + Send>(
    load: &Load,
    probe: impl Fn() -> P,
) -> Result<(Vec<Part<P>>, Holes), RequestError> {
    let subject = S::new(load.pool_bytes());
    let kept = load.scenario.prepare(&subject)?;
    let holes = subject.holes();
    let barrier = Barrier::new(load.threads);
    let parts = thread::scope(|scope| {
        let workers: Vec<_> = tasks::<S>(load)
            .into_iter()
            .enumerate()
            .map(|(index, task)| {
                let (subject, barrier, probe) = (&subject, &barrier, probe());
                let work = move || {
                    pin::in_turn(index);
                    worker(subject, task, load.iterations, barrier, probe)
                };
                scope.spawn(work)
            })
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|part| part.expect("no worker panics"))
            .collect::<Vec<_>>()
    });
    kept.into_iter().for_each(|token| subject.free(token));
    Ok((parts, holes))
}

/// Runs one thread. Its own clock starts when it first runs after the barrier, so that neither the
/// start of threads nor that of a barrier counts.
fn worker<S: Shareable, P: Probe>(
    subject: &S,
    mut task: Task<S>,
    iterations: u64,
    barrier: &Barrier,
    mut probe: P,
) -> Part<P> {
    task.warm_up(subject, WARM_UP_ITERATIONS);
    barrier.wait();
    let (start, used) = (Instant::now(), thread_time());
    let unexpected = task.run(subject, iterations, &mut probe);
    let (end, processor) = (Instant::now(), thread_time() - used);
    // Frees would disturb the threads that still run.
    barrier.wait();
    task.finish(subject);
    Part {
        start,
        end,
        processor,
        unexpected,
        probe,
    }
}
