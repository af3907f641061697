//! Refill: a pool that is filled to the first refusal, again and again after a batch has left.

use rand::RngExt;

use crate::churn::{Eviction, Sampling};
use crate::subject::Pool;

use super::Workload;
use super::mixed::{About, Mix};
use super::placed;

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = MIX.workload(
    About {
        summary: "1 to 512 pages of 64 KiB, short ones usual, in a 16 GiB pool; a refusal evicts 30 %",
        heading: "Refilling to the first refusal",
        models: "A store that evicts in batches, as watermarks do, and cannot evict while a burst of puts arrives: the pool \
                 is filled to the first refusal, then 30 % of the objects leave, chosen at random. Utilization is taken \
                 at the refusals only, so that it says how high a high watermark may be: above the smallest of them a put \
                 can fail although the bytes are there. Objects are of n pages of 64 KiB, n from 1 to 512 with a chance of \
                 about 1/n (Zipf), as prefixes are: most are short, and most bytes are in long ones. A pool of 16 GiB holds \
                 about 3,000 of them. It is filled before the clock starts, then 300,000 objects are stored while it \
                 runs. Nothing was published for this workload.",
        omits: "It does not model that victims are chosen by age or use, nor bursts that outrun the evictions.",
        across: |document| {
            placed::across("refill, 1 to 512 pages of 64 KiB", document, [None, None])
        },
    },
    |request, observer| Ok(MIX.runs(request, observer)),
);

/// Bytes of a page.
const PAGE_BYTES: u64 = 64 << 10;

/// Binary logarithm of the pages of the largest object.
const PAGES_LOG2_MAX: f64 = 9.0;

const MIX: Mix = Mix {
    name: "refill",
    row: "1 to 512 pages of 64 KiB",
    pool: Pool {
        capacity_bytes: 16 << 30,
        smallest_bytes: PAGE_BYTES,
    },
    // About a hundred refills, and ten.
    ops: 300_000,
    ops_quick: 30_000,
    eviction: Eviction::Percent(30),
    sampling: Sampling::Failure,
    draw: |generator| {
        let pages = libm::exp2(generator.random_range(0.0..PAGES_LOG2_MAX));
        whole(pages) * PAGE_BYTES
    },
};

/// Returns a number of pages without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the fraction of a page is what the cast is to drop, and pages are positive"
)]
const fn whole(pages: f64) -> u64 {
    pages as u64
}
