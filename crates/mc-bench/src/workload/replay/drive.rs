//! The loop: every object of every request is looked up and, if it is missing, stored.

use std::time::{Duration, Instant};

use crate::churn::Checksum;
use crate::trace::Trace;
use crate::trace::layout::{Layout, Unit};

use super::cache::{Cache, Tally};

/// What came of a replay.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) elapsed: Duration,
    /// Objects looked up.
    pub(super) lookups: u64,
    pub(super) tokens: u64,
    /// Tokens all objects of which were there.
    pub(super) hit_tokens: u64,
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
    lookups_max: u64,
) -> Outcome {
    let mut outcome = Outcome {
        elapsed: Duration::ZERO,
        lookups: 0,
        tokens: 0,
        hit_tokens: 0,
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
        for unit in layout.units(request) {
            outcome.look_up(&mut cache, &unit);
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
    fn look_up(&mut self, cache: &mut impl Cache, unit: &Unit<'_>) {
        let mut is_hit = true;
        for (key, size_bytes) in unit.objects() {
            self.lookups += 1;
            if cache.get(key) {
                continue;
            }
            is_hit = false;
            if cache.put(key, size_bytes) {
                self.stored_bytes += size_bytes;
            } else {
                self.refused += 1;
            }
        }
        self.tokens += unit.tokens;
        self.hit_tokens += if is_hit { unit.tokens } else { 0 };
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
