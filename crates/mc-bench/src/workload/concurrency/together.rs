//! Threads on one fresh allocator, and what a phase of them gives.

use crate::probe::{Clocked, Probe, Unclocked, histogram};
use crate::workload::RequestError;
use crate::workload::threads::{Latency, Part, Tally, Throughput, timed, together};

use super::scenario::Load;
use super::subject::Shareable;
use super::task::tasks;

/// Operations of each thread before it is measured, as published.
const WARM_UP_ITERATIONS: u64 = 1_000;

/// Runs the phase without clocks on a fresh subject.
pub(super) fn throughput<S: Shareable>(load: &Load) -> Result<Throughput, RequestError> {
    let ops = load.iterations * load.threads as u64;
    Ok(Throughput::of(&phase::<S, _>(load, || Unclocked)?, ops))
}

/// Runs the phase that times each operation on a fresh subject.
pub(super) fn latency<S: Shareable>(load: &Load) -> Result<Latency, RequestError> {
    let parts = phase::<S, _>(load, || Clocked(histogram()))?;
    Ok(Latency::of(&parts))
}

/// Runs all threads of a load on a fresh subject in the state that the scenario starts from.
fn phase<S: Shareable, P: Probe + Send>(
    load: &Load,
    probe: impl Fn() -> P,
) -> Result<Vec<Part<P>>, RequestError> {
    let subject = S::new(load.pool_bytes());
    let kept = load.scenario.prepare(&subject)?;
    let workers = tasks::<S>(load).into_iter().map(|task| (task, probe()));
    let parts = together(workers.collect(), |_, (mut task, mut probe), barrier| {
        task.warm_up(&subject, WARM_UP_ITERATIONS);
        barrier.wait();
        let (span, unexpected) = timed(|| task.run(&subject, load.iterations, &mut probe));
        // Frees would disturb the threads that still run.
        barrier.wait();
        task.finish(&subject);
        let tally = Tally {
            unexpected,
            ..Tally::default()
        };
        (span, tally, probe)
    });
    kept.into_iter().for_each(|token| subject.free(token));
    Ok(parts)
}
