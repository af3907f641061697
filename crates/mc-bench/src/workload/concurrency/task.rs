//! What each thread does: the same operation over and over, timed by a probe.

use std::hint;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::available_parallelism;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::probe::{Probe, Unclocked};

use super::scenario::{
    CHURN_LIVE, CHURN_RANDOM_BYTES_MAX, CHURN_RANDOM_BYTES_MIN, CHURN_SIZES, FAILED_BYTES, Load,
    MIXED_FAILURES, MIXED_SLOTS, Scenario,
};
use super::subject::{SUCCESS_BYTES, Shareable};

/// Objects that pass a channel at once, so that its cost is shared among them.
const BATCH: u64 = BATCH_CAPACITY as u64;
const BATCH_CAPACITY: usize = 64;

/// Batches that a channel holds before the producer waits.
const BATCHES_WAITING: usize = 4;

/// One thread's part of a scenario.
pub(super) enum Task<S: Shareable> {
    /// Requests that are refused.
    Refused,
    /// Refusals among small objects; the number of the thread shifts the pattern.
    Mixed { thread: u64 },
    /// Small objects that are freed at once.
    Success,
    /// Replacement in a live set.
    Churn(Churn<S::Token>),
    /// Batches that the thread itself frees.
    Batches(Vec<S::Token>),
    /// The allocating end of a channel.
    Producer(SyncSender<Vec<S::Token>>, Waiting),
    /// The freeing end.
    Consumer(Receiver<Vec<S::Token>>, Waiting),
}

/// How a thread waits for the other end of its channel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiting {
    /// It asks again: to sleep and be woken would take longer than all else.
    Asking,
    /// It sleeps, and another thread has its core.
    Sleeping,
}

/// A live set. A place is empty only if its last request was refused.
pub(super) struct Churn<T> {
    live: Vec<Option<T>>,
    /// Returns the size that the high bits of a random number choose.
    size: fn(u64) -> u64,
    random: Xoshiro256PlusPlus,
}

/// Returns the tasks of all threads.
pub(super) fn tasks<S: Shareable>(load: &Load) -> Vec<Task<S>> {
    if load.scenario == Scenario::RemoteFree {
        return remote_tasks(load.threads);
    }
    let churn = |thread, size| {
        Task::Churn(Churn {
            live: Vec::with_capacity(CHURN_LIVE),
            size,
            random: Xoshiro256PlusPlus::seed_from_u64(load.seed ^ thread << 32),
        })
    };
    let task = |thread| match load.scenario {
        Scenario::CapacityFailed | Scenario::FragmentationFailed => Task::Refused,
        Scenario::HighWaterMixed => Task::Mixed { thread },
        Scenario::SuccessfulAllocateFree | Scenario::RemoteFree => Task::Success,
        Scenario::Churn => churn(thread, size_of_draw),
        Scenario::ChurnRandom => churn(thread, random_size_of_draw),
    };
    (0..load.threads as u64).map(task).collect()
}

/// Returns pairs of producers and consumers, or one thread that is both.
fn remote_tasks<S: Shareable>(threads: usize) -> Vec<Task<S>> {
    if threads == 1 {
        return vec![Task::Batches(Vec::new())];
    }
    let waiting = match available_parallelism() {
        Ok(cores) if threads <= cores.get() => Waiting::Asking,
        _ => Waiting::Sleeping,
    };
    let pairs = (0..threads / 2).map(|_| sync_channel(BATCHES_WAITING));
    pairs
        .flat_map(|(sender, receiver)| {
            let producer = Task::Producer(sender, waiting);
            [producer, Task::Consumer(receiver, waiting)]
        })
        .collect()
}

impl<S: Shareable> Task<S> {
    /// Prepares the thread and runs some operations that nobody measures.
    pub(super) fn warm_up(&mut self, subject: &S, iterations: u64) {
        if let Self::Churn(churn) = self {
            churn.fill(subject);
        }
        self.run(subject, iterations, &mut Unclocked);
    }

    /// Runs operations and returns how many did not end as expected.
    #[inline]
    pub(super) fn run<P: Probe>(&mut self, subject: &S, iterations: u64, probe: &mut P) -> u64 {
        match self {
            Self::Refused => sum(0..iterations, |_| probe.time(|| refused(subject))),
            Self::Mixed { thread } => {
                let shift = *thread * 104_729;
                sum(0..iterations, |index| {
                    let slot = (index * 7_919 + shift) % MIXED_SLOTS;
                    probe.time(|| {
                        if slot < MIXED_FAILURES {
                            refused(subject)
                        } else {
                            allocated_and_freed(subject)
                        }
                    })
                })
            }
            Self::Success => sum(0..iterations, |_| {
                probe.time(|| allocated_and_freed(subject))
            }),
            Self::Churn(churn) => sum(0..iterations, |_| churn.replace(subject, probe)),
            Self::Batches(batch) => sum(batches(iterations), |objects| {
                let unexpected = allocate_batch(subject, objects, batch, probe);
                free_batch(subject, batch, probe);
                unexpected
            }),
            Self::Producer(sender, waiting) => sum(batches(2 * iterations), |objects| {
                let mut batch = Vec::with_capacity(BATCH_CAPACITY);
                let unexpected = allocate_batch(subject, objects, &mut batch, probe);
                waiting.send(sender, batch);
                unexpected
            }),
            Self::Consumer(receiver, waiting) => sum(batches(2 * iterations), |_| {
                let mut batch = waiting.receive(receiver);
                free_batch(subject, &mut batch, probe);
                0
            }),
        }
    }

    /// Frees what is still live.
    pub(super) fn finish(self, subject: &S) {
        if let Self::Churn(Churn { live, .. }) = self {
            live.into_iter()
                .flatten()
                .for_each(|token| subject.free(token));
        }
    }
}

impl Waiting {
    fn send<T>(self, sender: &SyncSender<T>, mut batch: T) {
        const GONE: &str = "the consumer takes every batch";
        match self {
            Self::Sleeping => sender.send(batch).expect(GONE),
            Self::Asking => {
                while let Err(error) = sender.try_send(batch) {
                    batch = match error {
                        TrySendError::Full(batch) => batch,
                        TrySendError::Disconnected(_) => panic!("{GONE}"),
                    };
                    hint::spin_loop();
                }
            }
        }
    }

    fn receive<T>(self, receiver: &Receiver<T>) -> T {
        const GONE: &str = "the producer sends every batch";
        match self {
            Self::Sleeping => receiver.recv().expect(GONE),
            Self::Asking => loop {
                match receiver.try_recv() {
                    Ok(batch) => return batch,
                    Err(TryRecvError::Empty) => hint::spin_loop(),
                    Err(TryRecvError::Disconnected) => panic!("{GONE}"),
                }
            },
        }
    }
}

impl<T> Churn<T> {
    fn fill<S: Shareable<Token = T>>(&mut self, subject: &S) {
        for _ in 0..CHURN_LIVE {
            let size_bytes = (self.size)(self.random.next_u64());
            self.live.push(subject.allocate(size_bytes));
        }
    }

    /// Replaces a random object and returns 1 if the new one was refused.
    #[inline]
    fn replace<S: Shareable<Token = T>>(&mut self, subject: &S, probe: &mut impl Probe) -> u64 {
        let draw = self.random.next_u64();
        // The low bits choose the place and the high ones the size.
        let size_bytes = (self.size)(draw);
        let place = &mut self.live[place_of_draw(draw)];
        probe.time(|| {
            if let Some(token) = place.take() {
                subject.free(token);
            }
            *place = subject.allocate(size_bytes);
        });
        u64::from(place.is_none())
    }
}

/// Returns the place that the lowest bits of a random number choose.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "only bits below the number of places count"
)]
fn place_of_draw(draw: u64) -> usize {
    draw as usize % CHURN_LIVE
}

/// Returns the size that the highest bits of a random number choose.
#[inline]
fn size_of_draw(draw: u64) -> u64 {
    const INDEX_BITS: u32 = CHURN_SIZES.len().ilog2();
    const _: () = assert!(CHURN_SIZES.len().is_power_of_two());
    CHURN_SIZES[(draw >> (u64::BITS - INDEX_BITS)) as usize]
}

/// Returns a log-uniform size by the bits of a random number above those that choose the place.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the fraction of a byte is dropped, and sizes are positive"
)]
fn random_size_of_draw(draw: u64) -> u64 {
    const DOUBLINGS: f64 = (CHURN_RANDOM_BYTES_MAX / CHURN_RANDOM_BYTES_MIN).ilog2() as f64;
    const FRACTION_BITS: u32 = 48;

    let fraction = (draw >> (u64::BITS - FRACTION_BITS)) as f64 / (1_u64 << FRACTION_BITS) as f64;
    (CHURN_RANDOM_BYTES_MIN as f64 * libm::exp2(DOUBLINGS * fraction)) as u64
}

/// Asks for too much and returns 1 if it is served.
#[inline]
fn refused<S: Shareable>(subject: &S) -> u64 {
    let Some(token) = subject.allocate(FAILED_BYTES) else {
        return 0;
    };
    subject.free(token);
    1
}

/// Allocates a small object, frees it, and returns 1 if it was refused.
#[inline]
fn allocated_and_freed<S: Shareable>(subject: &S) -> u64 {
    let Some(token) = subject.allocate(SUCCESS_BYTES) else {
        return 1;
    };
    subject.free(token);
    0
}

/// Returns the numbers of objects of the batches that hold so many in all.
fn batches(objects: u64) -> impl Iterator<Item = u64> {
    (0..objects.div_ceil(BATCH)).map(move |batch| (objects - batch * BATCH).min(BATCH))
}

/// Allocates small objects and returns how many were refused.
#[inline]
fn allocate_batch<S: Shareable>(
    subject: &S,
    objects: u64,
    batch: &mut Vec<S::Token>,
    probe: &mut impl Probe,
) -> u64 {
    batch.extend((0..objects).filter_map(|_| probe.time(|| subject.allocate(SUCCESS_BYTES))));
    objects - batch.len() as u64
}

#[inline]
fn free_batch<S: Shareable>(subject: &S, batch: &mut Vec<S::Token>, probe: &mut impl Probe) {
    for token in batch.drain(..) {
        probe.time(|| subject.free(token));
    }
}

/// Adds up what an operation returns over its inputs.
#[inline]
fn sum(inputs: impl Iterator<Item = u64>, operation: impl FnMut(u64) -> u64) -> u64 {
    inputs.map(operation).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_object() {
        for (objects, expected) in [
            (0, vec![]),
            (1, vec![1]),
            (64, vec![64]),
            (130, vec![64, 64, 2]),
        ] {
            assert_eq!(batches(objects).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn every_size_of_the_churn_is_drawn() {
        let drawn = [0, 1 << 62, 2 << 62, 3 << 62].map(size_of_draw);
        assert_eq!(drawn, CHURN_SIZES);
    }

    #[test]
    fn sizes_that_do_not_come_twice_span_their_limits() {
        let draws = [0, 1 << 63, u64::MAX].map(random_size_of_draw);
        assert_eq!(draws[..2], [CHURN_RANDOM_BYTES_MIN, 64 << 10]);
        let last = CHURN_RANDOM_BYTES_MAX - 1;
        assert!((last - 16..=last).contains(&draws[2]), "{}", draws[2]);
    }
}
