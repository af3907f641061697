//! The uniform section: five families of eleven sizes, utilization and time of each.

use mc_bench::published::{FAMILIES, Family, UniformFigures};

use crate::data::{Data, Run};
use crate::figures;

use super::Section;
use super::markdown::{Table, cell, grouped, nanoseconds, share, share_pair};

const WORKLOAD: &str = "uniform";

pub(super) const SECTION: Section = Section {
    workload: WORKLOAD,
    text,
    figures: &[figures::UTILIZATION_BY_SIZE, figures::TIME_BY_SIZE],
};

/// Subject whose time is what the harness itself costs; it gets a column of its own name.
const ORACLE: &str = "oracle";

const INTRODUCTION: &str = "\
## Uniform sizes

One object size per row. The pool holds 2 GiB, or 128 MiB for sizes below 1,024 B. ⌊pool / size⌋
objects are stored before the clock starts, then 1,000,000 while it runs; every refusal evicts one
live object chosen at random. Utilization is taken after every timed operation and cannot exceed the
bound ⌊pool / size⌋ · size / pool.

A utilization cell reads *minimum / mean*, or one number when the two read the same. Digits beyond
the sixth are cut off, so that only a full pool reads 1. A time is the mean over the timed
operations in nanoseconds, eviction and harness included; the last column is the harness alone.
";

fn text(data: &Data) -> String {
    let mut text = INTRODUCTION.to_owned();
    for family in FAMILIES {
        text.push_str(&format!("\n### {}\n\nUtilization\n\n", title(family)));
        text.push_str(&utilization(data, family));
        text.push_str("\nTime per operation (ns)\n\n");
        text.push_str(&time(data, family));
    }
    text
}

fn title(family: Family) -> &'static str {
    match family {
        Family::PowerOfTwo => "Sizes s = 32 · 4^i",
        Family::PowerOfTwoMinus17 => "Sizes s − 17",
        Family::PowerOfTwoPlus17 => "Sizes s + 17",
        Family::NineTenths => "Sizes ⌊0.9 s⌋",
        Family::ElevenTenths => "Sizes ⌊1.1 s⌋",
    }
}

fn utilization(data: &Data, family: Family) -> String {
    let subjects = allocators(data);
    let mut headings = vec!["Size (B)", "Bound", "Published before", "Published after"];
    headings.extend(&subjects);
    let mut table = Table::new(&headings);
    for row in family.rows() {
        let bytes = row.size_bytes;
        let run = |subject| data.sized_run(WORKLOAD, subject, bytes);
        let bound = data
            .runs(WORKLOAD)
            .find(|run| run.count("alloc_size") == Some(bytes));
        let bound = bound.and_then(|run| run.number("utilization_bound"));
        let published =
            |figures: UniformFigures| share_pair(figures.utilization_min, figures.utilization_mean);
        let mut cells = vec![grouped(bytes), cell(bound, share)];
        cells.extend([published(row.before), published(row.after)]);
        cells.extend(
            subjects
                .iter()
                .map(|subject| utilization_cell(run(subject))),
        );
        table.row(&cells);
    }
    table.finish()
}

fn utilization_cell(run: Option<&Run>) -> String {
    let figures = run.and_then(|run| {
        Some((
            run.number("utilization_min")?,
            run.number("utilization_mean")?,
        ))
    });
    figures.map_or_else(|| "–".to_owned(), |(min, mean)| share_pair(min, mean))
}

fn time(data: &Data, family: Family) -> String {
    let subjects = allocators(data);
    let mut headings = vec!["Size (B)", "Published before", "Published after"];
    headings.extend(&subjects);
    headings.push("harness");
    let mut table = Table::new(&headings);
    for row in family.rows() {
        let bytes = row.size_bytes;
        let published = [row.before, row.after].map(|figures| nanoseconds(figures.ns_per_op));
        let mut cells = vec![grouped(bytes)];
        cells.extend(published);
        let run = |subject| data.sized_run(WORKLOAD, subject, bytes);
        let time = |subject| run(subject).and_then(|run| run.number("ns_per_op"));
        cells.extend(
            subjects
                .iter()
                .map(|subject| cell(time(subject), nanoseconds)),
        );
        let any = data
            .runs(WORKLOAD)
            .find(|run| run.count("alloc_size") == Some(bytes));
        let harness = any.and_then(|run| run.number("harness_ns_per_op"));
        cells.push(cell(harness, nanoseconds));
        table.row(&cells);
    }
    table.finish()
}

/// Returns the measured subjects that place objects.
fn allocators(data: &Data) -> Vec<&str> {
    data.subjects(WORKLOAD)
        .into_iter()
        .filter(|&subject| subject != ORACLE)
        .collect()
}
