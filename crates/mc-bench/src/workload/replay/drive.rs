//! The loop: the objects of every request are looked up and, if they are missing, stored.

use std::time::{Duration, Instant};

use crate::churn::Checksum;
use crate::trace::layout::{Layout, ObjectKey};
use crate::trace::{Trace, TraceRequest};

use super::cache::{Cache, Served, Tally};

/// In which order the objects of a request are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Each on its own, the first one first, as the published design does.
    Prompt,
    /// Those of the longest prefix that is there, the last one first; then the others.
    PrefixFirst,
}

/// An object of a request.
struct Asked {
    key: ObjectKey,
    size_bytes: u64,
    /// Tokens that are hit with it, if it is the last object of its unit.
    tokens: u64,
}

/// What came of a replay.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) elapsed: Duration,
    /// Objects looked up.
    pub(super) lookups: u64,
    pub(super) tokens: u64,
    /// Tokens before the first object that was missing.
    pub(super) hit_tokens: u64,
    /// Objects that were there.
    pub(super) hit_objects: u64,
    pub(super) stored_bytes: u64,
    pub(super) refused: u64,
    /// Bytes held after each request.
    pub(super) live_bytes_samples: Vec<u64>,
    /// Requests before the first eviction or refusal.
    pub(super) requests_until_full: usize,
    pub(super) tally: Tally,
    pub(super) checksum: Checksum,
}

/// Replays a trace until `lookups_max` objects have been looked up.
pub(super) fn replay(
    mut cache: impl Cache,
    trace: &Trace,
    layout: &Layout,
    order: Order,
    lookups_max: u64,
) -> Outcome {
    let mut outcome = Outcome {
        elapsed: Duration::ZERO,
        lookups: 0,
        tokens: 0,
        hit_tokens: 0,
        hit_objects: 0,
        stored_bytes: 0,
        refused: 0,
        live_bytes_samples: Vec::with_capacity(trace.requests.len()),
        requests_until_full: 0,
        tally: Tally::default(),
        checksum: Checksum::new(),
    };
    let start = Instant::now();
    for request in &trace.requests {
        if outcome.lookups >= lookups_max {
            break;
        }
        let asked = objects_of(trace, request, layout);
        outcome.tokens += u64::from(request.input_tokens);
        match order {
            Order::Prompt => {
                let served = asked
                    .iter()
                    .map(|one| cache.serve_one(one.key, one.size_bytes));
                outcome.count(&asked, &served.collect::<Vec<_>>());
            }
            Order::PrefixFirst => {
                let prompt: Vec<_> = asked.iter().map(|one| (one.key, one.size_bytes)).collect();
                outcome.count(&asked, &cache.serve(&prompt));
            }
        }
        let tally = cache.tally();
        outcome.live_bytes_samples.push(tally.live_bytes);
        outcome.requests_until_full += usize::from(tally.victims + outcome.refused == 0);
    }
    outcome.elapsed = start.elapsed();
    outcome.tally = cache.tally();
    outcome.digest();
    outcome
}

impl Outcome {
    /// Counts what came of the objects of a request.
    fn count(&mut self, asked: &[Asked], served: &[Served]) {
        self.lookups += asked.len() as u64;
        let mut is_prefix = true;
        for (asked, served) in asked.iter().zip(served) {
            is_prefix &= *served == Served::Found;
            match served {
                Served::Found => {
                    self.hit_objects += 1;
                    self.hit_tokens += if is_prefix { asked.tokens } else { 0 };
                }
                Served::Stored => self.stored_bytes += asked.size_bytes,
                Served::Refused => self.refused += 1,
            }
        }
    }

    fn digest(&mut self) {
        let samples = self.live_bytes_samples.iter();
        samples.for_each(|&live_bytes| self.checksum.add(live_bytes));
        self.checksum.add(self.hit_tokens);
        self.checksum.add(self.refused);
        self.checksum.add(self.tally.evicted_bytes);
        self.checksum.add(self.tally.victim_ages);
    }
}

fn objects_of(trace: &Trace, request: &TraceRequest, layout: &Layout) -> Vec<Asked> {
    let mut asked = Vec::new();
    for unit in layout.units(trace, request) {
        for (key, size_bytes) in unit.objects() {
            asked.push(Asked {
                key,
                size_bytes,
                tokens: 0,
            });
        }
        if let Some(last) = asked.last_mut() {
            last.tokens = unit.tokens;
        }
    }
    asked
}
