//! Random: sizes drawn uniformly from 1 KiB to 64 MiB, about 60 live objects.
//!
//! The case of few, large, unrelated objects, where fragmentation between objects dominates and
//! rounding hardly matters. One random victim leaves per failure, so a large request may take many.
//!
//! It does not model the many small objects that real stores keep beside the large ones.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::published;
use crate::record::Run;
use crate::row::Observer;
use crate::subject::Pool;

use super::mixed::Mix;
use super::{ONE_SIZE_ONLY, Request, RequestError, Sizes, Workload, with_published};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: MIX.name,
    summary: "sizes uniform in 1 KiB..=64 MiB in a 2 GiB pool, one victim per failure",
    subjects: crate::subject::NAMES,
    skipped: &[ONE_SIZE_ONLY],
    sizes: Sizes::Fixed,
    run,
};

pub(super) const POOL: Pool = Pool {
    capacity_bytes: 2 << 30,
    smallest_bytes: 1 << 10,
};

const SIZE_BYTES_MAX: u64 = 1 << 26;

pub(super) const MIX: Mix = Mix {
    name: "random",
    row: "1 KiB to 64 MiB",
    pool: POOL,
    // As published.
    ops: 1_000_000,
    ops_quick: 200_000,
    draw,
};

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let runs = MIX.runs(request, observer);
    let with_figures = |run: Run| {
        let figures = match run.text("subject") {
            Some(published::BEFORE) => Some(published::RANDOM_BEFORE),
            Some(published::AFTER) => Some(published::RANDOM_AFTER),
            _ => None,
        };
        with_published(run, figures)
    };
    Ok(runs.into_iter().map(with_figures).collect())
}

/// Draws one size.
pub(super) fn draw(generator: &mut Xoshiro256PlusPlus) -> u64 {
    generator.random_range(POOL.smallest_bytes..=SIZE_BYTES_MAX)
}
