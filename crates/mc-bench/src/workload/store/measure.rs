//! Threads that start together on one filled subject, and what a phase of them gives.

use crate::probe::{Clocked, Probe, Unclocked, histogram};
use crate::workload::threads::{Latency, Part, Tally, Throughput, timed, together};

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
        let ops = load.threads * load.calls * load.scenario.keys_per_call();
        Throughput::of(&self.phase(load, || Unclocked), ops as u64)
    }

    fn latency(&self, load: &Load) -> Latency {
        Latency::of(&self.phase(load, || Clocked(histogram())))
    }
}
