//! Threads that start together on one filled subject, and what a phase of them gives.

use std::iter::Sum;

use hdrhistogram::Histogram;

use crate::probe::{Clocked, Probe, Unclocked, histogram};
use crate::timing::Took;
use crate::workload::threads::{Span, merged, timed, together, took};

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
    pub(super) times: Histogram<u64>,
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

/// What one thread did: when, how its calls ended, and its probe.
type Part<P> = (Span, Tally, P);

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
        let probes = (0..load.threads).map(|_| probe()).collect();
        together(probes, |thread, mut probe: P, barrier| {
            let requests = load.requests(thread, self.keys);
            barrier.wait();
            let mut tally = Tally::default();
            let (span, ()) = timed(|| {
                for &asked in &requests {
                    probe.time(|| self.serve(load.scenario, asked, &mut tally));
                }
            });
            (span, tally, probe)
        })
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
        let ops = load.threads * load.calls * load.scenario.keys_per_call();
        Throughput {
            took: took(parts.iter().map(|(span, ..)| *span), ops as u64),
            tally: parts.iter().map(|(_, tally, _)| *tally).sum(),
        }
    }

    fn latency(&self, load: &Load) -> Latency {
        let parts = self.phase(load, || Clocked(histogram()));
        Latency {
            times: merged(parts.iter().map(|(.., probe)| probe)),
            tally: parts.iter().map(|(_, tally, _)| *tally).sum(),
        }
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
