//! The loop that all single-threaded placement workloads share: store, and evict when refused.
//!
//! A store keeps its pool full. It places one object after another; when the allocator refuses, it
//! evicts live objects chosen at random and tries again, until the request succeeds or nothing is
//! live any more. Workloads differ in their request sizes, in how much one failure evicts and in
//! when utilization is sampled: that is a [`Plan`].
//!
//! The request sizes are drawn before the clock starts and the victims come from a generator of
//! their own, so that every subject sees the same requests. Inside the timed section an operation
//! reads its size, calls the allocator, appends or removes one token per object and, where the plan
//! says so, appends the live bytes to a vector whose pages are already resident. Utilization, its
//! percentiles and the checksum are computed after the clock has stopped.

mod classes;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::moments::{CELLS, Map, Moments};
use crate::subject::{Placement, Pool, Subject};
use crate::timing::{REPEATS, Stopwatch, Took};

pub use self::classes::Classes;

/// Samples that fit without growth when utilization is sampled at failures.
const FAILURE_SAMPLES: usize = 1 << 14;

/// What to run a subject through.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pool to fill.
    pub pool: Pool,
    /// Sizes that are stored before the clock starts.
    pub warm_up: Vec<u64>,
    /// Sizes that are stored while the clock runs.
    pub timed: Vec<u64>,
    /// How much one refusal evicts.
    pub eviction: Eviction,
    /// When utilization is sampled.
    pub sampling: Sampling,
    /// Seed of the victims.
    pub seed: u64,
    /// Moments of the timed section that are kept; the clock stands still meanwhile.
    pub moments: usize,
}

/// Which live objects one refused request evicts.
#[derive(Clone, Copy, Debug)]
pub enum Eviction {
    /// One object, chosen uniformly at random.
    One,
    /// A share of the live objects, rounded down, but at least one object, each chosen uniformly at
    /// random.
    Percent(u8),
    /// Who leaves, and when, depends on the sizes.
    Classes(Classes),
}

/// When the live bytes are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// After every timed operation.
    Operation,
    /// At every refused attempt of the timed section, before the eviction it causes.
    Failure,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The timed section, in parts of about equal length.
    pub took: Vec<Took>,
    /// Live bytes at the sampled moments, in order of time.
    pub live_bytes_samples: Vec<u64>,
    /// Timed requests that were given up because nothing was left to evict; where objects have
    /// [`Classes`], those of the largest, which may not evict everything.
    pub refused: u64,
    /// The requests of the other [`Classes`] that were given up.
    pub refused_others: u64,
    /// Objects that the timed section evicted.
    pub evicted: u64,
    /// Digest of the decisions and of the final placement, see [`Checksum`].
    pub checksum: Checksum,
    /// What it looked like meanwhile.
    pub moments: Moments,
}

/// Digest of a run: the samples, the refusals, the evictions, and offset and size of every object
/// that is live at the end, in the order of the live list.
///
/// The live list at the end depends on every eviction before it and the offsets on every placement,
/// so two runs with equal checksums made the same decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u64);

/// Runs a subject through a plan.
pub fn churn<S: Subject>(subject: S, plan: &Plan) -> Outcome {
    match plan.eviction {
        Eviction::One => churn_at_random(subject, plan, Quota::One),
        Eviction::Percent(percent) => churn_at_random(subject, plan, Quota::Percent(percent)),
        Eviction::Classes(classes) => classes::churn(subject, plan, classes),
    }
}

/// Runs a subject through a plan whose victims are chosen at random.
fn churn_at_random<S: Subject>(subject: S, plan: &Plan, quota: Quota) -> Outcome {
    let mut store = Store::new(subject, plan, quota);
    for &size_bytes in &plan.warm_up {
        store.put(size_bytes);
    }
    store.start_sampling(plan);
    let (mut took, mut moments, mut done) = (Vec::new(), Moments::default(), 0);
    for part in plan.parts() {
        let watch = Stopwatch::start();
        match plan.sampling {
            Sampling::Operation => {
                for &size_bytes in part {
                    store.put(size_bytes);
                    store.samples.push(store.live_bytes);
                }
            }
            Sampling::Failure => {
                for &size_bytes in part {
                    store.put(size_bytes);
                }
            }
        }
        took.push(watch.stop(part.len() as u64));
        done += part.len() as u64;
        let counts = [done, store.live_bytes, store.evicted, store.refused];
        plan.keep_moment(&mut moments, &store.subject, counts);
    }
    store.into_outcome(took, moments)
}

impl Plan {
    /// Returns the timed sizes in parts: as many as moments are kept, or as many as a row has repeats.
    fn parts(&self) -> impl Iterator<Item = &[u64]> {
        let parts = if self.moments == 0 {
            REPEATS
        } else {
            self.moments
        };
        let len = self.timed.len().div_ceil(parts);
        self.timed.chunks(len.max(1))
    }

    /// Keeps a moment, if any are asked for: operations, live bytes, evicted and refused objects so far.
    fn keep_moment<S: Subject>(&self, moments: &mut Moments, subject: &S, counts: [u64; 4]) {
        if self.moments == 0 {
            return;
        }
        let [operations, live_bytes, evicted, refused] = counts;
        let capacity_bytes = self.pool.capacity_bytes;
        let utilization = live_bytes as f64 / capacity_bytes as f64;
        let mut map = Map::new(capacity_bytes, CELLS);
        let mut add = |placed: Placement| map.add(placed.offset_bytes, placed.size_bytes);
        let has_map = subject.visit(&mut add);
        let figures = [
            ("operations_moments", operations as f64),
            ("utilization_moments", utilization),
            ("evicted_on_demand_moments", evicted as f64),
            ("refused_moments", refused as f64),
        ];
        moments.push(&figures, has_map.then_some(&map));
    }
}

/// How many objects leave at once.
#[derive(Clone, Copy)]
enum Quota {
    One,
    Percent(u8),
}

/// The subject, what lives in it and what has been counted.
struct Store<S: Subject> {
    subject: S,
    live: Vec<Slot<S::Token>>,
    live_bytes: u64,
    victims: Xoshiro256PlusPlus,
    quota: Quota,
    samples: Vec<u64>,
    samples_failures: bool,
    refused: u64,
    evicted: u64,
}

/// A token in the list of live objects, aligned so that one of 16 bytes never straddles two cache
/// lines.
#[repr(align(16))]
struct Slot<T>(T);

impl<S: Subject> Store<S> {
    fn new(subject: S, plan: &Plan, quota: Quota) -> Self {
        let requests = plan.warm_up.len() + plan.timed.len();
        let objects_max = usize::try_from(plan.pool.objects_max()).unwrap_or(usize::MAX);
        let live_max = requests.min(objects_max);
        Self {
            subject,
            live: Vec::with_capacity(live_max),
            live_bytes: 0,
            victims: victims(plan.seed),
            quota,
            samples: Vec::new(),
            samples_failures: false,
            refused: 0,
            evicted: 0,
        }
    }

    /// Forgets what the warm-up counted and makes the pages of the samples resident.
    fn start_sampling(&mut self, plan: &Plan) {
        let samples = match plan.sampling {
            Sampling::Operation => plan.timed.len(),
            Sampling::Failure => FAILURE_SAMPLES,
        };
        // Zeroes would come from untouched pages; anything else has to be written.
        self.samples = vec![u64::MAX; samples];
        self.samples.clear();
        self.samples_failures = plan.sampling == Sampling::Failure;
        self.refused = 0;
        self.evicted = 0;
    }

    #[inline]
    fn put(&mut self, size_bytes: u64) {
        loop {
            if let Some(token) = self.subject.allocate(size_bytes) {
                self.live.push(Slot(token));
                self.live_bytes += size_bytes;
                return;
            }
            if self.live.is_empty() {
                self.refused += 1;
                return;
            }
            if self.samples_failures {
                self.samples.push(self.live_bytes);
            }
            self.evict();
        }
    }

    #[inline]
    fn evict(&mut self) {
        let victims = match self.quota {
            Quota::One => 1,
            Quota::Percent(percent) => (self.live.len() * usize::from(percent) / 100).max(1),
        };
        for _ in 0..victims {
            let index = self.victims.random_range(0..self.live.len());
            let Slot(token) = self.live.swap_remove(index);
            self.live_bytes -= self.subject.placement(&token).size_bytes;
            self.subject.free(token);
        }
        self.evicted += victims as u64;
    }

    fn into_outcome(self, took: Vec<Took>, moments: Moments) -> Outcome {
        let mut checksum = Checksum::of(&self.samples);
        checksum.add(self.refused);
        checksum.add(self.evicted);
        for Slot(token) in &self.live {
            checksum.add_placement(self.subject.placement(token));
        }
        Outcome {
            took,
            live_bytes_samples: self.samples,
            refused: self.refused,
            refused_others: 0,
            evicted: self.evicted,
            checksum,
            moments,
        }
    }
}

impl Checksum {
    /// Creates the digest of nothing: the offset basis of FNV-1a.
    #[must_use]
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Creates the digest of samples.
    #[must_use]
    pub fn of(samples: &[u64]) -> Self {
        let mut checksum = Self::new();
        samples.iter().for_each(|&sample| checksum.add(sample));
        checksum
    }

    /// Appends a number by one FNV-1a step over 64-bit words.
    ///
    /// The rotation carries the high bits down, which a multiplication alone never does.
    pub const fn add(&mut self, number: u64) {
        self.0 = (self.0 ^ number)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(29);
    }

    /// Appends where an object lies.
    pub const fn add_placement(&mut self, placement: Placement) {
        self.add(placement.offset_bytes);
        self.add(placement.size_bytes);
    }
}

impl Default for Checksum {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// Returns the generator of request sizes of a seed.
#[must_use]
pub fn sizes(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// Returns the generator of victims of a seed: the stream of the sizes, 2^128 steps on.
pub(crate) fn victims(seed: u64) -> Xoshiro256PlusPlus {
    let mut generator = sizes(seed);
    generator.jump();
    generator
}
