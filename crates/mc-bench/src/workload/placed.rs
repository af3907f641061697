//! What the workloads report that place objects in a pool until it is full: records, table, comparison.

use crate::churn::{Outcome, Plan};
use crate::number::{cell, grouped, share, short_share, with_spread};
use crate::page::Made;
use crate::page::across::Across;
use crate::page::markdown::Table;
use crate::published::DistributionFigures;
use crate::record::{Document, Run, record, records};
use crate::row::Measured;
use crate::stats::{Utilization, utilization_curve};
use crate::subject::ORACLE;
use crate::timing::Timing;

use super::Request;

record! {
    /// One subject on one row of a pool that is kept full.
    pub(super) struct Churned {
        /// Who places.
        Row subject: String = "subject";
        /// Timed requests.
        Decided ops: u64;
        /// What sizes and victims are drawn from.
        Decided seed: u64;
        /// Time of a request, evictions included.
        Timed time: Timing;
        /// Wall time of the oracle: what the harness costs.
        Timed harness_ns_per_op: f64 = "harness";
        /// Requests that failed although everything evictable was gone.
        Decided refused: u64 = "refused";
        /// Objects that left.
        Decided evicted: u64;
        /// Digest of all decisions.
        Decided checksum: String;
        /// Bytes of the pool.
        Decided pool_bytes: u64;
    }
}

record! {
    /// Live bytes over the pool, over the samples; null if there were none. Percentiles are lower tail: 99 % of
    /// the samples reach p99.
    pub(super) struct Distribution {
        /// Smallest sample.
        Decided utilization_min: Option<f64> = "min";
        /// Reached by 99 %.
        Decided utilization_p99: Option<f64>;
        /// Reached by 90 %.
        Decided utilization_p90: Option<f64>;
        /// Median.
        Decided utilization_p50: Option<f64> = "p50";
        /// Largest sample.
        Decided utilization_max: Option<f64>;
        /// Arithmetic mean.
        Decided utilization_mean: Option<f64> = "mean";
        /// At 0, 1, … 100 hundredths of the samples.
        Decided utilization_curve: Vec<f64>;
    }
}

record! {
    /// One subject on requests of several sizes.
    pub(super) struct Mixed {
        /// What every such row has.
        Row churned: Churned;
        /// How full the pool was.
        Decided distribution: Distribution;
    }
}

impl Churned {
    pub(super) fn of(measured: &Measured, request: &Request, plan: &Plan) -> Self {
        let outcome = &measured.outcome;
        Self {
            subject: measured.subject.to_owned(),
            ops: plan.timed.len() as u64,
            seed: request.seed,
            time: measured.time.clone(),
            harness_ns_per_op: measured.harness_ns_per_op,
            refused: outcome.refused,
            evicted: outcome.evicted,
            checksum: outcome.checksum.to_string(),
            pool_bytes: plan.pool.capacity_bytes,
        }
    }

    pub(super) fn time(&self) -> String {
        with_spread(self.time.ns_per_op, self.time.ns_per_op_spread)
    }
}

impl Distribution {
    fn of(outcome: &Outcome, pool_bytes: u64) -> Self {
        let mut sorted = outcome.live_bytes_samples.clone();
        sorted.sort_unstable();
        let statistics = Utilization::of(&sorted, pool_bytes);
        let figure = |figure: fn(&Utilization) -> f64| statistics.as_ref().map(figure);
        Self {
            utilization_min: figure(|statistics| statistics.min),
            utilization_p99: figure(|statistics| statistics.p99),
            utilization_p90: figure(|statistics| statistics.p90),
            utilization_p50: figure(|statistics| statistics.p50),
            utilization_max: figure(|statistics| statistics.max),
            utilization_mean: figure(|statistics| statistics.mean),
            utilization_curve: utilization_curve(&sorted, pool_bytes),
        }
    }

    fn cells(&self) -> [String; 6] {
        let Self {
            utilization_min,
            utilization_p99,
            utilization_p90,
            utilization_p50,
            utilization_max,
            utilization_mean,
            ..
        } = self;
        let figures = [
            utilization_min,
            utilization_p99,
            utilization_p90,
            utilization_p50,
            utilization_max,
            utilization_mean,
        ];
        figures.map(|figure| cell(*figure, share))
    }
}

impl Mixed {
    pub(super) fn of(measured: &Measured, request: &Request, plan: &Plan) -> Self {
        Self {
            churned: Churned::of(measured, request, plan),
            distribution: Distribution::of(&measured.outcome, plan.pool.capacity_bytes),
        }
    }

    pub(super) fn mean(&self) -> Option<f64> {
        self.distribution.utilization_mean
    }
}

/// Returns the run of a record, with the moments that were kept.
pub(super) fn run(workload: &str, record: &impl crate::record::Part, outcome: &Outcome) -> Run {
    let mut run = Run::of(workload, record);
    outcome.moments.describe(&mut run);
    run
}

/// Returns what our default holds and takes beside the published fit, the bound, and whoever is quickest.
pub(super) fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Mixed> = records(&document.runs)?;
    let of = |subject: &str| rows.iter().find(|row| row.churned.subject == subject);
    let places = |row: &&Mixed| row.churned.subject != ORACLE;
    let time = |row: &&Mixed| row.churned.time.ns_per_op;
    let quickest = rows
        .iter()
        .filter(places)
        .min_by(|a, b| time(a).total_cmp(&time(b)));
    let (Some(ours), Some(published), Some(bound), Some(quickest)) =
        (of("adaptive"), of("bin-ceil"), of(ORACLE), quickest)
    else {
        return Ok(None);
    };
    let holds = |row: &Mixed| cell(row.mean(), short_share);
    Ok(Some(format!(
        "`adaptive` holds {} of the pool and takes {} ns, `bin-ceil` {} and {} ns; the bound is {}. Quickest is \
         `{}`, which holds {} and takes {} ns.",
        holds(ours),
        ours.churned.time(),
        holds(published),
        published.churned.time(),
        holds(bound),
        quickest.churned.subject,
        holds(quickest),
        quickest.churned.time(),
    )))
}

/// Returns a line per subject, below those that were published.
pub(super) fn table(
    document: &Document,
    published: &[(&str, DistributionFigures)],
) -> Made<String> {
    let headings = [
        "Subject", "min", "p99", "p90", "p50", "max", "mean", "refused", "ns/op", "CPU ns",
        "harness",
    ];
    let dash = || "–".to_owned();
    let lines = published.iter().map(|(version, figures)| {
        let Utilization {
            min,
            p99,
            p90,
            p50,
            max,
            mean,
        } = figures.utilization;
        let mut cells = vec![format!("*published {version}*")];
        cells.extend([min, p99, p90, p50, max, mean].map(share));
        cells.extend([dash(), format!("{:.0}", figures.ns_per_op), dash(), dash()]);
        cells
    });
    let rows: Vec<Mixed> = records(&document.runs)?;
    let measured = rows.iter().map(|row| {
        let churned = &row.churned;
        let mut cells = vec![churned.subject.clone()];
        cells.extend(row.distribution.cells());
        cells.extend([
            grouped(churned.refused),
            churned.time(),
            cell(churned.time.cpu_ns_per_op, |time| format!("{time:.0}")),
            format!("{:.0}", churned.harness_ns_per_op),
        ]);
        cells
    });
    Ok(Table::of(&headings, lines.chain(measured)))
}

/// Returns what a workload of several sizes brings to the comparison of allocators.
pub(super) fn across(
    title: &'static str,
    document: &Document,
    published: [Option<DistributionFigures>; 2],
) -> Made<Across> {
    let rows: Vec<Mixed> = records(&document.runs)?;
    let named = |row: &Mixed| row.churned.subject.clone();
    let [before, after] = published;
    let mean = |figures: DistributionFigures| figures.utilization.mean;
    let time = |figures: DistributionFigures| figures.ns_per_op;
    Ok(Across {
        title,
        published: [
            before.map(mean),
            after.map(mean),
            before.map(time),
            after.map(time),
        ],
        utilization: rows
            .iter()
            .filter_map(|row| Some((named(row), row.mean()?)))
            .collect(),
        times: rows
            .iter()
            .map(|row| (named(row), row.churned.time.clone()))
            .collect(),
    })
}
