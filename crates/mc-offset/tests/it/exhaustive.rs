//! Every sequence of operations up to a length, on pools of at most 8 units.
//!
//! The claims are those of `model.rs`; here they hold for each state that a
//! short program can reach, rather than for sampled ones.

use crate::common::{FITS, Shadowed};
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
    let mut steps: Vec<Step> = sizes.chain(frees).collect();
    for at in 0..units {
        let offset = at * options.granule;
        if shadowed.live.contains_key(&offset) {
            steps.push(Step::Resize(offset, options.granule));
            steps.push(Step::Resize(offset, 2 * options.granule));
        }
        steps.push(Step::AllocateAt(offset, options.granule));
    }
    steps.push(Step::AllocateExtents(units.div_ceil(2) * options.granule));
    for capacity in [units / 2, units + 1] {
        steps.push(Step::SetCapacity(capacity * options.granule));
    }
    for step in steps {
        program.push(step);
        explore(options, program, depth - 1);
        program.pop();
    }
}

#[derive(Clone, Copy)]
enum Step {
    Allocate(u64),
    AllocateAt(u64, u64),
    /// In as many pieces as it takes.
    AllocateExtents(u64),
    Free(u64),
    Resize(u64, u64),
    SetCapacity(u64),
}

fn replay(options: Options, program: &[Step]) -> Shadowed {
    let mut shadowed = Shadowed::new(options);
    for &step in program {
        match step {
            Step::Allocate(size) => drop(shadowed.allocate(size, 1)),
            Step::AllocateAt(offset, size) => shadowed.allocate_at(offset, size),
            Step::AllocateExtents(size) => shadowed.allocate_extents(size, u32::MAX, 1),
            Step::Free(offset) => shadowed.free(offset),
            Step::Resize(offset, size) => shadowed.resize(offset, size),
            Step::SetCapacity(capacity) => shadowed.set_capacity(capacity),
        }
    }
    shadowed
}

#[test]
fn all_programs_of_four_steps_on_pools_up_to_five_bytes() {
    for fit in FITS {
        for capacity in 1..=5 {
            explore(
                Options {
                    fit,
                    ..Options::new(capacity)
                },
                &mut Vec::new(),
                4,
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
