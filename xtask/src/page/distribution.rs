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

/// Returns a section of one table.
fn section(
    data: &Data,
    workload: &str,
    introduction: &str,
    published: &[(&str, DistributionFigures)],
) -> String {
    let headings = [
        "Subject", "min", "p99", "p90", "p50", "max", "mean", "samples", "ns/op", "harness",
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
    cells.extend(["–".to_owned(), nanoseconds(*ns_per_op), "–".to_owned()]);
    cells
}

fn measured_row(subject: &str, run: &Run) -> Vec<String> {
    let mut cells = vec![subject.to_owned()];
    let statistics = ["min", "p99", "p90", "p50", "max", "mean"];
    let utilization = |name| cell(run.number(&format!("utilization_{name}")), share);
    cells.extend(statistics.map(utilization));
    let samples = run.count("eviction_samples").or_else(|| run.count("ops"));
    cells.push(samples.map_or_else(|| "–".to_owned(), grouped));
    cells
        .extend(["ns_per_op", "harness_ns_per_op"].map(|name| cell(run.number(name), nanoseconds)));
    cells
}
