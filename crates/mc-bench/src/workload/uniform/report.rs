//! What the uniform workload says about itself: five families of eleven sizes, utilization and time of each.

use crate::number::{grouped, share, short_share, with_spread};
use crate::page::across::Across;
use crate::page::chart::{Axis, Chart, Drawing, Mark, Panel, Series, Unit};
use crate::page::markdown::Table;
use crate::page::{Figure, Headline, Made, Measure, Page, Place};
use crate::published::{FAMILIES, Family, UNIFORM, UniformFigures, UniformRow};
use crate::record::{Document, records};
use crate::stats::geometric_mean;
use crate::subject::ORACLE;
use crate::timing::Timing;

use super::Uniform;

pub(super) const PAGE: Page = Page {
    heading: "Uniform sizes",
    models: "One model whose vectors all have the same length: one object size per row, 55 sizes in five families \
             around the powers 32 · 4^i. The pool holds 2 GiB, or 128 MiB for sizes below 1,024 B. ⌊pool / size⌋ objects \
             are stored before the clock starts, then 1,000,000 while it runs; every refusal evicts one live object \
             chosen at random. Utilization is taken after every timed operation and cannot exceed the bound \
             ⌊pool / size⌋ · size / pool.",
    omits: "It does not model more than one model per pool, nor objects that arrive or leave in groups.",
    result,
    tables,
    figures: &[
        Figure::new(
            Place::Results,
            "uniform-time.svg",
            "Time per operation of the uniform workload by object size",
            times,
        ),
        Figure::new(
            Place::Tables,
            "uniform-utilization.svg",
            "Minimum utilization of the uniform workload by object size",
            minima,
        ),
    ],
    headlines,
    across: Some(across),
};

const NOTE: &str = "\
A utilization cell reads *minimum / mean*, or one number when the two read the same. Digits beyond the sixth are cut
off, so that only a full pool reads 1. Times are nanoseconds per operation, eviction and harness included; the last
column is the harness alone.
";

/// The rows of a document.
struct Rows(Vec<Uniform>);

impl Rows {
    fn of(document: &Document) -> Made<Self> {
        records(&document.runs).map(Self)
    }

    /// Returns the subjects in the order of their first row.
    fn subjects(&self) -> Vec<&str> {
        let mut subjects: Vec<&str> = Vec::new();
        for row in &self.0 {
            if !subjects.contains(&row.churned.subject.as_str()) {
                subjects.push(&row.churned.subject);
            }
        }
        subjects
    }

    fn of_subject(&self, subject: &str) -> impl Iterator<Item = &Uniform> {
        self.0
            .iter()
            .filter(move |row| row.churned.subject == subject)
    }

    fn of_size(&self, subject: &str, bytes: u64) -> Option<&Uniform> {
        self.of_subject(subject).find(|row| row.alloc_size == bytes)
    }

    /// Returns the smallest share of its bound that a subject ever holds.
    fn worst(&self, subject: &str) -> Option<f64> {
        let shares = self
            .of_subject(subject)
            .map(|row| row.utilization_min / row.utilization_bound);
        shares.reduce(f64::min)
    }

    /// Returns the geometric means over the sizes, with the spread that they have on average.
    fn time(&self, subject: &str) -> Option<Timing> {
        let rows = || self.of_subject(subject).map(|row| &row.churned.time);
        let ns_per_op = geometric_mean(rows().map(|time| time.ns_per_op))?;
        let relative = rows().map(|time| Some(time.ns_per_op_spread? / time.ns_per_op));
        let relative: Option<Vec<f64>> = relative.collect();
        let spread = relative.map(|all| all.iter().sum::<f64>() / all.len() as f64 * ns_per_op);
        let processor: Option<Vec<f64>> = rows().map(|time| time.cpu_ns_per_op).collect();
        Some(Timing {
            ns_per_op,
            ns_per_op_spread: spread,
            cpu_ns_per_op: processor.and_then(geometric_mean),
            repeats: rows().map(|time| time.repeats).min()?,
        })
    }

    fn time_text(&self, subject: &str) -> Option<String> {
        let time = self.time(subject)?;
        Some(with_spread(time.ns_per_op, time.ns_per_op_spread))
    }
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows = Rows::of(document)?;
    let texts = |subject| Some((short_share(rows.worst(subject)?), rows.time_text(subject)?));
    let line = || {
        let (ours, published) = (texts("adaptive")?, texts("bin-ceil")?);
        let (shared, peer, crates) = (
            texts("shared")?,
            texts("range-alloc")?,
            texts("offset-allocator")?,
        );
        Some(format!(
            "At worst `adaptive` holds {} of what is possible, `bin-ceil` {} and `offset-allocator` {}. They take {}, {} \
             and {} ns (geometric means over the sizes), `adaptive` behind thread-safe handles (`shared`) {} ns. \
             `range-alloc` is quicker, {} ns and nothing lost: its list of holes stays short here.",
            ours.0, published.0, crates.0, ours.1, published.1, crates.1, shared.1, peer.1,
        ))
    };
    Ok(line())
}

fn headlines(document: &Document) -> Made<Vec<Headline>> {
    let rows = Rows::of(document)?;
    let time = |subject: &str| rows.time_text(subject);
    let named = |subject: &str| Some(format!("{} (`{subject}`)", time(subject)?));
    let crates: Vec<String> = ["offset-allocator", "range-alloc"]
        .into_iter()
        .filter_map(named)
        .collect();
    Ok(vec![Headline {
        measure: Measure::Time,
        title: "allocate and free, equal sizes, one thread (ns)",
        cells: [
            time("bin-ceil"),
            (!crates.is_empty()).then(|| crates.join(", ")),
            time("shared"),
            None,
        ],
    }])
}

fn across(document: &Document) -> Made<Across> {
    let rows = Rows::of(document)?;
    let subjects = rows.subjects();
    let worst = |figures: fn(&UniformRow) -> UniformFigures| {
        let shares = UNIFORM.iter().filter_map(|row| {
            let bound = rows.of_size(ORACLE, row.size_bytes)?.utilization_bound;
            // Published digits end after the sixth, so a row can seem to exceed its bound.
            Some((figures(row).utilization_min / bound).min(1.0))
        });
        shares.reduce(f64::min)
    };
    let mean = |figures: fn(&UniformRow) -> UniformFigures| {
        geometric_mean(UNIFORM.iter().map(|row| figures(row).ns_per_op))
    };
    let named = |subject: &&str| Some(((*subject).to_owned(), rows.worst(subject)?));
    let timed = |subject: &&str| Some(((*subject).to_owned(), rows.time(subject)?));
    Ok(Across {
        title: "one size (of 55: worst share of the bound, mean time)",
        published: [
            worst(|row| row.before),
            worst(|row| row.after),
            mean(|row| row.before),
            mean(|row| row.after),
        ],
        utilization: subjects.iter().filter_map(named).collect(),
        times: subjects.iter().filter_map(timed).collect(),
    })
}

fn tables(document: &Document) -> Made<String> {
    let rows = Rows::of(document)?;
    let mut text = NOTE.to_owned();
    for family in FAMILIES {
        let utilization = table(
            &rows,
            family,
            |one| share_pair(one.utilization_min, one.utilization_mean),
            |row| share_pair(row.utilization_min, row.utilization_mean),
            ("Bound", |row| share(row.utilization_bound)),
        );
        let time = table(
            &rows,
            family,
            |one| format!("{:.0}", one.ns_per_op),
            |row| row.churned.time(),
            ("harness", |row| {
                format!("{:.0}", row.churned.harness_ns_per_op)
            }),
        );
        let title = title(family);
        text += &format!("\n### Sizes {title}\n\nUtilization\n\n{utilization}\nTime\n\n{time}");
    }
    Ok(text)
}

const fn title(family: Family) -> &'static str {
    match family {
        Family::PowerOfTwo => "s = 32 · 4^i",
        Family::PowerOfTwoMinus17 => "s − 17",
        Family::PowerOfTwoPlus17 => "s + 17",
        Family::NineTenths => "⌊0.9 s⌋",
        Family::ElevenTenths => "⌊1.1 s⌋",
    }
}

/// Returns a line per size: what was published, the subjects that place objects, and what is the same for all of them.
fn table(
    rows: &Rows,
    family: Family,
    published: fn(UniformFigures) -> String,
    measured: fn(&Uniform) -> String,
    (last, common): (&str, fn(&Uniform) -> String),
) -> String {
    let mut subjects = rows.subjects();
    subjects.retain(|subject| *subject != ORACLE);
    let headings = format!(
        "Size (B) | *published before* | *after* | {} | {last}",
        subjects.join("|")
    );
    let text =
        |row: Option<&Uniform>, text: fn(&Uniform) -> String| row.map_or("–".to_owned(), text);
    let lines = family.rows().map(|row| {
        let mut cells = vec![
            grouped(row.size_bytes),
            published(row.before),
            published(row.after),
        ];
        cells.extend(
            subjects
                .iter()
                .map(|subject| text(rows.of_size(subject, row.size_bytes), measured)),
        );
        let any = rows
            .0
            .iter()
            .find(|other| other.alloc_size == row.size_bytes);
        cells.push(text(any, common));
        cells
    });
    Table::of(&headings, lines)
}

/// Returns two utilizations, or one when they read the same.
fn share_pair(min: f64, mean: f64) -> String {
    let (min, mean) = (share(min), share(mean));
    if min == mean {
        min
    } else {
        format!("{min} / {mean}")
    }
}

/// Measured series of the utilization; the others lie on these.
const MINIMA: [&str; 4] = ["buddy", "bin-exact", "bin-ceil", "adaptive"];

fn minima(document: &Document) -> Made<Drawing> {
    let rows = Rows::of(document)?;
    let panel = |family: Family| {
        let points = |subject: &str, figure: fn(&Uniform) -> f64| {
            let sizes = family.rows().filter_map(|row| {
                let measured = rows.of_size(subject, row.size_bytes)?;
                Some((row.size_bytes as f64, figure(measured)))
            });
            sizes.collect()
        };
        let bound = points(ORACLE, |row| row.utilization_bound);
        let mut series = vec![Series::new("bound", Mark::Bound, bound)];
        series.extend(MINIMA.map(|subject| {
            Series::new(
                subject,
                Mark::Line,
                points(subject, |row| row.utilization_min),
            )
        }));
        let x = Axis::log("object size", Unit::Bytes);
        Panel::new(
            title(family),
            x,
            Axis::linear("minimum utilization", 0.5, Some(1.0)),
            series,
        )
    };
    let panels = FAMILIES.map(panel).to_vec();
    Ok(Chart::drawing(
        "Equal sizes: what a full pool holds at least (good-fit, shared, slots, range-alloc as adaptive)",
        3,
        panels,
    ))
}

/// Series of the times; the others lie between.
const TIMES: [(&str, &str); 7] = [
    (ORACLE, "harness alone"),
    ("buddy", "buddy"),
    ("range-alloc", "range-alloc"),
    ("offset-allocator", "offset-allocator"),
    ("bin-ceil", "bin-ceil"),
    ("shared", "shared"),
    ("adaptive", "adaptive"),
];

fn times(document: &Document) -> Made<Drawing> {
    let rows = Rows::of(document)?;
    let series = TIMES.map(|(subject, label)| {
        let point = |power: u32| {
            let times = FAMILIES.iter().filter_map(|family| {
                let row = rows.of_size(subject, family.size_bytes(power))?;
                Some(row.churned.time.ns_per_op)
            });
            let size = Family::PowerOfTwo.size_bytes(power) as f64;
            Some((size, geometric_mean(times)?))
        };
        Series::new(subject, Mark::Line, (0..11).filter_map(point).collect()).labelled(label)
    });
    let x = Axis::log(
        "object size s (the mean of five sizes around it)",
        Unit::Bytes,
    );
    let panel = Panel::new(
        "",
        x,
        Axis::log("ns per operation", Unit::Number),
        series.into(),
    );
    Ok(Chart::drawing(
        "Equal sizes: time to evict one object and place another",
        1,
        vec![panel],
    ))
}
