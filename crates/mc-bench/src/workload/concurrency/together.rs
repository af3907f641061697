//! Threads on one fresh allocator, and what a phase of them gives.

use hdrhistogram::Histogram;

use crate::probe::{Clocked, Probe, Unclocked, histogram};
use crate::timing::Took;
use crate::workload::RequestError;
use crate::workload::threads::{Span, merged, timed, together, took};

use super::scenario::Load;
use super::subject::Shareable;
use super::task::tasks;

/// Operations of each thread before it is measured, as published.
const WARM_UP_ITERATIONS: u64 = 1_000;

/// What a phase without clocks in its loop gives.
pub(super) struct Throughput {
    pub(super) took: Took,
    /// Operations that did not end as the scenario expects.
    pub(super) unexpected: u64,
}

/// What a phase gives that times each operation.
pub(super) struct Latency {
    pub(super) times: Histogram<u64>,
    /// Operations that did not end as the scenario expects.
    pub(super) unexpected: u64,
}

/// What one thread did: when, unexpected ends, and its probe.
type Part<P> = (Span, u64, P);

/// Runs the phase without clocks on a fresh subject.
pub(super) fn throughput<S: Shareable>(load: &Load) -> Result<Throughput, RequestError> {
    let parts = phase::<S, _>(load, || Unclocked)?;
    let spans = parts.iter().map(|(span, ..)| *span);
    Ok(Throughput {
        took: took(spans, load.iterations * load.threads as u64),
        unexpected: parts.iter().map(|(_, unexpected, _)| unexpected).sum(),
    })
}

/// Runs the phase that times each operation on a fresh subject.
pub(super) fn latency<S: Shareable>(load: &Load) -> Result<Latency, RequestError> {
    let parts = phase::<S, _>(load, || Clocked(histogram()))?;
    Ok(Latency {
        times: merged(parts.iter().map(|(.., probe)| probe)),
        unexpected: parts.iter().map(|(_, unexpected, _)| unexpected).sum(),
    })
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
        (span, unexpected, probe)
    });
    kept.into_iter().for_each(|token| subject.free(token));
    Ok(parts)
}
