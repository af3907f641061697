//! What the workloads report that place objects in a pool until it is full: records, table, comparison.

use crate::churn::{Outcome, Plan};
use crate::number::{cell, grouped, share, short_share, with_spread};
use crate::page::Made;
use crate::page::across::Across;
use crate::page::markdown::Table;
use crate::published::DistributionFigures;
use crate::record::{Declared, Document, Run, record, records};
use crate::row::Measured;
use crate::stats::Utilization;
use crate::subject::ORACLE;
use crate::timing::Timing;

use super::Request;

record! {
    /// One subject on one row of a pool that is kept full.
    pub(super) struct Churned {
        Row subject: String = "subject"; // Who places.
        Decided ops: u64; // Timed requests.
        Decided seed: u64; // What sizes and victims are drawn from.
        Timed harness_ns_per_op: f64 = "harness"; // Wall time of the oracle: what the harness costs.
        Decided refused: u64 = "refused"; // Requests that failed although everything evictable was gone.
        Decided evicted: u64; // Objects that left.
        Decided checksum: String; // Digest of all decisions.
        Decided pool_bytes: u64; // Bytes of the pool.
        + time: Timing; // Time of a request, evictions included.
    }
}

record! {
    /// One subject on requests of several sizes. Utilization is null if there were no samples; its percentiles are
    /// lower tail: 99 % of the samples reach p99.
    pub(super) struct Mixed {
        + churned: Churned;
        Decided utilization_min: Option<f64> = "min"; // Smallest sample.
        Decided utilization_p99: Option<f64>; // Reached by 99 %.
        Decided utilization_p90: Option<f64>; // Reached by 90 %.
        Decided utilization_p50: Option<f64> = "p50"; // Median.
        Decided utilization_max: Option<f64>; // Largest sample.
        Decided utilization_mean: Option<f64> = "mean"; // Arithmetic mean.
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

impl Mixed {
    pub(super) fn of(measured: &Measured, request: &Request, plan: &Plan) -> Self {
        let pool_bytes = plan.pool.capacity_bytes;
        let statistics = Utilization::of(&measured.outcome.live_bytes_samples, pool_bytes);
        let figure = |figure: fn(&Utilization) -> f64| statistics.as_ref().map(figure);
        Self {
            churned: Churned::of(measured, request, plan),
            utilization_min: figure(|statistics| statistics.min),
            utilization_p99: figure(|statistics| statistics.p99),
            utilization_p90: figure(|statistics| statistics.p90),
            utilization_p50: figure(|statistics| statistics.p50),
            utilization_max: figure(|statistics| statistics.max),
            utilization_mean: figure(|statistics| statistics.mean),
        }
    }

    fn cells(&self) -> [String; 6] {
        let figures = [
            self.utilization_min,
            self.utilization_p99,
            self.utilization_p90,
            self.utilization_p50,
            self.utilization_max,
            self.utilization_mean,
        ];
        figures.map(|figure| cell(figure, share))
    }
}

/// Returns the run of a record, with the moments that were kept.
pub(super) fn run(workload: &str, record: &impl Declared, outcome: &Outcome) -> Run {
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
    let holds = |row: &Mixed| cell(row.utilization_mean, short_share);
    let peer = match quickest.churned.subject.as_str() {
        "adaptive" => "Nobody is quicker".to_owned(),
        name => format!(
            "Quickest is `{name}`, which holds {} and takes {} ns",
            holds(quickest),
            quickest.churned.time()
        ),
    };
    Ok(Some(format!(
        "`adaptive` holds {} of the pool and takes {} ns, `bin-ceil` {} and {} ns; the bound is {}. {peer}.",
        holds(ours),
        ours.churned.time(),
        holds(published),
        published.churned.time(),
        holds(bound),
    )))
}

/// Returns a line per subject, below those that were published.
pub(super) fn table(
    document: &Document,
    published: &[(&str, DistributionFigures)],
) -> Made<String> {
    let headings =
        "Subject | min | p99 | p90 | p50 | max | mean | refused | ns/op | CPU ns | harness";
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
        cells.extend(row.cells());
        cells.extend([
            grouped(churned.refused),
            churned.time(),
            cell(churned.time.cpu_ns_per_op, |time| format!("{time:.0}")),
            format!("{:.0}", churned.harness_ns_per_op),
        ]);
        cells
    });
    Ok(Table::of(headings, lines.chain(measured)))
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
            .filter_map(|row| Some((named(row), row.utilization_mean?)))
            .collect(),
        times: rows
            .iter()
            .map(|row| (named(row), row.churned.time.clone()))
            .collect(),
    })
}
