//! Log-uniform: sizes from 1 KiB to 64 MiB whose logarithm is uniform, about 300 live objects.
//!
//! A store whose objects span five orders of magnitude with no size more usual than another: each
//! doubling is as frequent as the next, so half of the objects are below 256 KiB and almost all
//! bytes are in the rest. Small objects that lie between large ones keep their holes apart. One
//! random victim leaves per failure.
//!
//! It does not model that small objects outlive large ones, nor that sizes repeat: no two requests
//! are alike.

use rand::RngExt;

use crate::record::Run;
use crate::row::Observer;
use crate::subject::Pool;

use super::mixed::Mix;
use super::{ONE_SIZE_ONLY, Request, RequestError, Sizes, Workload};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: MIX.name,
    summary: "sizes log-uniform in 1 KiB..64 MiB in a 2 GiB pool, one victim per failure",
    subjects: crate::subject::NAMES,
    skipped: &[ONE_SIZE_ONLY],
    sizes: Sizes::Fixed,
    run,
};

/// Binary logarithm of the smallest size.
const SIZE_LOG2_MIN: u32 = 10;

/// Binary logarithm of the size that all stay below.
const SIZE_LOG2_END: u32 = 26;

pub(super) const MIX: Mix = Mix {
    name: "loguniform",
    row: "1 KiB to 64 MiB",
    pool: Pool {
        capacity_bytes: 2 << 30,
        smallest_bytes: 1 << SIZE_LOG2_MIN,
    },
    ops: 1_000_000,
    ops_quick: 100_000,
    draw: |generator| {
        let logarithm = f64::from(SIZE_LOG2_MIN)..f64::from(SIZE_LOG2_END);
        whole_bytes(libm::exp2(generator.random_range(logarithm)))
    },
};

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    Ok(MIX.runs(request, observer))
}

/// Returns a size without its fraction of a byte.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the fraction is what the cast is to drop, and sizes are positive"
)]
const fn whole_bytes(size_bytes: f64) -> u64 {
    size_bytes as u64
}
