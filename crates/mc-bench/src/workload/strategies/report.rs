//! What the workload of strategies says about itself: churn, segments that join, and the time of a put.

use crate::number::{cell, grouped, rough, share, short_share};
use crate::page::chart::{Axis, Chart, Drawing, Mark, Panel, Series, Unit};
use crate::page::markdown::{Table, glossary};
use crate::page::{Figure, Made, Page, Place, no_headlines};
use crate::record::{Document, records};

use super::SUBJECTS;
use super::measure::Strategies;

pub(super) const PAGE: Page = Page {
    heading: "Which segment is given an object",
    models: "One writer of a store at a time. Pools of remote segments of 1 GiB on ten hosts, one thread that places, \
             10,000 puts timed. The subjects are strategies of `mc-segment`; a strategy only decides which segments are \
             tried first, and none refuses what some segment can take. `random-bin-ceil` has the published fit inside the \
             segments, which rounds sizes up to bins; the others have the default fit. The clock is read around each put, \
             which adds about 25 ns; the percentiles are the least times that so large a share of the puts did not \
             exceed.",
    omits: "It does not model the transfer, nor how fast each host can take what it is given; that is why it reports how \
            evenly the strategies spread.",
    result,
    tables,
    figures: &[Figure::new(
        Place::Tables,
        "strategies-utilization.svg",
        "Mean utilization of a full pool by the number of its segments, 2 % evicted at random",
        draw,
    )],
    headlines: no_headlines,
    across: None,
};

/// Bytes of an object where empty segments join, and where a pool is filled.
pub(super) const JOINED_BYTES: u64 = 8 << 20;
pub(super) const FILLED_BYTES: u64 = 512 << 10;

const CHURN: &str = "
### Churn of a full pool

Objects arrive after the pool has been filled twice over: `kv_mixed` has 70 % of 4 KiB, 20 % of 256 KiB and 10 % of
3,274,752 B, `dsa_pair` pages of 3,274,752 B and 658,432 B with equal chances. With `random` a refused put evicts 2 % of
the live objects at random, as published; that alone keeps about 1 % empty. With `window` it evicts the neighbors in one
segment that leave a hole of the size for the fewest bytes: where sizes repeat, one object of the same size. Utilization
is the mean of samples after every hundredth put, and the times include evicting.
";

const SCALE_OUT: &str = "
### Empty segments join

A pool of 10 or 100 segments is half full of 8 MiB objects when half as many empty segments join it, and 30 % of the new
capacity is placed. **Load of the new** is how many times their share of the capacity the new segments are given of the
first tenth of the puts: a large number is a storm of writes on fresh hosts. **Even after** is the share of the puts
after which the standard deviation of the segments' utilization stays below 0.1. `local-first` follows its writers, who
are on each host in turn: of 100 segments on ten hosts and 50 on hosts of their own, five sixths of the puts come from
new hosts.

";

const FILL_UP: &str = "
### Time of a put in 100 segments

Objects of 512 KiB, nothing freed.

";

/// The mixes of a churn and who leaves in it.
const CHURNS: [(&str, &str); 4] = [
    ("kv_mixed", "random"),
    ("dsa_pair", "random"),
    ("kv_mixed", "window"),
    ("dsa_pair", "window"),
];

/// The rows of a document.
struct Rows(Vec<Strategies>);

impl Rows {
    fn of(document: &Document) -> Made<Self> {
        records(&document.runs).map(Self)
    }

    fn find(&self, subject: &str, is_asked: impl Fn(&Strategies) -> bool) -> Option<&Strategies> {
        let mut rows = self.0.iter().filter(|row| row.subject == subject);
        rows.find(|row| is_asked(row))
    }

    fn churn(
        &self,
        subject: &str,
        (pattern, eviction): (&str, &str),
        segments: u64,
    ) -> Option<&Strategies> {
        self.find(subject, |row| {
            row.pattern.as_deref() == Some(pattern)
                && row.eviction.as_deref() == Some(eviction)
                && (row.segments, row.replicas) == (segments, 1)
        })
    }

    fn filling(
        &self,
        subject: &str,
        scenario: &str,
        bytes: u64,
        shape: (u64, u64),
    ) -> Option<&Strategies> {
        self.find(subject, |row| {
            row.scenario == scenario
                && row.alloc_size == Some(bytes)
                && (row.segments, row.replicas) == shape
        })
    }
}

fn names() -> [&'static str; SUBJECTS.len()] {
    SUBJECTS.map(|entry| entry.described.name)
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows = Rows::of(document)?;
    let mean = |subject| {
        let row = rows.churn(subject, CHURNS[0], 10);
        cell(row.map(|row| row.measured.utilization_mean), short_share)
    };
    Ok(Some(format!(
        "In ten full segments of mixed sizes the default fit keeps {} to {} in use, whichever strategy chooses, and the \
         published fit {}. `capacity-weighted` spreads what comes and gives new segments no storm of writes.",
        mean("best-hole"),
        mean("random-segment"),
        mean("random-bin-ceil"),
    )))
}

fn tables(document: &Document) -> Made<String> {
    let rows = Rows::of(document)?;
    let entries = SUBJECTS.iter().map(|entry| entry.described);
    let mut text = glossary(
        "Subject",
        entries.map(|one| (one.name.to_owned(), one.summary.to_owned())),
    );
    text.push_str(CHURN);
    for kind in CHURNS {
        text.push_str(&format!(
            "\n`{}`, evicted by `{}`:\n\n{}",
            kind.0,
            kind.1,
            churn(&rows, kind)
        ));
    }
    text.push_str(SCALE_OUT);
    text.push_str(&scale_out(&rows));
    text.push_str(FILL_UP);
    text.push_str(&fill_up(&rows));
    Ok(text)
}

fn churn(rows: &Rows, kind: (&str, &str)) -> String {
    let headings = "Subject | 1 segment | 10 segments | 100 segments | p50 ns of 10 | p99 ns of 10 | \
                    refused";
    let lines = names().map(|subject| {
        let mut cells = vec![subject.to_owned()];
        cells.extend([1, 10, 100].map(|segments| {
            let row = rows.churn(subject, kind, segments);
            cell(row.map(|row| row.measured.utilization_mean), share)
        }));
        let ten = rows.churn(subject, kind, 10).map(|row| &row.measured);
        let times = [ten.map(|ten| ten.p50_ns), ten.map(|ten| ten.p99_ns)];
        cells.extend(times.map(|time| cell(time.map(|time| time as f64), rough)));
        cells.push(ten.map_or("–".to_owned(), |ten| grouped(ten.refused)));
        cells
    });
    Table::of(headings, lines)
}

fn scale_out(rows: &Rows) -> String {
    let headings = "Subject | load of the new, 10 + 5 | even after | deviation at the end | \
                    load of the new, 100 + 50 | even after | deviation at the end";
    let lines = names().map(|subject| {
        let mut cells = vec![subject.to_owned()];
        for segments in [10, 100] {
            let row = rows.filling(subject, "scaleout", JOINED_BYTES, (segments, 1));
            let row = row.map(|row| &row.measured);
            let load = row.and_then(|row| row.new_segments_load);
            cells.push(cell(load, |load| format!("{load:.2}")));
            cells.push(cell(
                row.and_then(|row| row.converged_at),
                |share| match share {
                    1.0 => "never".to_owned(),
                    share => format!("{share:.2}"),
                },
            ));
            cells.push(cell(row.map(|row| row.utilization_stddev), |stddev| {
                format!("{stddev:.3}")
            }));
        }
        cells
    });
    Table::of(headings, lines)
}

fn fill_up(rows: &Rows) -> String {
    let headings = "Subject | p50 ns, 1 replica | p99 ns | p50 ns, 2 replicas | p99 ns | \
                    p50 ns, 3 replicas | p99 ns";
    let lines = names().map(|subject| {
        let mut cells = vec![subject.to_owned()];
        for replicas in 1..=3 {
            let row = rows.filling(subject, "fillup", FILLED_BYTES, (100, replicas));
            let times = row.map(|row| [row.measured.p50_ns, row.measured.p99_ns]);
            cells.extend([0, 1].map(|at| cell(times.map(|times| times[at] as f64), rough)));
        }
        cells
    });
    Table::of(headings, lines)
}

fn draw(document: &Document) -> Made<Drawing> {
    let rows = Rows::of(document)?;
    let panel = |(kind, title): ((&str, &str), &str)| {
        let series = names().map(|subject| {
            let point = |segments: u64| {
                let row = rows.churn(subject, kind, segments)?;
                Some((segments as f64, row.measured.utilization_mean))
            };
            Series::new(
                subject,
                Mark::Line,
                [1, 10, 100].into_iter().filter_map(point).collect(),
            )
        });
        let y = Axis::linear("mean utilization", 0.9, Some(1.0));
        Panel::new(title, Axis::log("segments", Unit::Number), y, series.into())
    };
    let panels = [
        (CHURNS[0], "4 KiB, 256 KiB and 3.12 MiB"),
        (CHURNS[1], "3.12 MiB and 643 KiB"),
    ];
    Ok(Chart::drawing(
        "What a full pool of segments holds under churn",
        2,
        panels.map(panel).to_vec(),
    ))
}
