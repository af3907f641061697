//! Workloads: which requests arrive, what is evicted, and what is reported.
//!
//! [`WORKLOADS`] is the one table that makes a workload known to the command, to `all`, to the generated
//! documents and to the check of a quick run. A new workload is a file with a `WORKLOAD` constant and its name in
//! `workloads!`: the constant declares what it models, its subjects, its fields, its tables and its figures.

mod mixed;
mod placed;
mod remote;
mod request;
mod shortage;
mod threads;
mod tier;

pub use self::request::{
    ALL, Effort, OPS_MAX, Request, RequestError, SEED, Selection, named, select,
};

use crate::page::Page;
use crate::record::{Field, Run};
use crate::row::Observer;
use crate::subject::Described;

/// Declares the modules of the workloads, and the table of them.
macro_rules! workloads {
    ($($visibility:vis $module:ident,)+) => {
        $($visibility mod $module;)+

        /// Every workload, in the order `all` runs them.
        pub const WORKLOADS: &[Workload] = &[$($module::WORKLOAD,)+];
    };
}

workloads! {
    uniform,
    random,
    paired,
    pages,
    loguniform,
    bimodal,
    refill,
    evict,
    compact,
    plan,
    pub replay,
    concurrency,
    pub arena,
    pub populate,
    strategies,
    pub store,
    stall,
}

/// One workload of the table.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Name on the command line and in every output.
    pub name: &'static str,
    /// One line for `mc-bench list` and the guide.
    pub summary: &'static str,
    /// Returns what it can measure, in the order of the output.
    pub subjects: fn() -> Vec<Described>,
    /// Subjects among those that it does not run, and why.
    pub skipped: &'static [Skipped],
    /// Whether a request may name sizes.
    pub sizes: Sizes,
    /// Whether what it decides follows from the seed, so that a quick run can be compared with a stored one.
    pub is_seeded: bool,
    /// Whether some of its subjects need reserved huge pages.
    pub needs_hugepages: bool,
    /// Crates of the workspace whose code it times.
    pub times: &'static [&'static str],
    /// Returns the fields of its runs.
    pub fields: fn() -> Vec<Field>,
    /// What it says about itself.
    pub page: Page,
    /// Runs it.
    pub run: RunOf,
}

/// Runs a workload.
pub type RunOf = fn(&Request, Observer<'_>) -> Result<Vec<Run>, RequestError>;

/// A subject that a workload leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Name of the subject; with a slash and a scenario when only that is left out.
    pub subject: &'static str,
    /// Why it is left out.
    pub reason: &'static str,
}

impl Skipped {
    const fn new(subject: &'static str, reason: &'static str) -> Self {
        Self { subject, reason }
    }
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
    Chosen {
        /// The largest.
        bytes_max: u64,
    },
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
        let names = (self.subjects)().into_iter().map(|subject| subject.name);
        names.filter(is_run)
    }

    /// Returns the subjects that it leaves out: those it never runs, and those that this machine does
    /// not have the huge pages for at this moment.
    pub fn left_out(&self, effort: Effort) -> impl Iterator<Item = Skipped> {
        let short = move |name| shortage::shortage(name, effort);
        let skipped = self.skipped.iter().copied();
        skipped.chain(self.accepted().filter_map(short))
    }
}
