//! Evict: the sizes of the random workload, four ways to choose who leaves.
//!
//! Sizes drawn uniformly from 1 KiB to 64 MiB in a pool of 2 GiB under the default fit. The subjects
//! are not allocators but victims: a live object at random (`random`), the one stored longest ago
//! (`lru`: nothing is read between, so it is the least recently used), or all objects of the
//! contiguous window that is cheapest to clear, at a cost of its bytes (`window`) or of its bytes
//! discounted by age (`window-age`). Eviction by single objects goes on until a hole happens to be
//! large enough; a window makes the hole at once. Beside utilization stands the mean age of the
//! victims, in operations: a policy that throws out what was stored a moment ago is no cache.
//!
//! It does not model hits, which would make some old objects worth keeping, nor pinned objects. The
//! discount is a power, computed by the mathematical library of the platform, so decisions of
//! `window-age` can differ between platforms.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use mc_offset::{Allocation, Fit, OffsetAllocator, Options};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::churn::{Checksum, sizes, victims};
use crate::pin;
use crate::record::Run;
use crate::row::{Label, Observer, Step};
use crate::stats::{Utilization, median};
use crate::subject::Placement;

use super::random::{POOL, draw};
use super::{Effort, Request, RequestError, Sizes, Workload, mixed};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "evict",
    summary: "sizes of random, victims chosen at random, by age, by window, by window and age",
    subjects: &["random", "lru", "window", "window-age"],
    skipped: &[],
    sizes: Sizes::Fixed,
    run,
};

/// Timed operations.
const OPS: u64 = 300_000;

/// Timed operations of a quick run.
const OPS_QUICK: u64 = 50_000;

/// An object of age a costs (a + 1) to this power times its bytes.
///
/// Each doubling of its age takes 7 % off: enough to make the victims older than those of plain
/// windows, too little to give up a window that is much smaller.
const AGE_EXPONENT: f64 = -0.1;

/// Who leaves when a request is refused.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Random,
    Oldest,
    Window,
    WindowByAge,
}

/// What came of a run.
#[derive(Debug)]
struct Outcome {
    elapsed: Duration,
    live_bytes_samples: Vec<u64>,
    tally: Tally,
    checksum: Checksum,
}

/// What the timed section counted.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    stored_bytes: u64,
    evicted: u64,
    evicted_bytes: u64,
    evicted_age: u64,
}

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let _pinned = pin::to_one_core();
    let ops = request.ops.unwrap_or(match request.effort {
        Effort::Full => OPS,
        Effort::Quick => OPS_QUICK,
    });
    let mut generator = sizes(request.seed);
    let warm_up = mixed::filling(POOL.capacity_bytes, || draw(&mut generator));
    let timed: Vec<u64> = (0..ops).map(|_| draw(&mut generator)).collect();
    let mut outcomes: Vec<Vec<Outcome>> = request.subjects.iter().map(|_| Vec::new()).collect();
    for round in 0..request.repeats_max() {
        for (&subject, outcomes) in request.subjects.iter().zip(&mut outcomes) {
            let label = Label {
                workload: WORKLOAD.name,
                row: "1 KiB to 64 MiB",
                index: 0,
                rows: 1,
            };
            observer(Step {
                label,
                subject,
                round,
            });
            let store = Store::new(victim(subject), request.seed);
            outcomes.push(store.run(&warm_up, &timed));
        }
    }
    let lanes = request.subjects.iter().zip(&outcomes);
    Ok(lanes
        .map(|(subject, outcomes)| record(subject, outcomes, request.seed))
        .collect())
}

fn victim(subject: &str) -> Victim {
    match subject {
        "random" => Victim::Random,
        "lru" => Victim::Oldest,
        "window" => Victim::Window,
        "window-age" => Victim::WindowByAge,
        _ => unreachable!("requests name subjects of the workload"),
    }
}

fn record(subject: &str, outcomes: &[Outcome], seed: u64) -> Run {
    let first = &outcomes[0];
    let is_repeated = |other: &Outcome| other.checksum == first.checksum;
    assert!(
        outcomes.iter().all(is_repeated),
        "{subject} decided differently this time"
    );
    let ops = first.live_bytes_samples.len();
    let time = median(outcomes.iter().map(|outcome| outcome.elapsed).collect());
    let mut sorted = first.live_bytes_samples.clone();
    sorted.sort_unstable();
    let utilization =
        Utilization::of(&sorted, POOL.capacity_bytes).expect("operations are sampled");
    let Tally {
        stored_bytes,
        evicted,
        evicted_bytes,
        evicted_age,
    } = first.tally;
    Run::new(WORKLOAD.name, subject)
        .with("victim", subject)
        .with("ops", ops as u64)
        .with("seed", seed)
        .with("ns_per_op", time.as_nanos() as f64 / ops as f64)
        .with("repeats", outcomes.len() as u64)
        .with("evicted", evicted)
        .with("checksum", first.checksum.to_string())
        .with("pool_bytes", POOL.capacity_bytes)
        .with("utilization_min", utilization.min)
        .with("utilization_p50", utilization.p50)
        .with("utilization_mean", utilization.mean)
        .with(
            "evicted_bytes_per_stored_byte",
            evicted_bytes as f64 / stored_bytes as f64,
        )
        // A run too short to evict has no victims.
        .with("victim_age_mean", evicted_age as f64 / evicted.max(1) as f64)
}

/// The allocator, what lives in it and what has been counted.
struct Store {
    allocator: OffsetAllocator,
    victim: Victim,
    victims: Xoshiro256PlusPlus,
    /// Live objects by the operation that stored them, which is unique.
    by_birth: BTreeMap<u64, Allocation>,
    /// That operation by the object's offset.
    births: HashMap<u64, u64>,
    now: u64,
    tally: Tally,
}

impl Store {
    fn new(victim: Victim, seed: u64) -> Self {
        let options = Options {
            fit: Fit::Adaptive,
            ..Options::new(POOL.capacity_bytes)
        };
        Self {
            allocator: OffsetAllocator::with_options(options).expect("the pool is not empty"),
            victim,
            victims: victims(seed),
            by_birth: BTreeMap::new(),
            births: HashMap::new(),
            now: 0,
            tally: Tally::default(),
        }
    }

    fn run(mut self, warm_up: &[u64], timed: &[u64]) -> Outcome {
        warm_up.iter().for_each(|&size| self.put(size));
        self.tally = Tally::default();
        let mut live_bytes_samples = Vec::with_capacity(timed.len());
        let start = Instant::now();
        for &size_bytes in timed {
            self.put(size_bytes);
            live_bytes_samples.push(self.allocator.live_bytes());
        }
        let elapsed = start.elapsed();
        let mut checksum = Checksum::new();
        let samples = live_bytes_samples.iter();
        samples.for_each(|&live_bytes| checksum.add(live_bytes));
        for allocation in self.by_birth.values() {
            checksum.add_placement(Placement {
                offset_bytes: allocation.offset(),
                size_bytes: allocation.size(),
            });
        }
        Outcome {
            elapsed,
            live_bytes_samples,
            tally: self.tally,
            checksum,
        }
    }

    /// Stores an object; every size fits the empty pool, so eviction ends.
    fn put(&mut self, size_bytes: u64) {
        let allocation = loop {
            match self.allocator.allocate(size_bytes) {
                Ok(allocation) => break allocation,
                Err(_) => self.evict_for(size_bytes),
            }
        };
        self.births.insert(allocation.offset(), self.now);
        self.by_birth.insert(self.now, allocation);
        self.tally.stored_bytes += size_bytes;
        self.now += 1;
    }

    fn evict_for(&mut self, size_bytes: u64) {
        let births = match self.victim {
            Victim::Random => {
                let index = self.victims.random_range(0..self.by_birth.len());
                self.by_birth
                    .keys()
                    .nth(index)
                    .copied()
                    .into_iter()
                    .collect()
            }
            Victim::Oldest => self.by_birth.keys().next().copied().into_iter().collect(),
            Victim::Window => self.window(size_bytes, |bytes, _| bytes),
            Victim::WindowByAge => self.window(size_bytes, discounted),
        };
        births.into_iter().for_each(|birth| self.evict(birth));
    }

    /// Returns when the objects of the cheapest window were stored.
    fn window(&self, size_bytes: u64, cost: fn(u64, u64) -> u64) -> Vec<u64> {
        let birth = |allocation: &Allocation| self.births[&allocation.offset()];
        let window = self.allocator.cheapest_window(size_bytes, 1, |allocation| {
            Some(cost(allocation.size(), self.now - birth(allocation)))
        });
        let window = window.expect("nothing is pinned");
        window.victims.iter().map(birth).collect()
    }

    fn evict(&mut self, birth: u64) {
        let allocation = self.by_birth.remove(&birth).expect("victims are live");
        self.births.remove(&allocation.offset());
        self.tally.evicted += 1;
        self.tally.evicted_bytes += allocation.size();
        self.tally.evicted_age += self.now - birth;
        self.allocator.free(allocation).expect("victims are live");
    }
}

/// Returns what an object costs less for being old; at least one, so that no victim is free.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of the bytes is positive and no larger than they are"
)]
fn discounted(size_bytes: u64, age: u64) -> u64 {
    (size_bytes as f64 * libm::pow((age + 1) as f64, AGE_EXPONENT)) as u64 + 1
}
