//! Random: sizes drawn uniformly from 1 KiB to 64 MiB, about 60 live objects.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::churn::{Eviction, Sampling};
use crate::page::{Headline, Made, Measure, Page};
use crate::published;
use crate::record::{Document, fields, records};
use crate::subject::entries;
use crate::subject::{ORACLE, Pool};

use super::mixed::Mix;
use super::placed::{self, Mixed};
use super::{ONE_SIZE_ONLY, Sizes, Workload};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: MIX.name,
    summary: "sizes uniform in 1 KiB..=64 MiB in a 2 GiB pool, one victim per failure",
    subjects: entries::described,
    skipped: &[ONE_SIZE_ONLY],
    sizes: Sizes::Fixed,
    is_seeded: true,
    needs_hugepages: false,
    times: &["mc-offset", "mc-offset-compat"],
    fields: fields::<Mixed>,
    page: Page {
        heading: "Random sizes",
        models: "Few, large, unrelated objects, where fragmentation between objects dominates and rounding hardly \
                 matters. Sizes are drawn uniformly from 1,024 B to 67,108,864 B in a pool of 2 GiB, about 60 live \
                 objects. Sizes that sum up to the pool are stored before the clock starts, then 1,000,000 while it \
                 runs; every refusal evicts one live object chosen at random, so that a large request may take many. \
                 Utilization is taken after every timed operation.",
        omits: "It does not model the many small objects that real stores keep beside the large ones.",
        result: placed::result,
        tables: |document| {
            let published = [
                ("before", published::RANDOM_BEFORE),
                ("after", published::RANDOM_AFTER),
            ];
            placed::table(document, &published)
        },
        figures: &[],
        headlines,
        across: Some(|document| {
            let published = [published::RANDOM_BEFORE, published::RANDOM_AFTER];
            placed::across("random, 1 KiB to 64 MiB", document, published.map(Some))
        }),
    },
    run: |request, observer| Ok(MIX.runs(request, observer)),
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
    eviction: Eviction::One,
    sampling: Sampling::Operation,
    draw,
};

/// Draws one size.
pub(super) fn draw(generator: &mut Xoshiro256PlusPlus) -> u64 {
    generator.random_range(POOL.smallest_bytes..=SIZE_BYTES_MAX)
}

fn headlines(document: &Document) -> Made<Vec<Headline>> {
    let rows: Vec<Mixed> = records(&document.runs)?;
    let mean = |subject: &str| {
        rows.iter()
            .find(|row| row.churned.subject == subject)?
            .utilization_mean
    };
    let subjects = ["bin-ceil", "offset-allocator", "adaptive", ORACLE];
    Ok(vec![Headline {
        measure: Measure::Utilization,
        title: "random sizes, 1 KiB to 64 MiB",
        cells: subjects.map(|subject| mean(subject).map(|mean| format!("{mean:.3}"))),
    }])
}
