//! The replay section: token hit rate by capacity, and the capacity that equal hit rates save.

use crate::data::{Data, Run};
use crate::figures;
use crate::figures::{belady_rates, hit_rates, saved_share};

use super::Section;
use super::markdown::{Table, cell, grouped, nanoseconds, share};

const WORKLOAD: &str = "replay";

pub(super) const SECTION: Section = Section {
    workload: WORKLOAD,
    text,
    figures: &[figures::HIT_RATE],
};

/// Subject, eviction and how the table of hit rates calls the pair.
const COLUMNS: [(&str, &str, &str); 4] = [
    ("published", "lru", "published"),
    ("adaptive", "lru", "adaptive, lru"),
    ("default", "window", "default"),
    ("oracle", "lru", "oracle, lru"),
];

/// The pair that is published and the pair that is ours.
const PUBLISHED: (&str, &str) = ("published", "lru");
const OURS: (&str, &str) = ("default", "window");

/// Layouts and what they are.
const LAYOUTS: [(&str, &str); 5] = [
    (
        "dsa-pair",
        "Pages of 64 tokens, each in two parts of 3,274,752 B and 658,432 B",
    ),
    ("blocks", "Blocks of 512 tokens, each as one object"),
    ("pages", "Pages of 64 tokens, each as one object"),
    (
        "mixed",
        "Blocks of two models, one with 70,272 B per token and one with 327,680 B",
    ),
    ("hybrid", "Blocks of a hybrid model, each in nine parts"),
];

/// Capacity of the second table, in hundredths of the bytes of all blocks.
const COMPARED_PERCENT: f64 = 10.0;

const INTRODUCTION: &str = "\
## Replay of a trace

A generated trace of conversations against an object store of one segment: 2,000 requests that share
system prompts and grow turn by turn. Every block of 512 tokens of a prompt is looked up and, if it is
missing, stored; the last block of a prompt has the bytes of its tokens. A token is a hit if all that
holds it is there, and all before it in its prompt. Capacities are shares of the bytes that all blocks
take together. `published` is the published design: `bin-ceil`, and the object used longest ago leaves.
It keeps parts as objects of their own, and finds a block if all of them are there; the others keep
them together under one key. `adaptive, lru` changes placement and parts alone. `default` is a store whose options nobody has set: it
knows which block follows which, and chooses among policies while it runs. `oracle, lru` compacts for
free, and lets leave as the published design does. *Belady* knows the future: no policy that holds
objects of one size finds more of them. The last column tells how much less capacity `default` needs for
the hit rate of `published`, interpolated between the rows.
";

const COMPARISON: &str = "
### Evictions and time at 10 %

*Evicted / placed* are the bytes that left for the puts that had to evict, divided by the bytes of
these puts: the rest of a hole serves later puts, which then need not evict, so that no reference
reaches 1. Time is per object looked up, stores and evictions included; the oracle's is that of its
tables.

";

const REMARKS: &str = "
The trace is small, so that neighboring capacities can tie, and it is not that of a service: what public
traces give stands in the [guide](guides/segments-and-eviction.md).
";

fn text(data: &Data) -> String {
    let mut text = INTRODUCTION.to_owned();
    for (layout, description) in LAYOUTS {
        if !hit_rates(data, layout, PUBLISHED).is_empty() {
            text.push_str(&format!("\n### {description}\n\n{}", rates(data, layout)));
        }
    }
    text.push_str(COMPARISON);
    text.push_str(&comparison(data));
    text.push_str(REMARKS);
    text
}

fn rates(data: &Data, layout: &str) -> String {
    let mut headings = vec!["Capacity"];
    headings.extend(COLUMNS.map(|(_, _, heading)| heading));
    headings.extend(["Belady", "capacity saved"]);
    let mut table = Table::new(&headings);
    let ours = hit_rates(data, layout, OURS);
    let bounds = belady_rates(data, layout);
    for (percent, published) in hit_rates(data, layout, PUBLISHED) {
        let mut cells = vec![format!("{percent:.0} %")];
        cells.extend(COLUMNS.map(|(subject, eviction, _)| {
            let rates = hit_rates(data, layout, (subject, eviction));
            let rate = rates.iter().find(|(other, _)| is_same(*other, percent));
            cell(rate.map(|(_, rate)| *rate), share)
        }));
        let bound = bounds.iter().find(|(other, _)| is_same(*other, percent));
        cells.push(cell(bound.map(|(_, bound)| *bound), share));
        let saved = saved_share(&ours, percent, published);
        cells.push(cell(saved, |saved| format!("{:.1} %", 100.0 * saved)));
        table.row(&cells);
    }
    table.finish()
}

fn comparison(data: &Data) -> String {
    let headings = [
        "Layout",
        "Subject",
        "evicted / placed",
        "evicted / stored",
        "refused",
        "utilization mean",
        "ns/op",
    ];
    let mut table = Table::new(&headings);
    let is_compared = |run: &&Run| {
        let share = run.number("capacity_share");
        share.is_some_and(|share| is_same(100.0 * share, COMPARED_PERCENT))
    };
    for run in data.runs(WORKLOAD).filter(is_compared) {
        let subject = run.text("subject").unwrap_or("–");
        let eviction = run.text("eviction").unwrap_or("–");
        let ratio = |field| cell(run.number(field), |ratio| format!("{ratio:.4}"));
        table.row(&[
            run.text("layout").unwrap_or("–").to_owned(),
            format!("{subject}, {eviction}"),
            ratio("evicted_bytes_per_placed_byte"),
            ratio("evicted_bytes_per_stored_byte"),
            grouped(run.count("refused").unwrap_or_default()),
            cell(run.number("utilization_mean"), share),
            cell(run.number("ns_per_op"), nanoseconds),
        ]);
    }
    table.finish()
}

/// Capacities are rounded to bytes.
fn is_same(percent: f64, other: f64) -> bool {
    (percent - other).abs() < 0.01
}
