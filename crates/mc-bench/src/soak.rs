//! Long runs of everything, held against what should be there.
//!
//! A [`Layer`] is one random configuration and one random program over it, both drawn from a seed, with
//! a shadow that knows what is live. Whatever a layer finds wrong it panics about; [`run`] turns that
//! into a [`Failure`] that names the seed of the round, with which the same round can be had again.
//! Layers of several threads draw the same program again, though not the same schedule.

mod memory;
mod offset;
mod shared;
mod slots;
mod store;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The named generator of every layer.
type Generator = Xoshiro256PlusPlus;

/// One of the things that are run.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Name in the summary and in failures.
    pub name: &'static str,
    /// Runs one configuration and returns the number of operations.
    run: fn(&mut Generator) -> u64,
}

/// Every layer, in the order of a round.
pub const LAYERS: &[Layer] = &[
    offset::LAYER,
    shared::LAYER,
    slots::LAYER,
    memory::LAYER,
    store::LAYER,
];

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rounds of all layers.
    pub rounds: u64,
    /// Operations of all layers.
    pub operations: u64,
}

/// A layer that found something wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "layer {layer} failed in the round of seed {seed}: {message}; `mc-bench soak --seconds 0 --seed {seed}` runs that round alone"
)]
pub struct Failure {
    /// Name of the layer.
    pub layer: &'static str,
    /// Seed of the round.
    pub seed: u64,
    /// What it found.
    pub message: String,
}

/// Runs rounds of all layers until `time` has passed, at least one; round `n` has the seed `seed + n`.
///
/// # Errors
///
/// The first [`Failure`].
pub fn run(seed: u64, time: Duration) -> Result<Tally, Failure> {
    let deadline = Instant::now() + time;
    let mut tally = Tally::default();
    loop {
        let seed = seed.wrapping_add(tally.rounds);
        for layer in LAYERS {
            tally.operations += round(*layer, seed)?;
        }
        tally.rounds += 1;
        if Instant::now() >= deadline {
            return Ok(tally);
        }
    }
}

fn round(layer: Layer, seed: u64) -> Result<u64, Failure> {
    let mut generator = Generator::seed_from_u64(seed);
    // What a layer has built is dropped with it, so that no broken state is seen again.
    catch_unwind(AssertUnwindSafe(|| (layer.run)(&mut generator))).map_err(|panic| Failure {
        layer: layer.name,
        seed,
        message: text(panic.as_ref()),
    })
}

/// Calls `work` on a thread for each input, with a generator of its own; returns the results in the
/// order of the inputs.
///
/// # Panics
///
/// With the panic of a thread, when all have ended.
fn on_threads<I: Send, T: Send>(
    inputs: impl IntoIterator<Item = I>,
    generator: &mut Generator,
    work: impl Fn(I, &mut Generator) -> T + Sync,
) -> Vec<T> {
    thread::scope(|scope| {
        let spawn = |input| {
            let mut generator = Generator::seed_from_u64(generator.random());
            let work = &work;
            scope.spawn(move || work(input, &mut generator))
        };
        let running: Vec<_> = inputs.into_iter().map(spawn).collect();
        let results = running.into_iter().map(|thread| thread.join());
        results
            .map(|result| result.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

/// Returns the message of a panic.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let literal = || panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(literal)
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_passes_a_round() {
        let tally = run(1, Duration::ZERO).unwrap();
        assert_eq!(tally.rounds, 1);
        assert!(tally.operations > 1000, "{tally:?}");
    }

    #[test]
    fn a_failure_names_layer_seed_and_cause() {
        let layer = Layer {
            name: "sample",
            run: |_| panic!("two ranges overlap"),
        };
        let failure = round(layer, 7).unwrap_err();
        assert_eq!((failure.layer, failure.seed), ("sample", 7));
        let line = failure.to_string();
        assert!(
            line.contains("two ranges overlap") && line.contains("--seed 7"),
            "{line}"
        );
    }
}
