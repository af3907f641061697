//! Pages: objects of 20 to 100 pages of 128 KiB, about 8,500 live objects.
//!
//! The cache of one model whose requests differ in length: every object is a whole number of pages,
//! so that holes of exactly the right size are common and only an allocator that rounds, or that
//! looks past them, wastes memory. One random victim leaves per failure.
//!
//! It does not model prefixes that several objects share, nor that the pages of a long request could
//! be stored one by one.

use rand::RngExt;

use crate::record::Run;
use crate::row::Observer;
use crate::subject::Pool;

use super::mixed::Mix;
use super::{ONE_SIZE_ONLY, Request, RequestError, Sizes, Workload};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: MIX.name,
    summary: "20 to 100 pages of 128 KiB per object in a 64 GiB pool, one victim per failure",
    subjects: crate::subject::NAMES,
    skipped: &[ONE_SIZE_ONLY],
    sizes: Sizes::Fixed,
    run,
};

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
    draw: |generator| generator.random_range(PAGES_MIN..=PAGES_MAX) * PAGE_BYTES,
};

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    Ok(MIX.runs(request, observer))
}
