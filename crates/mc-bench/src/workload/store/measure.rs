//! Threads that start together on one filled subject, and what a phase of them gives.

use std::iter::Sum;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::pin;
use crate::probe::{Clocked, Probe, Unclocked, histogram, thread_time};
use crate::timing::Took;

use super::plan::{Asked, Key, Load, Scenario};
use super::subject::Subject;

/// What a subject is filled with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling<'k> {
    pub(super) scenario: Scenario,
    /// Twice as many as there are objects.
    pub(super) keys: &'k [Key],
}

/// A subject that can be measured again and again.
pub(super) trait Measure {
    /// Runs a phase without clocks in its loop.
    fn throughput(&self, load: &Load) -> Throughput;

    /// Runs a phase that times each call.
    fn latency(&self, load: &Load) -> Latency;
}

/// A subject and its keys.
pub(super) struct Filled<'k, S> {
    subject: S,
    keys: &'k [Key],
}

/// What a phase without clocks gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throughput {
    /// From the first call of the first thread to the last of the last.
    pub(super) took: Took,
    pub(super) tally: Tally,
}

/// What a phase gives that times each call.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    times: Histogram<u64>,
    pub(super) tally: Tally,
}

/// How the calls ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Keys that were looked up.
    pub(super) reads: u64,
    /// Of these, those that were found.
    pub(super) hits: u64,
    /// Calls that did not end as the scenario expects.
    pub(super) unexpected: u64,
}

/// What one thread did.
struct Part<P> {
    start: Instant,
    end: Instant,
    processor: Duration,
    tally: Tally,
    probe: P,
}

/// Makes a subject and fills it.
pub(super) fn filled<S: Subject + 'static>(filling: Filling<'_>) -> Box<dyn Measure + '_> {
    let Filling { scenario, keys } = filling;
    let objects = keys.len() / 2;
    let subject = S::new(scenario.capacity(objects));
    for key in &keys[..objects] {
        subject.put(key);
    }
    Box::new(Filled { subject, keys })
}

impl<S: Subject> Filled<'_, S> {
    /// Runs all threads of a load.
    fn phase<P: Probe + Send>(&self, load: &Load, probe: impl Fn() -> P) -> Vec<Part<P>> {
        let barrier = Barrier::new(load.threads);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..load.threads)
                .map(|thread| {
                    let (barrier, probe) = (&barrier, probe());
                    scope.spawn(move || {
                        pin::in_turn(thread);
                        let requests = load.requests(thread, self.keys);
                        barrier.wait();
                        self.work(load.scenario, &requests, probe)
                    })
                })
                .collect();
            let joined = workers.into_iter().map(|worker| worker.join());
            joined.map(|part| part.expect("no worker panics")).collect()
        })
    }

    /// Runs one thread. Its own clocks start when it first runs after the barrier.
    fn work<P: Probe>(&self, scenario: Scenario, requests: &[Asked], mut probe: P) -> Part<P> {
        let mut tally = Tally::default();
        let (start, used) = (Instant::now(), thread_time());
        for &asked in requests {
            probe.time(|| self.serve(scenario, asked, &mut tally));
        }
        Part {
            processor: thread_time() - used,
            end: Instant::now(),
            start,
            tally,
            probe,
        }
    }

    #[inline]
    fn serve(&self, scenario: Scenario, asked: Asked, tally: &mut Tally) {
        let first = asked.key as usize;
        let key = &self.keys[first];
        let is_expected = match scenario {
            Scenario::GetMany => {
                let many = scenario.keys_per_call();
                let found = self.subject.get_many(&self.keys[first..first + many]);
                tally.reads += many as u64;
                tally.hits += found as u64;
                found == many
            }
            Scenario::Mixed if asked.is_removal => {
                self.subject.remove(key);
                true
            }
            _ => {
                let is_hit = self.subject.get(key);
                tally.reads += 1;
                tally.hits += u64::from(is_hit);
                match scenario {
                    Scenario::GetHit => is_hit,
                    Scenario::GetMiss => !is_hit,
                    _ => is_hit || self.subject.put(key),
                }
            }
        };
        tally.unexpected += u64::from(!is_expected);
    }
}

impl<S: Subject> Measure for Filled<'_, S> {
    fn throughput(&self, load: &Load) -> Throughput {
        let parts = self.phase(load, || Unclocked);
        let start = parts.iter().map(|part| part.start).min();
        let end = parts.iter().map(|part| part.end).max();
        let elapsed = start.zip(end).map(|(start, end)| end - start);
        Throughput {
            took: Took {
                wall: elapsed.expect("there is at least one thread"),
                processor: Some(parts.iter().map(|part| part.processor).sum()),
                ops: (load.threads * load.calls * load.scenario.keys_per_call()) as u64,
            },
            tally: parts.iter().map(|part| part.tally).sum(),
        }
    }

    fn latency(&self, load: &Load) -> Latency {
        let parts = self.phase(load, || Clocked(histogram()));
        let mut times = histogram();
        for Part { probe, .. } in &parts {
            times += &probe.0;
        }
        Latency {
            times,
            tally: parts.iter().map(|part| part.tally).sum(),
        }
    }
}

impl Latency {
    /// Returns the time in nanoseconds that a share of the calls stays within.
    pub(super) fn at(&self, share: f64) -> u64 {
        self.times.value_at_quantile(share)
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, tally| Self {
            reads: sum.reads + tally.reads,
            hits: sum.hits + tally.hits,
            unexpected: sum.unexpected + tally.unexpected,
        })
    }
}
