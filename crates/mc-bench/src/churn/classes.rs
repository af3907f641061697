//! The loop of a store that treats its objects by size: small ones leave by their number, all others
//! when a request is refused, and the largest may cause only so much eviction.

use std::collections::VecDeque;

use crate::moments::Moments;
use crate::subject::Subject;
use crate::timing::Stopwatch;

use super::{Checksum, Outcome, Plan};

/// Which objects are treated how.
#[derive(Clone, Copy, Debug)]
pub struct Classes {
    /// Objects up to this size are small.
    pub small_bytes_max: u64,
    /// Small objects that are kept; one more drives out the oldest.
    pub small_objects_max: usize,
    /// An object of this size or more evicts no further once as many bytes have left for it as it
    /// has itself, and is refused then.
    pub budgeted_bytes_min: u64,
}

/// Runs a subject through a plan; utilization is sampled after every operation.
pub(super) fn churn<S: Subject>(subject: S, plan: &Plan, classes: Classes) -> Outcome {
    let mut store = Store {
        subject,
        classes,
        small: VecDeque::with_capacity(classes.small_objects_max),
        others: VecDeque::new(),
        live_bytes: 0,
        refused_budgeted: 0,
        refused_others: 0,
        evicted: 0,
    };
    plan.warm_up.iter().for_each(|&size| store.put(size));
    (store.refused_budgeted, store.refused_others) = (0, 0);
    store.evicted = 0;
    // Zeroes would come from untouched pages; anything else has to be written.
    let mut samples = vec![u64::MAX; plan.timed.len()];
    samples.clear();
    let (mut took, mut moments) = (Vec::new(), Moments::default());
    for part in plan.parts() {
        let watch = Stopwatch::start();
        for &size_bytes in part {
            store.put(size_bytes);
            samples.push(store.live_bytes);
        }
        took.push(watch.stop(part.len() as u64));
        let (done, refused) = (
            samples.len() as u64,
            store.refused_budgeted + store.refused_others,
        );
        let counts = [done, store.live_bytes, store.evicted, refused];
        plan.keep_moment(&mut moments, &store.subject, counts);
    }
    Outcome {
        took,
        refused: store.refused_budgeted,
        refused_others: store.refused_others,
        evicted: store.evicted,
        checksum: store.checksum(&samples),
        live_bytes_samples: samples,
        moments,
    }
}

/// The subject, what lives in it in the order of storing, and what has been counted.
struct Store<S: Subject> {
    subject: S,
    classes: Classes,
    small: VecDeque<S::Token>,
    others: VecDeque<S::Token>,
    live_bytes: u64,
    refused_budgeted: u64,
    refused_others: u64,
    evicted: u64,
}

impl<S: Subject> Store<S> {
    fn put(&mut self, size_bytes: u64) {
        let is_small = size_bytes <= self.classes.small_bytes_max;
        if is_small
            && self.small.len() == self.classes.small_objects_max
            && let Some(oldest) = self.small.pop_front()
        {
            self.remove(oldest);
        }
        let is_budgeted = size_bytes >= self.classes.budgeted_bytes_min;
        let mut evicted_bytes = 0;
        loop {
            if let Some(token) = self.subject.allocate(size_bytes) {
                self.live_bytes += size_bytes;
                let queue = if is_small {
                    &mut self.small
                } else {
                    &mut self.others
                };
                queue.push_back(token);
                return;
            }
            let is_spent = is_budgeted && evicted_bytes >= size_bytes;
            let victim = if is_spent {
                None
            } else {
                self.others.pop_front()
            };
            let Some(victim) = victim else {
                self.refused_budgeted += u64::from(is_budgeted);
                self.refused_others += u64::from(!is_budgeted);
                return;
            };
            evicted_bytes += self.remove(victim);
            self.evicted += 1;
        }
    }

    /// Takes an object out and returns its size.
    fn remove(&mut self, token: S::Token) -> u64 {
        let size_bytes = self.subject.placement(&token).size_bytes;
        self.live_bytes -= size_bytes;
        self.subject.free(token);
        size_bytes
    }

    fn checksum(&self, samples: &[u64]) -> Checksum {
        let mut checksum = Checksum::of(samples);
        checksum.add(self.refused_budgeted);
        checksum.add(self.refused_others);
        checksum.add(self.evicted);
        for token in self.small.iter().chain(&self.others) {
            checksum.add_placement(self.subject.placement(token));
        }
        checksum
    }
}
