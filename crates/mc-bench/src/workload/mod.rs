//! Workloads: which requests arrive, what is evicted, and what is reported.
//!
//! [`WORKLOADS`] is the one table that makes a workload known to the command, to `all` and to the
//! generated page. A new workload is a file with a `WORKLOAD` constant and one line here.

pub mod arena;
mod bimodal;
mod compact;
mod concurrency;
mod evict;
mod loguniform;
mod mixed;
mod no_bytes;
mod pages;
mod paired;
pub mod populate;
mod random;
pub mod replay;
mod request;
mod stall;
pub mod store;
pub mod strategies;
mod tier;
mod uniform;

pub use self::request::{
    ALL, Effort, Matrix, OPS_MAX, Request, RequestError, SEED, Selection, named, select,
};

use crate::churn::Outcome;
use crate::published::DistributionFigures;
use crate::record::Run;
use crate::row::{Measured, Observer};
use crate::stats::{Utilization, utilization_curve};
use crate::subject::NONE;

/// Every workload, in the order `all` runs them.
pub const WORKLOADS: &[Workload] = &[
    uniform::WORKLOAD,
    random::WORKLOAD,
    paired::WORKLOAD,
    pages::WORKLOAD,
    loguniform::WORKLOAD,
    bimodal::WORKLOAD,
    evict::WORKLOAD,
    compact::WORKLOAD,
    replay::WORKLOAD,
    concurrency::WORKLOAD,
    arena::WORKLOAD,
    populate::WORKLOAD,
    strategies::WORKLOAD,
    store::WORKLOAD,
    stall::WORKLOAD,
];

/// One workload of the table.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Name on the command line and in every output.
    pub name: &'static str,
    /// One line for `mc-bench list`.
    pub summary: &'static str,
    /// Names of what it can measure, in the order of the output.
    pub subjects: &'static [&'static str],
    /// Subjects among those that it does not run, and why.
    pub skipped: &'static [Skipped],
    /// Whether a request may name sizes.
    pub sizes: Sizes,
    /// Runs it.
    pub run: fn(&Request, Observer<'_>) -> Result<Vec<Run>, RequestError>,
}

/// A subject that a workload leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Name of the subject; with a slash and a scenario when only that is left out.
    pub subject: &'static str,
    /// Why it is left out.
    pub reason: &'static str,
}

/// The subject that no workload of several sizes runs.
const ONE_SIZE_ONLY: Skipped = Skipped {
    subject: "slots",
    reason: "all of its slots have one size",
};

/// Whether the sizes of a workload can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// The workload defines its sizes.
    Fixed,
    /// The request may name the sizes to run.
    Chosen,
}

/// Returns the workload of a name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

impl Workload {
    /// Returns the names it runs, in the order of the output.
    pub fn accepted(&self) -> impl Iterator<Item = &'static str> {
        let is_run = |name: &&str| !self.skipped.iter().any(|skipped| skipped.subject == *name);
        self.subjects.iter().copied().filter(is_run)
    }

    /// Returns the subjects that it leaves out: those it never runs, and those that this machine does
    /// not have the huge pages for at this moment.
    pub fn left_out(&self, effort: Effort) -> impl Iterator<Item = Skipped> {
        let short = move |name| tier::shortage(name, effort);
        let skipped = self.skipped.iter().copied();
        skipped.chain(self.accepted().filter_map(short))
    }

    /// Returns the names it runs when none is asked for: all but the reference that accepts
    /// everything, whose figures only concern the harness.
    #[must_use]
    pub fn default_subjects(&self) -> Vec<&'static str> {
        self.accepted().filter(|&name| name != NONE).collect()
    }
}

/// Starts the record of a subject's result with the fields that every churn workload reports.
fn churn_run(workload: &'static str, measured: &Measured, request: &Request, ops: usize) -> Run {
    let run = Run::new(workload, measured.subject)
        .with("ops", ops as u64)
        .with("seed", request.seed)
        .with("ns_per_op", measured.ns_per_op)
        .with("harness_ns_per_op", measured.harness_ns_per_op)
        .with("repeats", measured.repeats as u64)
        .with("refused", measured.outcome.refused)
        .with("evicted", measured.outcome.evicted)
        .with("checksum", measured.outcome.checksum.to_string());
    measured.outcome.moments.describe(run)
}

/// Adds the statistics of a distribution of utilization; a run without samples has none.
fn with_distribution(run: Run, outcome: &Outcome, pool_bytes: u64) -> Run {
    let mut sorted = outcome.live_bytes_samples.clone();
    sorted.sort_unstable();
    let Some(statistics) = Utilization::of(&sorted, pool_bytes) else {
        return run;
    };
    run.with("utilization_min", statistics.min)
        .with("utilization_p99", statistics.p99)
        .with("utilization_p90", statistics.p90)
        .with("utilization_p50", statistics.p50)
        .with("utilization_max", statistics.max)
        .with("utilization_mean", statistics.mean)
        .with("utilization_curve", utilization_curve(&sorted, pool_bytes))
}

/// Adds what was published for the placement policy that the subject reproduces, if anything.
fn with_published(run: Run, figures: Option<DistributionFigures>) -> Run {
    let Some(DistributionFigures {
        utilization,
        ns_per_op,
    }) = figures
    else {
        return run;
    };
    run.with("published_utilization_min", utilization.min)
        .with("published_utilization_p99", utilization.p99)
        .with("published_utilization_p90", utilization.p90)
        .with("published_utilization_p50", utilization.p50)
        .with("published_utilization_max", utilization.max)
        .with("published_utilization_mean", utilization.mean)
        .with("published_ns_per_op", ns_per_op)
}
