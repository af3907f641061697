//! The section on moving objects within a budget: one table per mixture of sizes, a line per budget.

use crate::data::Data;

use super::Section;
use super::markdown::{Table, cell, nanoseconds, share};

const WORKLOAD: &str = "compact";

pub(super) const SECTION: Section = Section {
    workload: WORKLOAD,
    text,
    figures: &[],
};

const INTRODUCTION: &str = "\
## Moving within a budget

An object store holds objects of the sizes of the workloads of the same names, in pools as large as theirs. A put
that finds no hole may move at most *budget* bytes for each byte that it stores. The order in which objects leave does
not depend on where they lie: it is drawn at random for `random`, `loguniform` and `pages`, and `bimodal` lets payloads
leave by their age. Of the next ones, up to an eighth of all bytes, those leave that fit best. Without a budget neighbors leave together where the next in order make no hole. Nothing is copied, so that the
time is that of the store: looking, planning, book-keeping. Of `bimodal`, a 1.25 GiB object counts as refused if more
bytes left for it than it has.

";

fn text(data: &Data) -> String {
    let headings = [
        "Sizes",
        "budget",
        "utilization min",
        "p50",
        "mean",
        "moved / stored bytes",
        "evicted / stored bytes",
        "refused",
        "ns/op",
    ];
    let mut table = Table::new(&headings);
    for run in data.runs(WORKLOAD) {
        let mut cells = vec![
            run.text("sizes").unwrap_or("–").to_owned(),
            cell(run.number("budget"), |budget| format!("{budget}")),
        ];
        let utilization = |name| cell(run.number(&format!("utilization_{name}")), share);
        cells.extend(["min", "p50", "mean"].map(utilization));
        let ratio = |field| cell(run.number(field), |ratio| format!("{ratio:.4}"));
        cells.push(ratio("moved_bytes_per_stored_byte"));
        cells.push(ratio("evicted_bytes_per_stored_byte"));
        cells.push(cell(run.number("refused"), |count| format!("{count}")));
        cells.push(cell(run.number("ns_per_op"), nanoseconds));
        table.row(&cells);
    }
    format!("{INTRODUCTION}{}", table.finish())
}
