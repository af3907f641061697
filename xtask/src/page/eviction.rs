//! The eviction section: one line per way to choose victims.

use crate::data::Data;
use crate::figures;

use super::Section;
use super::markdown::{Table, cell, nanoseconds, share};

const WORKLOAD: &str = "evict";

pub(super) const SECTION: Section = Section {
    workload: WORKLOAD,
    text,
    figures: &[figures::EVICTION],
};

const INTRODUCTION: &str = "\
## Who is evicted

The sizes of the random workload under the default fit, 300,000 of them timed. Here the subjects are
ways to choose who leaves when a request is refused: `random` evicts one live object chosen at
random, `lru` the one stored longest ago, again and again until the request fits. `window` clears
the contiguous window that makes room at the least cost, where an object costs its bytes;
`window-age` counts an object of age a as its bytes · (a + 1)^−0.1. Age is counted in operations
since the object was stored. A choice that keeps more bytes by throwing out what came last would
show in a low mean age, though weakly in a long run: whatever leaves at last counts, so that the mean
tends to the number of live objects under every choice. The workload has no hits: nothing makes one old object more worth keeping
than another.
";

fn text(data: &Data) -> String {
    let headings = [
        "Victims",
        "utilization min",
        "p50",
        "mean",
        "evicted / stored bytes",
        "victim age mean",
        "ns/op",
    ];
    let mut table = Table::new(&headings);
    for run in data.runs(WORKLOAD) {
        let mut cells = vec![run.text("victim").unwrap_or("–").to_owned()];
        let utilization = |name| cell(run.number(&format!("utilization_{name}")), share);
        cells.extend(["min", "p50", "mean"].map(utilization));
        let evicted = run.number("evicted_bytes_per_stored_byte");
        cells.push(cell(evicted, |ratio| format!("{ratio:.4}")));
        let age = run.number("victim_age_mean");
        cells.push(cell(age, |operations| format!("{operations:.2}")));
        cells.push(cell(run.number("ns_per_op"), nanoseconds));
        table.row(&cells);
    }
    format!("{INTRODUCTION}\n{}", table.finish())
}
