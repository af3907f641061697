//! Every sequence of operations up to a length, on pools of at most 8 units.
//!
//! The claims are those of `model.rs`; here they hold for each state that a
//! short program can reach, rather than for sampled ones.

mod common;

use common::{FITS, Shadowed};
use mc_offset::{Fit, Options};

/// Runs every program of at most `depth` further steps.
fn explore(options: Options, program: &mut Vec<Step>, depth: u32) {
    let shadowed = replay(options, program);
    shadowed.check();
    if depth == 0 {
        return;
    }
    let units = options.capacity / options.granule;
    let sizes = (1..=units).map(|size| Step::Allocate(size * options.granule));
    let frees = shadowed.live.keys().map(|&offset| Step::Free(offset));
    let steps: Vec<Step> = sizes.chain(frees).collect();
    for step in steps {
        program.push(step);
        explore(options, program, depth - 1);
        program.pop();
    }
}

#[derive(Clone, Copy)]
enum Step {
    Allocate(u64),
    Free(u64),
}

fn replay(options: Options, program: &[Step]) -> Shadowed {
    let mut shadowed = Shadowed::new(options);
    for &step in program {
        match step {
            Step::Allocate(size) => drop(shadowed.allocate(size, 1)),
            Step::Free(offset) => shadowed.free(offset),
        }
    }
    shadowed
}

#[test]
fn all_programs_of_five_steps_on_pools_up_to_five_bytes() {
    for fit in FITS {
        for capacity in 1..=5 {
            explore(
                Options {
                    fit,
                    ..Options::new(capacity)
                },
                &mut Vec::new(),
                5,
            );
        }
    }
}

#[test]
fn all_programs_of_four_steps_on_eight_bytes() {
    for fit in FITS {
        explore(
            Options {
                fit,
                ..Options::new(8)
            },
            &mut Vec::new(),
            4,
        );
    }
}

#[test]
fn all_programs_of_four_steps_on_six_granules() {
    for fit in [Fit::Good { probes: 1 }, Fit::GOOD] {
        let options = Options {
            granule: 64,
            fit,
            ..Options::new(384)
        };
        explore(options, &mut Vec::new(), 4);
    }
}
