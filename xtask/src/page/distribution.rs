//! Sections whose utilization is a distribution: one line per subject, published figures first.

use mc_bench::published::{self, DistributionFigures};
use mc_bench::stats::Utilization;

use crate::data::{Data, Run};
use crate::figures;

use super::Section;
use super::markdown::{Table, cell, grouped, nanoseconds, share};

pub(super) const RANDOM: Section = Section {
    workload: "random",
    text: |data| {
        let published = [
            ("before", published::RANDOM_BEFORE),
            ("after", published::RANDOM_AFTER),
        ];
        section(data, "random", RANDOM_INTRODUCTION, &published)
    },
    figures: &[figures::RANDOM_DISTRIBUTION],
};

pub(super) const PAIRED: Section = Section {
    workload: "paired",
    text: |data| {
        section(
            data,
            "paired",
            PAIRED_INTRODUCTION,
            &[("after", published::PAIRED)],
        )
    },
    figures: &[],
};

pub(super) const PAGES: Section = Section {
    workload: "pages",
    text: |data| section(data, "pages", PAGES_INTRODUCTION, &[]),
    figures: &[],
};

pub(super) const LOGUNIFORM: Section = Section {
    workload: "loguniform",
    text: |data| section(data, "loguniform", LOGUNIFORM_INTRODUCTION, &[]),
    figures: &[],
};

pub(super) const BIMODAL: Section = Section {
    workload: "bimodal",
    text: |data| section(data, "bimodal", BIMODAL_INTRODUCTION, &[]),
    figures: &[figures::MEAN_BY_WORKLOAD, figures::OCCUPANCY],
};

const RANDOM_INTRODUCTION: &str = "\
## Random sizes

Sizes drawn uniformly from 1,024 B to 67,108,864 B in a pool of 2 GiB, about 60 live objects. Sizes
that sum up to the pool are stored before the clock starts, then 1,000,000 while it runs; every
refusal evicts one live object chosen at random. Utilization is taken after every timed operation.
";

const PAIRED_INTRODUCTION: &str = "\
## Paired sizes

A round stores n pages of keys and values of 3,274,752 B and then n indexer pages of 658,432 B, n
drawn uniformly from 1 to 128, in a pool of 1 TiB. 5,000 rounds fill the pool before the clock
starts; 50,000 are timed. Every refusal evicts 5 % of the live objects, chosen at random.
Utilization is taken at the refusals only, before the eviction. The published page reports the
allocator after its optimization; what it gave before was never published.
";

const PAGES_INTRODUCTION: &str = "\
## Pages

Objects of 20 to 100 pages of 128 KiB, drawn uniformly, in a pool of 64 GiB, about 8,500 live
objects: the cache of one model whose requests differ in length. The pool is filled before the clock
starts, then 300,000 objects are stored while it runs; every refusal evicts one live object chosen
at random. Nothing was published for this workload. It does not model prefixes that objects share.
";

const LOGUNIFORM_INTRODUCTION: &str = "\
## Log-uniform sizes

Sizes from 1 KiB to 64 MiB whose logarithm is uniform, in a pool of 2 GiB, about 300 live objects:
half of them are below 256 KiB and almost all bytes are in the others, so that small objects keep
the holes between large ones apart. The pool is filled before the clock starts, then 1,000,000
objects are stored while it runs; every refusal evicts one live object chosen at random. It does not
model that small objects outlive large ones.
";

const BIMODAL_INTRODUCTION: &str = "\
## Bimodal sizes

A pool of 4 GiB takes payloads of 10.5 to 12.4 MiB and metadata entries of 256 B to 10 KB in turns.
4,000 entries are kept and the oldest leaves when a new one comes, so an entry outlives a payload
about tenfold. Payloads leave when a request is refused, the one stored longest ago first. Every
2,000th request is one object of 1.25 GiB. It may evict payloads of as many bytes as it has itself;
*refused* counts those for which that made no hole. 25,000 requests precede the clock, 200,000
follow. It does not model that an entry leaves with its payload.

The oracle compacts, so it always has room for what has left. An allocator that cannot move what it
placed needs the victims to be neighbors, which the oldest payloads are not: where no subject places
a 1.25 GiB object, the eviction and not the fit is to blame. The first figure compares mean
utilization over the workloads, the second shows who lies where at the end of this one.
";

/// Returns a section of one table.
fn section(
    data: &Data,
    workload: &str,
    introduction: &str,
    published: &[(&str, DistributionFigures)],
) -> String {
    let headings = [
        "Subject", "min", "p99", "p90", "p50", "max", "mean", "samples", "refused", "ns/op",
        "harness",
    ];
    let mut table = Table::new(&headings);
    for (version, figures) in published {
        table.row(&published_row(version, figures));
    }
    for subject in data.subjects(workload) {
        if let Some(run) = data.run(workload, subject) {
            table.row(&measured_row(subject, run));
        }
    }
    format!("{introduction}\n{}", table.finish())
}

fn published_row(
    version: &str,
    DistributionFigures {
        utilization,
        ns_per_op,
    }: &DistributionFigures,
) -> Vec<String> {
    let Utilization {
        min,
        p99,
        p90,
        p50,
        max,
        mean,
    } = *utilization;
    let mut cells = vec![format!("*published {version}*")];
    cells.extend([min, p99, p90, p50, max, mean].map(share));
    let absent = || "–".to_owned();
    cells.extend([absent(), absent(), nanoseconds(*ns_per_op), absent()]);
    cells
}

fn measured_row(subject: &str, run: &Run) -> Vec<String> {
    let mut cells = vec![subject.to_owned()];
    let statistics = ["min", "p99", "p90", "p50", "max", "mean"];
    let utilization = |name| cell(run.number(&format!("utilization_{name}")), share);
    cells.extend(statistics.map(utilization));
    let samples = run.count("eviction_samples").or_else(|| run.count("ops"));
    for count in [samples, run.count("refused")] {
        cells.push(count.map_or_else(|| "–".to_owned(), grouped));
    }
    cells
        .extend(["ns_per_op", "harness_ns_per_op"].map(|name| cell(run.number(name), nanoseconds)));
    cells
}
