//! Pages: objects of 20 to 100 pages of 128 KiB, about 8,500 live objects.

use rand::RngExt;

use crate::churn::{Eviction, Sampling};
use crate::subject::Pool;

use super::Workload;
use super::mixed::{About, Mix};
use super::placed;

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = MIX.workload(
    About {
        summary: "20 to 100 pages of 128 KiB per object in a 64 GiB pool, one victim per failure",
        heading: "Pages",
        models: "The cache of one model whose requests differ in length: objects of 20 to 100 pages of 128 KiB, drawn \
                 uniformly, in a pool of 64 GiB, about 8,500 of them live. Holes of exactly the right size are common; \
                 an allocator that rounds, or that looks past them, wastes memory. The pool is filled before the clock \
                 starts, then 300,000 objects are stored while it runs; every refusal evicts one live object chosen at \
                 random. Nothing was published for this workload.",
        omits: "It does not model prefixes that objects share, nor that the pages of a long request could be stored \
                one by one.",
        across: |document| {
            placed::across("pages, 20 to 100 of 128 KiB", document, [None, None])
        },
    },
    |request, observer| Ok(MIX.runs(request, observer)),
);

/// A page.
const PAGE_BYTES: u64 = 128 << 10;

/// Pages of the smallest object.
const PAGES_MIN: u64 = 20;

/// Pages of the largest object.
const PAGES_MAX: u64 = 100;

pub(super) const MIX: Mix = Mix {
    name: "pages",
    row: "20 to 100 pages of 128 KiB",
    pool: Pool {
        capacity_bytes: 64 << 30,
        smallest_bytes: PAGES_MIN * PAGE_BYTES,
    },
    ops: 300_000,
    ops_quick: 50_000,
    eviction: Eviction::One,
    sampling: Sampling::Operation,
    draw: |generator| generator.random_range(PAGES_MIN..=PAGES_MAX) * PAGE_BYTES,
};
