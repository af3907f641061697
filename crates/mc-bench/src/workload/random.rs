//! Random: sizes drawn uniformly from 1 KiB to 64 MiB, about 60 live objects.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::number::short_share;
use crate::page::chart::{Axis, Chart, Drawing, Mark, Panel, Series};
use crate::page::{Figure, Headline, Made, Page, Place};
use crate::published::{self, DistributionFigures};
use crate::record::{Document, fields, records};
use crate::subject::{self, ORACLE, Pool};

use super::mixed::Mix;
use super::placed::{self, Mixed};
use super::{ONE_SIZE_ONLY, Sizes, Workload};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: MIX.name,
    summary: "sizes uniform in 1 KiB..=64 MiB in a 2 GiB pool, one victim per failure",
    subjects: subject::described,
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
        figures: &[Figure {
            file: "random-utilization.svg",
            caption: "Distribution of utilization over the operations of the random workload",
            place: Place::Tables,
            draw: distribution,
        }],
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
            .mean()
    };
    let subjects = ["bin-ceil", "offset-allocator", "adaptive", ORACLE];
    Ok(vec![Headline {
        title: "Utilization: random sizes, 1 KiB to 64 MiB",
        cells: subjects.map(|subject| mean(subject).map(short_share)),
    }])
}

/// What is drawn and how it is called: the others lie on these.
const DRAWN: [(&str, &str); 7] = [
    ("buddy", "buddy"),
    ("bin-exact", "bin-exact, offset-allocator"),
    ("bin-ceil", "bin-ceil"),
    ("good-fit", "good-fit, range-alloc"),
    ("adaptive", "adaptive, shared"),
    ("extents-2", "extents-2"),
    ("extents-4", "extents-4"),
];

fn distribution(document: &Document) -> Made<Drawing> {
    let rows: Vec<Mixed> = records(&document.runs)?;
    let curve = |subject: &str| {
        let row = rows.iter().find(|row| row.churned.subject == subject);
        let curve = row.map_or(&[][..], |row| &row.distribution.utilization_curve);
        let points = (0_u32..).map(f64::from).zip(curve);
        // Points a pixel apart turn rounding to pixels into waves.
        let is_drawn = |percent: f64| percent % 5.0 == 0.0 || !(2.0..98.0).contains(&percent);
        let points = points.filter(|(percent, _)| is_drawn(*percent));
        points.map(|(percent, share)| (*share, percent)).collect()
    };
    let mut series: Vec<Series> = DRAWN
        .iter()
        .map(|(subject, label)| Series::new(subject, Mark::Curve, curve(subject)).labelled(label))
        .collect();
    series
        .push(Series::new(ORACLE, Mark::Bound, curve(ORACLE)).labelled("bound: compacts for free"));
    let points = |figures: DistributionFigures| {
        let shares = figures.utilization;
        let points = [
            (shares.p99, 1.0),
            (shares.p90, 10.0),
            (shares.p50, 50.0),
            (shares.max, 100.0),
        ];
        points.to_vec()
    };
    series.push(Series::new(
        "published before",
        Mark::Points,
        points(published::RANDOM_BEFORE),
    ));
    series.push(Series::new(
        "published after",
        Mark::Points,
        points(published::RANDOM_AFTER),
    ));
    let x = Axis::linear("utilization", 0.5, Some(1.0));
    let y = Axis::linear("operations at or below (%)", 0.0, Some(100.0));
    let panel = Panel::new("", x, y, series);
    Ok(Chart::drawing(
        "Random sizes: how often a pool is at most so full",
        1,
        vec![panel],
    ))
}
