//! What the workloads of several threads share: threads that start together, their record, tables and figures.

use std::iter::Sum;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::number::{cell, grouped, rough, with_spread};
use crate::page::chart::{Axis, Chart, Drawing, Mark, Panel, Series, Unit};
use crate::page::markdown::Table;
use crate::pin;
use crate::probe::{Clocked, Unclocked, histogram, thread_time};
use crate::record::{Document, record};
use crate::timing::{Rate, Timing, Took};

record! {
    /// One subject in one scenario with one number of threads.
    pub(super) struct Threaded {
        Row subject: String = "subject"; // What is shared.
        Row scenario: String = "scenario"; // What the threads do.
        Row threads: u64 = "threads"; // How many there are.
        Timed ops: u64; // Operations of all of them in a round.
        Decided seed: u64; // What requests are drawn from.
        Timed p50_ns: u64; // Half of the calls take at most so long.
        Timed p99_ns: u64 = "p99 ns"; // 99 of 100.
        Timed p999_ns: u64 = "p99.9 ns"; // 999 of 1,000.
        + rate: Rate;
        + time: Timing;
    }
}

/// When one thread worked, and its processor time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: Instant,
    end: Instant,
    processor: Duration,
}

/// How calls ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Keys that were looked up.
    pub(super) reads: u64,
    /// Of these, those that were found.
    pub(super) hits: u64,
    /// Calls that did not end as the scenario expects.
    pub(super) unexpected: u64,
}

/// What one thread did: when, how its calls ended, and its probe.
pub(super) type Part<P> = (Span, Tally, P);

/// What a phase without clocks in its loop gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throughput {
    /// From the first call of the first thread to the last of the last.
    pub(super) took: Took,
    pub(super) tally: Tally,
}

/// What a phase gives that times each call.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    pub(super) times: Histogram<u64>,
    pub(super) tally: Tally,
}

/// Runs workers on threads of their own, pinned to the cores in turn; each waits at the barrier before it is timed, so
/// that neither the start of threads nor that of a barrier counts.
pub(super) fn together<W: Send, R: Send>(
    workers: Vec<W>,
    work: impl Fn(usize, W, &Barrier) -> R + Sync,
) -> Vec<R> {
    let barrier = &Barrier::new(workers.len());
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(workers)
            .map(|(index, worker)| {
                scope.spawn(move || {
                    pin::in_turn(index);
                    work(index, worker, barrier)
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.expect("no worker panics"))
            .collect()
    })
}

/// Times what the calling thread does.
#[inline]
pub(super) fn timed<R>(work: impl FnOnce() -> R) -> (Span, R) {
    let (start, used) = (Instant::now(), thread_time());
    let result = work();
    let (end, processor) = (Instant::now(), thread_time() - used);
    let span = Span {
        start,
        end,
        processor,
    };
    (span, result)
}

/// Returns what threads took for so many operations: from the first start to the last end.
pub(super) fn took(spans: impl Iterator<Item = Span> + Clone, ops: u64) -> Took {
    let start = spans.clone().map(|span| span.start).min();
    let end = spans.clone().map(|span| span.end).max();
    let wall = start.zip(end).map(|(start, end)| end - start);
    Took {
        wall: wall.expect("there is at least one thread"),
        processor: Some(spans.map(|span| span.processor).sum()),
        ops,
    }
}

impl Throughput {
    /// Returns what threads gave for so many operations together.
    pub(super) fn of(parts: &[Part<Unclocked>], ops: u64) -> Self {
        Self {
            took: took(parts.iter().map(|(span, ..)| *span), ops),
            tally: parts.iter().map(|(_, tally, _)| *tally).sum(),
        }
    }
}

impl Latency {
    /// Returns the times of all threads.
    pub(super) fn of(parts: &[Part<Clocked>]) -> Self {
        let mut times = histogram();
        parts.iter().for_each(|(.., probe)| times += &probe.0);
        Self {
            times,
            tally: parts.iter().map(|(_, tally, _)| *tally).sum(),
        }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, tally| Self {
            reads: sum.reads + tally.reads,
            hits: sum.hits + tally.hits,
            unexpected: sum.unexpected + tally.unexpected,
        })
    }
}

impl Threaded {
    /// Returns the record of rounds without clocks, and of the times of one with them.
    pub(super) fn of(
        (subject, scenario, threads): (&str, &str, usize),
        seed: u64,
        rounds: &[Took],
        times: &Histogram<u64>,
    ) -> Self {
        Self {
            subject: subject.to_owned(),
            scenario: scenario.to_owned(),
            threads: threads as u64,
            ops: rounds[0].ops,
            seed,
            p50_ns: times.value_at_quantile(0.50),
            p99_ns: times.value_at_quantile(0.99),
            p999_ns: times.value_at_quantile(0.999),
            rate: Rate::of(rounds, 1),
            time: Timing::of(rounds),
        }
    }

    /// Returns its rate in millions a second.
    pub(super) fn millions(&self) -> String {
        let million = |rate: f64| rate / 1e6;
        let spread = self.rate.ops_per_second_spread.map(million);
        with_spread(million(self.rate.ops_per_second), spread)
    }
}

/// Name, heading and explanation of a scenario.
pub(super) type Scenario = (&'static str, &'static str, &'static str);

/// Returns the rate of a subject in a scenario, in millions a second.
pub(super) fn millions(
    rows: &[Threaded],
    subject: &str,
    scenario: &str,
    threads: u64,
) -> Option<String> {
    let mut rows = rows.iter().filter(|row| row.subject == subject);
    let row = rows.find(|row| row.scenario == scenario && row.threads == threads);
    row.map(Threaded::millions)
}

/// Returns a heading, the explanation and a table for each scenario that has rows.
pub(super) fn sections(rows: &[Threaded], scenarios: &[Scenario]) -> String {
    let headings = "Subject | threads | M op/s | CPU ns | p50 ns | p99 ns | p99.9 ns";
    let section = |(name, heading, explanation): &Scenario| {
        let rows = rows.iter().filter(|row| row.scenario == *name);
        let lines = rows.map(|row| {
            let start = [row.subject.clone(), grouped(row.threads), row.millions()];
            let mut cells = start.to_vec();
            cells.push(cell(row.time.cpu_ns_per_op, rough));
            cells.extend([row.p50_ns, row.p99_ns, row.p999_ns].map(|time| rough(time as f64)));
            cells
        });
        let lines: Vec<_> = lines.collect();
        let table = (!lines.is_empty()).then(|| Table::of(headings, lines))?;
        Some(format!("### {heading}\n\n{explanation}\n\n{table}"))
    };
    let sections: Vec<String> = scenarios.iter().filter_map(section).collect();
    sections.join("\n")
}

/// Draws a panel per scenario: rates by the number of threads, with a line at that of the cores.
pub(super) fn draw(
    title: &str,
    document: &Document,
    rows: &[Threaded],
    (panels, subjects): (&[Scenario], [&str; 4]),
) -> Drawing {
    let cores = document.machine.cores;
    let panel = |(scenario, heading, _): &Scenario| {
        let series = subjects.map(|subject| {
            let is_asked = |row: &&Threaded| row.scenario == *scenario && row.subject == subject;
            let rows = rows.iter().filter(is_asked);
            let points = rows.map(|row| (row.threads as f64, row.rate.ops_per_second / 1e6));
            Series::new(subject, Mark::Line, points.collect())
        });
        let axes = ["threads", ""].map(|label| Axis::log(label, Unit::Number));
        let [x, y] = axes;
        Panel {
            rule: Some((cores as f64, format!("{cores} cores"))),
            ..Panel::new(heading, x, y, series.into())
        }
    };
    Chart::drawing(title, panels.len(), panels.iter().map(panel).collect())
}
