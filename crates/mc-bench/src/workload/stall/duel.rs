//! Two threads on one store: one whose calls are timed, and one that is in its way.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mc_store::ObjectStore;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::pin;
use crate::probe::{histogram, nanoseconds, thread_time};
use crate::timing::Took;

use super::aggressor::Attack;
use super::delays::{Delays, this_thread};
use super::victim::{VICTIM_OBJECTS, replace, victim_key};

/// How long the victim's calls are timed, at least.
const DURATION: Duration = Duration::from_millis(100);

/// One in so many calls of the victim replaces the object instead of reading it.
const CALLS_PER_PUT: u32 = 8;

/// Calls that take longer may have been interrupted.
const SLOW: Duration = Duration::from_micros(10);

/// Steps of a computation between two looks at whether it is over.
const STEPS: u32 = 1_000;

/// How long the two threads meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Duel {
    /// Calls of the victim, at least; nothing for [`DURATION`].
    ops: Option<u64>,
    /// What the victim's calls are drawn from.
    seed: u64,
}

/// What the victim felt, and what the aggressor spent.
#[derive(Debug)]
pub(super) struct Felt {
    /// Calls of the victim, and those of them that read.
    times: Histogram<u64>,
    pub(super) gets: Histogram<u64>,
    /// The longest of its calls, less the time that one of the threads was ready and had no core.
    pub(super) wait_max_ns: u64,
    /// Sum of the times.
    elapsed: Duration,
    /// Processor time of the victim.
    processor: Duration,
    /// Calls of the aggressor.
    pub(super) calls: u64,
    /// Processor time of the one that took longest.
    pub(super) call_max_ns: u64,
    /// Bytes that its calls moved.
    pub(super) moved_bytes: u64,
}

impl Duel {
    pub(super) fn new(ops: Option<u64>, seed: u64) -> Self {
        Self { ops, seed }
    }

    /// Times the victim beside a thread that only computes.
    pub(super) fn control(&self, store: &ObjectStore) -> Felt {
        self.meet(store, |_, _| false)
    }

    /// Times the victim beside the aggressor.
    pub(super) fn attack(&self, attack: Attack) -> Felt {
        let Attack { store, call } = attack;
        let before = store.stats().moved.bytes;
        let felt = self.meet(&store, call);
        Felt {
            moved_bytes: store.stats().moved.bytes - before,
            ..felt
        }
    }

    /// Runs both threads. The other one calls until it is told that there is nothing left to do, and
    /// computes from then on.
    fn meet(
        &self,
        store: &ObjectStore,
        mut call: impl FnMut(&ObjectStore, u64) -> bool + Send,
    ) -> Felt {
        let start = Barrier::new(2);
        let (tell, told) = mpsc::channel();
        // Hints between the two, so `Relaxed`: nothing else is read because of them.
        let (has_called, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let (start, has_called, is_over) = (&start, &has_called, &is_over);
            let other = scope.spawn(move || {
                pin::in_turn(1);
                tell.send(this_thread()).expect("the victim listens");
                start.wait();
                let (mut calls, mut call_max_ns) = (0, 0);
                let mut has_more = true;
                while !is_over.load(Ordering::Relaxed) {
                    if has_more {
                        let before = thread_time();
                        has_more = call(store, calls);
                        call_max_ns = call_max_ns.max(nanoseconds(thread_time() - before));
                        calls += 1;
                        has_called.store(true, Ordering::Relaxed);
                    } else {
                        compute(calls);
                    }
                }
                (calls, call_max_ns)
            });
            let victim = scope.spawn(move || {
                pin::in_turn(0);
                let other = told.recv().expect("the other thread tells");
                let delays = Delays::of(&[this_thread(), other]);
                let mut victim = Victim::new(store, self.seed, delays);
                start.wait();
                let (begun, used) = (Instant::now(), thread_time());
                let mut ops = 0;
                loop {
                    let now = victim.call();
                    ops += 1;
                    let is_enough = match self.ops {
                        Some(ops_min) => ops >= ops_min,
                        None => now - begun >= DURATION,
                    };
                    if is_enough && has_called.load(Ordering::Relaxed) {
                        break;
                    }
                }
                is_over.store(true, Ordering::Relaxed);
                victim.felt.processor = thread_time() - used;
                victim.felt
            });
            let felt = victim.join().expect("the victim does not panic");
            let (calls, call_max_ns) = other.join().expect("the aggressor does not panic");
            Felt {
                calls,
                call_max_ns,
                ..felt
            }
        })
    }
}

/// Keeps a core busy and touches no memory.
fn compute(start: u64) {
    // The step of a linear congruential generator (Knuth, MMIX).
    let step = |x: u64, _| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    black_box((0..STEPS).fold(black_box(start), step));
}

/// The thread whose calls are timed.
struct Victim<'a> {
    store: &'a ObjectStore,
    generator: Xoshiro256PlusPlus,
    delays: Delays,
    /// When the last call ended.
    ended: Instant,
    felt: Felt,
}

impl<'a> Victim<'a> {
    fn new(store: &'a ObjectStore, seed: u64, delays: Delays) -> Self {
        Self {
            store,
            delays,
            ended: Instant::now(),
            generator: Xoshiro256PlusPlus::seed_from_u64(seed),
            felt: Felt {
                times: histogram(),
                gets: histogram(),
                wait_max_ns: 0,
                elapsed: Duration::ZERO,
                processor: Duration::ZERO,
                calls: 0,
                call_max_ns: 0,
                moved_bytes: 0,
            },
        }
    }

    /// Makes and times one call; returns when it ended.
    fn call(&mut self) -> Instant {
        let key = victim_key(self.generator.random_range(0..VICTIM_OBJECTS));
        let is_put = self.generator.random_ratio(1, CALLS_PER_PUT);
        let mut before = Instant::now();
        if before - self.ended > SLOW {
            // What happened between two calls concerns neither.
            self.delays.take();
            before = Instant::now();
        }
        if is_put {
            replace(self.store, &key);
        } else {
            black_box(self.store.get(&key));
        }
        let after = Instant::now();
        let time = after - before;
        let time_ns = nanoseconds(time);
        self.felt.times.saturating_record(time_ns);
        self.felt.elapsed += time;
        if !is_put {
            self.felt.gets.saturating_record(time_ns);
        }
        let delayed = if time > SLOW {
            self.delays.take()
        } else {
            Duration::ZERO
        };
        let wait_ns = nanoseconds(time.saturating_sub(delayed));
        self.felt.wait_max_ns = self.felt.wait_max_ns.max(wait_ns);
        self.ended = after;
        after
    }
}

impl Felt {
    /// Returns the time in nanoseconds that a share of the victim's calls stays within.
    pub(super) fn at(&self, share: f64) -> u64 {
        self.times.value_at_quantile(share)
    }

    pub(super) fn max(&self) -> u64 {
        self.times.max()
    }

    /// Returns what the victim's calls took together.
    pub(super) fn took(&self) -> Took {
        Took {
            wall: self.elapsed,
            processor: Some(self.processor),
            ops: self.times.len(),
        }
    }
}
