//! The section on pools of segments: which one is given an object.

use crate::data::{Data, Run};
use crate::figures;

use super::Section;
use super::markdown::{Table, cell, grouped, share};

const WORKLOAD: &str = "strategies";

pub(super) const SECTION: Section = Section {
    workload: WORKLOAD,
    text,
    figures: &[figures::UTILIZATION_BY_SEGMENTS],
};

const INTRODUCTION: &str = "\
## Which segment is given an object

Pools of remote segments of 1 GiB on ten hosts, one thread that places, 10,000 puts timed. The subjects
are strategies of `mc-segment`; a strategy only decides which segments are tried first, and none
refuses what some segment can take. `random-bin-ceil` has the published fit inside the segments,
which rounds sizes up to bins; the others have the default fit. The clock is read around each put,
which adds about 25 ns; the percentiles are the least times that so large a share of the puts did not
exceed. All rows, with skewed capacities and other sizes, are in `data/strategies.json`.
";

const CHURN: &str = "
### Churn of a full pool

Objects arrive after the pool has been filled twice over: `kv_mixed` has 70 % of 4 KiB, 20 % of 256 KiB
and 10 % of 3,274,752 B, `dsa_pair` pages of 3,274,752 B and 658,432 B with equal chances. With `random`
a refused put evicts 2 % of the live objects at random, as published; that alone keeps about 1 % empty.
With `window` it evicts the neighbors in one segment that leave a hole of the size for the fewest bytes:
where sizes repeat, one object of the same size. Utilization is the mean of samples after every
hundredth put, and the times include evicting.
";

const SCALE_OUT: &str = "
### Empty segments join

A pool of 10 or 100 segments is half full of 8 MiB objects when half as many empty segments join it, and
30 % of the new capacity is placed. **Load of the new** is how many times their share of the capacity
the new segments are given of the first tenth of the puts: a large number is a storm of writes on fresh
hosts. **Even after** is the share of the puts after which the standard deviation of the segments'
utilization stays below 0.1. `local-first` follows its writers, who are on each host in turn: of 100
segments on ten hosts and 50 on hosts of their own, five sixths of the puts come from new hosts.
";

const FILL_UP: &str = "
### Time of a put in 100 segments

Objects of 512 KiB, nothing freed.
";

fn text(data: &Data) -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str(CHURN);
    for (pattern, eviction) in [
        ("kv_mixed", "random"),
        ("dsa_pair", "random"),
        ("kv_mixed", "window"),
        ("dsa_pair", "window"),
    ] {
        text.push_str(&format!("\n`{pattern}`, evicted by `{eviction}`:\n\n"));
        text.push_str(&churn(data, pattern, eviction));
    }
    text.push_str(SCALE_OUT);
    text.push('\n');
    text.push_str(&scale_out(data));
    text.push_str(FILL_UP);
    text.push('\n');
    text.push_str(&fill_up(data));
    text
}

/// Returns the runs without skew of a scenario.
fn runs<'a>(data: &'a Data, scenario: &'a str, subject: &'a str) -> impl Iterator<Item = &'a Run> {
    data.runs(WORKLOAD).filter(move |run| {
        run.text("scenario") == Some(scenario)
            && run.text("subject") == Some(subject)
            && run.text("skewed") == Some("no")
    })
}

fn count(run: Option<&Run>, field: &str) -> String {
    let count = run.and_then(|run| run.count(field));
    count.map_or_else(|| "–".to_owned(), grouped)
}

fn churn(data: &Data, pattern: &str, eviction: &str) -> String {
    let headings = [
        "Subject",
        "1 segment",
        "10 segments",
        "100 segments",
        "p50 ns of 10",
        "p99 ns of 10",
        "refused",
    ];
    let mut table = Table::new(&headings);
    for subject in data.subjects(WORKLOAD) {
        let of = |segments| {
            runs(data, "churn", subject).find(|run| {
                run.text("pattern") == Some(pattern)
                    && run.text("eviction") == Some(eviction)
                    && run.count("segments") == Some(segments)
                    && run.count("replicas") == Some(1)
            })
        };
        let mean = |segments| {
            let run: Option<&Run> = of(segments);
            cell(run.and_then(|run| run.number("utilization_mean")), share)
        };
        table.row(&[
            subject.to_owned(),
            mean(1),
            mean(10),
            mean(100),
            count(of(10), "p50_ns"),
            count(of(10), "p99_ns"),
            count(of(10), "refused"),
        ]);
    }
    table.finish()
}

fn scale_out(data: &Data) -> String {
    let headings = [
        "Subject",
        "load of the new, 10 + 5",
        "even after",
        "deviation at the end",
        "load of the new, 100 + 50",
        "even after",
        "deviation at the end",
    ];
    let mut table = Table::new(&headings);
    for subject in data.subjects(WORKLOAD) {
        let mut cells = vec![subject.to_owned()];
        for segments in [10, 100] {
            let run = runs(data, "scaleout", subject).find(|run| {
                run.count("segments") == Some(segments)
                    && run.count("replicas") == Some(1)
                    && run.count("alloc_size") == Some(8 << 20)
            });
            let number = |field| run.and_then(|run| run.number(field));
            cells.push(cell(number("new_segments_load"), |load| {
                format!("{load:.2}")
            }));
            let converged = number("converged_at");
            cells.push(cell(converged, |share| match share {
                1.0 => "never".to_owned(),
                share => format!("{share:.2}"),
            }));
            cells.push(cell(number("utilization_stddev"), |stddev| {
                format!("{stddev:.3}")
            }));
        }
        table.row(&cells);
    }
    table.finish()
}

fn fill_up(data: &Data) -> String {
    let headings = [
        "Subject",
        "p50 ns, 1 replica",
        "p99 ns",
        "p50 ns, 2 replicas",
        "p99 ns",
        "p50 ns, 3 replicas",
        "p99 ns",
    ];
    let mut table = Table::new(&headings);
    for subject in data.subjects(WORKLOAD) {
        let mut cells = vec![subject.to_owned()];
        for replicas in 1..=3 {
            let run = runs(data, "fillup", subject).find(|run| {
                run.count("segments") == Some(100)
                    && run.count("replicas") == Some(replicas)
                    && run.count("alloc_size") == Some(512 << 10)
            });
            cells.extend(["p50_ns", "p99_ns"].map(|field| count(run, field)));
        }
        table.row(&cells);
    }
    table.finish()
}
