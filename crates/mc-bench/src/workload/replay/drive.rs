//! The loop: the objects of every request are looked up and, if they are missing, stored.

use std::ops::Range;
use std::time::Duration;

use crate::churn::Checksum;
use crate::moments::{Map, Moments};
use crate::timing::{Stopwatch, Took};
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

/// How the parts of a unit are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storing {
    /// Each as an object, as the published design does.
    Apart,
    /// As one object of several parts.
    Together,
}

/// An object of a request.
struct Asked {
    key: ObjectKey,
    /// Where its sizes are in those of the request.
    parts: Range<usize>,
    /// Tokens that are hit with it, if it is the last object of its unit.
    tokens: u64,
}

/// What came of a replay.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) took: Took,
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
    pub(super) moments: Moments,
}

/// How much of a trace is replayed, and looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Objects that are looked up at least, unless the trace ends before.
    pub(super) lookups: u64,
    /// Moments that are kept; the clock stands still meanwhile.
    pub(super) moments: usize,
    /// Bytes of all segments.
    pub(super) capacity_bytes: u64,
}

/// Replays a trace.
pub(super) fn replay(
    mut cache: impl Cache,
    trace: &Trace,
    layout: &Layout,
    (order, storing): (Order, Storing),
    extent: Extent,
) -> Outcome {
    let mut outcome = Outcome {
        took: Took {
            wall: Duration::ZERO,
            processor: Some(Duration::ZERO),
            ops: 0,
        },
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
        moments: Moments::default(),
    };
    let step = trace.requests.len().div_ceil(extent.moments.max(1)).max(1);
    let mut watch = Stopwatch::start();
    for (number, request) in (1..).zip(&trace.requests) {
        if outcome.lookups >= extent.lookups {
            break;
        }
        let (asked, sizes) = objects_of(trace, request, layout, storing);
        let prompt: Vec<_> = asked
            .iter()
            .map(|one| (one.key, &sizes[one.parts.clone()]))
            .collect();
        outcome.tokens += u64::from(request.input_tokens);
        match order {
            Order::Prompt => {
                let served = prompt
                    .iter()
                    .map(|&(key, parts)| cache.serve_one(key, parts));
                outcome.count(&asked, &sizes, &served.collect::<Vec<_>>());
            }
            Order::PrefixFirst => outcome.count(&asked, &sizes, &cache.serve(&prompt)),
        }
        let tally = cache.tally();
        outcome.live_bytes_samples.push(tally.live_bytes);
        outcome.requests_until_full += usize::from(tally.victims + outcome.refused == 0);
        if extent.moments > 0 && (number % step == 0 || number == trace.requests.len()) {
            outcome.took.add(watch.stop(0));
            outcome.keep_moment(number, tally, extent, cache.map().as_ref());
            watch = Stopwatch::start();
        }
    }
    outcome.took.add(watch.stop(outcome.lookups));
    outcome.tally = cache.tally();
    outcome.digest();
    outcome
}

impl Outcome {
    /// Counts what came of the objects of a request.
    fn count(&mut self, asked: &[Asked], sizes: &[u64], served: &[Served]) {
        self.lookups += asked.len() as u64;
        let mut is_prefix = true;
        for (asked, served) in asked.iter().zip(served) {
            is_prefix &= *served == Served::Found;
            match served {
                Served::Found => {
                    self.hit_objects += 1;
                    self.hit_tokens += if is_prefix { asked.tokens } else { 0 };
                }
                Served::Stored => {
                    self.stored_bytes += sizes[asked.parts.clone()].iter().sum::<u64>();
                }
                Served::Refused => self.refused += 1,
            }
        }
    }

    fn keep_moment(&mut self, requests: usize, tally: Tally, extent: Extent, map: Option<&Map>) {
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let utilization = share(tally.live_bytes, extent.capacity_bytes);
        let rate = share(self.hit_tokens, self.tokens);
        let figures = [
            ("requests_moments", requests as f64),
            ("token_hit_rate_moments", rate),
            ("utilization_moments", utilization),
            ("evicted_on_demand_moments", tally.victims as f64),
            ("evicted_by_watermark_moments", tally.by_watermark as f64),
            ("refused_moments", self.refused as f64),
        ];
        self.moments.push(&figures, map);
    }

    fn digest(&mut self) {
        self.checksum = Checksum::of(&self.live_bytes_samples);
        self.checksum.add(self.hit_tokens);
        self.checksum.add(self.refused);
        self.checksum.add(self.tally.evicted_bytes);
    }
}

/// Returns the objects of a request, and the sizes of their parts.
fn objects_of(
    trace: &Trace,
    request: &TraceRequest,
    layout: &Layout,
    storing: Storing,
) -> (Vec<Asked>, Vec<u64>) {
    let (mut asked, mut sizes) = (Vec::new(), Vec::new());
    for unit in layout.units(trace, request) {
        let one = |key, parts| Asked {
            key,
            parts,
            tokens: 0,
        };
        match storing {
            Storing::Apart => {
                for (key, size) in unit.objects() {
                    asked.push(one(key, sizes.len()..sizes.len() + 1));
                    sizes.push(size);
                }
            }
            Storing::Together => {
                let start = sizes.len();
                sizes.extend(unit.sizes());
                asked.push(one(unit.key(), start..sizes.len()));
            }
        }
        if let Some(last) = asked.last_mut() {
            last.tokens = unit.tokens;
        }
    }
    (asked, sizes)
}
