//! The population section: time until a pool can be used, by tier and workers.

use mc_bench::published;
use mc_bench::workload::populate::{SUBJECTS, WORKERS};

use crate::data::{Data, Run};
use crate::figures;

use super::Section;
use super::markdown::{Table, cell};

const WORKLOAD: &str = "populate";

pub(super) const SECTION: Section = Section {
    workload: WORKLOAD,
    text,
    figures: &[figures::POPULATION_TIME],
};

const INTRODUCTION: &str = "\
## Population

Time until a pool of 1 GiB is mapped, backed with zeroed memory and, if its pages are huge, checked
against what the kernel says about it; unmapping is not timed. Each tier is populated once before the
clock starts, because the host of a virtual machine backs memory at its first use, then seven times
with each number of workers in turns; medians. The allocator whose figures were published populates in
one call on one core, within *mmap*; its time is from a virtual machine of two AMD EPYC cores.

";

fn text(data: &Data) -> String {
    let headings = [
        "Subject",
        "pages obtained",
        "1 worker (ms)",
        "2 workers (ms)",
        "1 / 2",
    ];
    let mut table = Table::new(&headings);
    let published = format!("{:.0}", published::POPULATION_MS);
    table.row(&[
        "*published allocator, measured*",
        "base",
        &published,
        "–",
        "–",
    ]);
    let measured = data.subjects(WORKLOAD);
    for entry in SUBJECTS
        .iter()
        .filter(|entry| measured.contains(&entry.name))
    {
        let runs = WORKERS.map(|workers| {
            let row = [("workers", workers.get() as u64)];
            data.run_where(WORKLOAD, entry.name, &row)
        });
        let tier = runs[0].and_then(|run| run.text("tier")).unwrap_or("–");
        let [one, two] = runs.map(|run| run.and_then(milliseconds));
        let ratio = one.zip(two).map(|(one, two)| one / two);
        table.row(&[
            format!("`{}`: {}", entry.name, entry.summary),
            tier.to_owned(),
            cell(one, |time| format!("{time:.0}")),
            cell(two, |time| format!("{time:.0}")),
            cell(ratio, |ratio| format!("{ratio:.2}")),
        ]);
    }
    format!("{INTRODUCTION}{}", table.finish())
}

fn milliseconds(run: &Run) -> Option<f64> {
    run.number("milliseconds")
}
