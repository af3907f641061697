//! What the replay says about itself: token hit rate by capacity, and the capacity that equal hit rates save.

use crate::number::{cell, grouped, share, with_spread};
use crate::page::chart::{Axis, Chart, Drawing, Mark, Panel, Series};
use crate::page::markdown::Table;
use crate::page::{Figure, Headline, Made, Measure, Page, Place};
use crate::record::{Document, records};

use super::Replayed;

pub(super) const PAGE: Page = Page {
    heading: "Replay of a trace",
    models: "A generated trace of conversations against an object store of one segment: 2,000 requests that share system \
             prompts and grow turn by turn. Every block of 512 tokens of a prompt is looked up and, if it is missing, \
             stored; the last block of a prompt has the bytes of its tokens. A token is a hit if all that holds it is \
             there, and all before it in its prompt. Capacities are shares of the bytes that all blocks take together. \
             `published` is the published design: `bin-ceil`, and the object used longest ago leaves. It keeps parts as \
             objects of their own, and finds a block if all of them are there; the others keep them together under one \
             key. `adaptive, lru` changes placement and parts alone. `default` is a store whose options nobody has set: \
             it knows which block follows which, and chooses among policies while it runs. `oracle, lru` compacts for \
             free, and lets leave as the published design does. *Belady* knows the future: no policy that holds objects \
             of one size finds more of them.",
    omits: "It does not model when requests arrive, nor leases: a request is over before the next begins. No bytes are \
            written.",
    result,
    tables,
    figures: &[Figure::new(
        Place::Results,
        "replay-hit-rate.svg",
        "Token hits by capacity, and the capacity that the default saves for equal hits",
        draw,
    )],
    headlines,
    across: None,
};

/// Subject and eviction of a curve.
type Lane = (&'static str, &'static str);

/// The pair that is published and the pair that is ours.
const PUBLISHED: Lane = ("published", "lru");
const OURS: Lane = ("default", "window");

/// The curves of the tables, and how they are called.
const COLUMNS: [(Lane, &str); 4] = [
    (PUBLISHED, "published"),
    (("adaptive", "lru"), "adaptive, lru"),
    (OURS, "default"),
    (("oracle", "lru"), "oracle, lru"),
];

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

/// The layout of README and figure, and the capacity of the README in percent.
const SHOWN: &str = "mixed";
const SHOWN_PERCENT: f64 = 5.0;

/// Capacity of the second table, in percent.
const COMPARED_PERCENT: f64 = 10.0;

const COMPARISON: &str = "
### Evictions and time at 10 %

*Evicted / placed* are the bytes that left for the puts that had to evict or move, divided by the bytes of these puts:
the rest of a hole serves later puts, which then need not evict, so that no reference reaches 1. Time is per object
looked up, stores and evictions included; the oracle's is that of its tables.

";

/// Rates by the capacity in percent, in ascending order.
type Curve = Vec<(f64, f64)>;

/// The rows of a document.
struct Rows(Vec<Replayed>);

impl Rows {
    fn of(document: &Document) -> Made<Self> {
        records(&document.runs).map(Self)
    }

    fn curve(&self, layout: &str, (subject, eviction): Lane, rate: fn(&Replayed) -> f64) -> Curve {
        let rows = self.0.iter().filter(|row| {
            row.layout == layout && row.subject == subject && row.eviction == eviction
        });
        let mut curve: Curve = rows.map(|row| (row.capacity_percent, rate(row))).collect();
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        curve
    }

    fn hits(&self, layout: &str, lane: Lane) -> Curve {
        self.curve(layout, lane, |row| row.token_hit_rate)
    }

    fn bound(&self, layout: &str) -> Curve {
        self.curve(layout, PUBLISHED, |row| row.belady_hit_rate)
    }

    /// Returns by capacity how much less of it ours needs for the hits of the published design, in percent.
    fn saved(&self, layout: &str) -> Curve {
        let ours = self.hits(layout, OURS);
        let published = self.hits(layout, PUBLISHED).into_iter();
        let point = |(percent, rate)| Some((percent, 100.0 * saved_share(&ours, percent, rate)?));
        published.filter_map(point).collect()
    }
}

fn at(curve: &[(f64, f64)], percent: f64) -> Option<f64> {
    // Capacities are rounded to bytes.
    let is_asked = |(other, _): &&(f64, f64)| (other - percent).abs() < 0.01;
    curve.iter().find(is_asked).map(|(_, rate)| *rate)
}

/// Returns which share of a capacity a curve does without to reach a rate, or nothing where the curve
/// does not cross it between two of its points.
fn saved_share(curve: &[(f64, f64)], capacity: f64, rate: f64) -> Option<f64> {
    let crosses = |pair: &&[(f64, f64)]| pair[0].1 <= rate && rate <= pair[1].1;
    let pair = curve.windows(2).find(crosses)?;
    let [(low, low_rate), (high, high_rate)] = [pair[0], pair[1]];
    let part = if high_rate > low_rate {
        (rate - low_rate) / (high_rate - low_rate)
    } else {
        0.0
    };
    Some(1.0 - (low + part * (high - low)) / capacity)
}

fn headlines(document: &Document) -> Made<Vec<Headline>> {
    let rows = Rows::of(document)?;
    let hits = |curve: Curve| at(&curve, SHOWN_PERCENT).map(|rate| format!("{rate:.3}"));
    Ok(vec![Headline {
        measure: Measure::Hits,
        title: "tokens of conversations found, memory for 5 % of their blocks",
        cells: [
            hits(rows.hits(SHOWN, PUBLISHED)),
            None,
            hits(rows.hits(SHOWN, OURS)),
            hits(rows.bound(SHOWN)),
        ],
    }])
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows = Rows::of(document)?;
    let saved = LAYOUTS.iter().flat_map(|(layout, _)| rows.saved(layout));
    let saved: Vec<f64> = saved.map(|(_, saved)| saved).collect();
    let line = || {
        let rate = |curve: Curve| at(&curve, SHOWN_PERCENT);
        let (published, ours) = (
            rate(rows.hits(SHOWN, PUBLISHED))?,
            rate(rows.hits(SHOWN, OURS))?,
        );
        let bound = rate(rows.bound(SHOWN))?;
        let (least, most) = (
            saved.iter().copied().reduce(f64::min)?,
            saved.iter().copied().reduce(f64::max)?,
        );
        let least = match least < 0.0 {
            true => format!("{:.1} % more", -least),
            false => format!("{least:.1} % less"),
        };
        Some(format!(
            "With memory for 5 % of the blocks of two models, `default` finds {ours:.3} of the tokens, the published \
             design {published:.3}; who knows the future finds {bound:.3}. For equal hits `default` needs between \
             {least} and {most:.1} % less memory, by layout and capacity."
        ))
    };
    Ok(line())
}

fn tables(document: &Document) -> Made<String> {
    let rows = Rows::of(document)?;
    let mut text = String::from(
        "The trace is small, so that neighboring capacities can tie, and it is not that of a service: what public \
         traces give stands in the [guide](guides/segments-and-eviction.md). The last column tells how much less capacity `default` needs for the hit rate of `published`, interpolated \
         between the rows.\n",
    );
    for (layout, description) in LAYOUTS {
        let published = rows.hits(layout, PUBLISHED);
        if !published.is_empty() {
            text.push_str(&format!(
                "\n### {description}\n\n{}",
                rates(&rows, layout, &published)
            ));
        }
    }
    text.push_str(COMPARISON);
    text.push_str(&comparison(&rows));
    Ok(text)
}

fn rates(rows: &Rows, layout: &str, published: &[(f64, f64)]) -> String {
    let mut headings = vec!["Capacity"];
    headings.extend(COLUMNS.map(|(_, heading)| heading));
    headings.extend(["Belady", "capacity saved"]);
    let (bound, saved) = (rows.bound(layout), rows.saved(layout));
    let lines = published.iter().map(|&(percent, _)| {
        let mut cells = vec![format!("{percent:.0} %")];
        cells.extend(COLUMNS.map(|(lane, _)| cell(at(&rows.hits(layout, lane), percent), share)));
        cells.push(cell(at(&bound, percent), share));
        cells.push(cell(at(&saved, percent), |saved| format!("{saved:.1} %")));
        cells
    });
    Table::of(&headings.join("|"), lines)
}

fn comparison(rows: &Rows) -> String {
    let headings = "Layout | Subject | evicted / placed | evicted / stored | refused | mean utilization | \
                    ns/op";
    let is_compared = |row: &&Replayed| (row.capacity_percent - COMPARED_PERCENT).abs() < 0.01;
    let lines = rows.0.iter().filter(is_compared).map(|row| {
        let ratio = |ratio| format!("{ratio:.4}");
        vec![
            row.layout.clone(),
            format!("{}, {}", row.subject, row.eviction),
            cell(row.evicted_bytes_per_placed_byte, ratio),
            ratio(row.evicted_bytes_per_stored_byte),
            grouped(row.refused),
            share(row.utilization_mean),
            with_spread(row.time.ns_per_op, row.time.ns_per_op_spread),
        ]
    });
    Table::of(headings, lines)
}

fn draw(document: &Document) -> Made<Drawing> {
    let rows = Rows::of(document)?;
    let capacity = || Axis::linear("capacity (% of the bytes of all blocks)", 0.0, None);
    let hits = vec![
        Series::new("bound", Mark::Bound, rows.bound(SHOWN)).labelled("Belady"),
        Series::new("published", Mark::Line, rows.hits(SHOWN, PUBLISHED)),
        Series::new("default", Mark::Line, rows.hits(SHOWN, OURS)),
    ];
    let hits = Panel::new(
        "Tokens found, blocks of two models",
        capacity(),
        Axis::linear("token hit rate", 0.0, Some(1.0)),
        hits,
    );
    let saved = LAYOUTS.map(|(layout, _)| {
        let name = format!("layout {layout}");
        Series::new(&name, Mark::Line, rows.saved(layout)).labelled(layout)
    });
    let saved = Panel::new(
        "Memory that default saves for equal hits",
        capacity(),
        Axis::linear("less than published (%)", 0.0, None),
        saved.into(),
    );
    Ok(Chart::drawing(
        "Replay of conversations",
        2,
        vec![hits, saved],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_capacity_is_interpolated_between_points() {
        let curve = [(2.0, 0.1), (4.0, 0.3), (8.0, 0.3)];
        assert_eq!(saved_share(&curve, 4.0, 0.2), Some(0.25));
        assert_eq!(saved_share(&curve, 4.0, 0.3), Some(0.0));
        assert_eq!(saved_share(&curve, 4.0, 0.05), None);
        assert_eq!(saved_share(&curve, 4.0, 0.31), None);
    }
}
