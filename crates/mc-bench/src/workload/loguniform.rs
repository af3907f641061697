//! Log-uniform: sizes from 1 KiB to 64 MiB whose logarithm is uniform, about 300 live objects.

use rand::RngExt;

use crate::churn::{Eviction, Sampling};
use crate::subject::Pool;

use super::Workload;
use super::mixed::{About, Mix};
use super::placed;

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = MIX.workload(
    About {
        summary: "sizes log-uniform in 1 KiB..64 MiB in a 2 GiB pool, one victim per failure",
        heading: "Log-uniform sizes",
        models: "Objects that span five orders of magnitude with no size more usual than another: sizes from 1 KiB to \
                 64 MiB whose logarithm is uniform, in a pool of 2 GiB, about 300 live objects. Half of them are below \
                 256 KiB and almost all bytes are in the others, so that small objects keep the holes between large \
                 ones apart. The pool is filled before the clock starts, then 1,000,000 objects are stored while it \
                 runs; every refusal evicts one live object chosen at random.",
        omits: "It does not model that small objects outlive large ones, nor that sizes repeat.",
        across: |document| {
            placed::across("log-uniform, 1 KiB to 64 MiB", document, [None, None])
        },
    },
    |request, observer| Ok(MIX.runs(request, observer)),
);

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
    eviction: Eviction::One,
    sampling: Sampling::Operation,
    draw: |generator| {
        let logarithm = f64::from(SIZE_LOG2_MIN)..f64::from(SIZE_LOG2_END);
        whole_bytes(libm::exp2(generator.random_range(logarithm)))
    },
};

/// Returns a size without its fraction of a byte.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the fraction is what the cast is to drop, and sizes are positive"
)]
const fn whole_bytes(size_bytes: f64) -> u64 {
    size_bytes as u64
}
