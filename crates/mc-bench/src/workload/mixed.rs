//! What the workloads of one row share: independent sizes, a pool filled before the clock starts, victims at random.

use rand_xoshiro::Xoshiro256PlusPlus;

use crate::churn::{Eviction, Plan, Sampling, sizes};
use crate::page::across::Across;
use crate::page::{Made, Page, no_headlines};
use crate::record::{Document, Run, fields};
use crate::row::{Label, Measured, Observer, Row};
use crate::subject::Pool;
use crate::subject::entries;

use super::placed::{self, Mixed};
use super::{ONE_SIZE_ONLY, Request, RunOf, Sizes, Workload};

/// A workload of one row whose sizes are drawn independently.
pub(super) struct Mix {
    /// Name of the workload.
    pub(super) name: &'static str,
    /// Its sizes, for whoever watches.
    pub(super) row: &'static str,
    /// The pool to fill.
    pub(super) pool: Pool,
    /// Timed operations of a full run.
    pub(super) ops: u64,
    /// Timed operations of a quick run.
    pub(super) ops_quick: u64,
    /// How much one refusal evicts.
    pub(super) eviction: Eviction,
    /// When utilization is taken.
    pub(super) sampling: Sampling,
    /// Draws one size.
    pub(super) draw: fn(&mut Xoshiro256PlusPlus) -> u64,
}

/// What is said about a workload of one row that nobody has published.
pub(super) struct About {
    /// One line for the list of workloads.
    pub(super) summary: &'static str,
    /// Heading of its section.
    pub(super) heading: &'static str,
    /// What it models.
    pub(super) models: &'static str,
    /// What it does not.
    pub(super) omits: &'static str,
    /// Its line in tables across workloads.
    pub(super) across: fn(&Document) -> Made<Across>,
}

impl Mix {
    /// Returns the entry of the table of workloads; `run` gives the runs of this mix.
    pub(super) const fn workload(&self, about: About, run: RunOf) -> Workload {
        Workload {
            name: self.name,
            summary: about.summary,
            subjects: entries::described,
            skipped: &[ONE_SIZE_ONLY],
            sizes: Sizes::Fixed,
            is_seeded: true,
            needs_hugepages: false,
            times: &["mc-offset", "mc-offset-compat"],
            fields: fields::<Mixed>,
            page: Page {
                heading: about.heading,
                models: about.models,
                omits: about.omits,
                result: placed::result,
                tables: |document| placed::table(document, &[]),
                figures: &[],
                headlines: no_headlines,
                across: Some(about.across),
            },
            run,
        }
    }

    /// Returns the run of every subject of a request.
    pub(super) fn runs(&self, request: &Request, observer: Observer<'_>) -> Vec<Run> {
        let plan = self.plan(request);
        let label = Label::new(self.name, self.row, 0, 1);
        let measured = measure(label, &plan, request, observer);
        let run = |measured: &Measured| {
            let record = Mixed::of(measured, request, &plan);
            placed::run(self.name, &record, &measured.outcome)
        };
        measured.iter().map(run).collect()
    }

    fn plan(&self, request: &Request) -> Plan {
        let ops = request.ops_or(self.ops, self.ops_quick);
        let (warm_up, timed) = self.sizes(request.seed, ops);
        Plan {
            pool: self.pool,
            warm_up,
            timed,
            eviction: self.eviction,
            sampling: self.sampling,
            seed: request.seed,
            moments: request.moments,
        }
    }

    /// Draws sizes until they fill the pool for the warm-up, then one per timed operation.
    pub(super) fn sizes(&self, seed: u64, ops: u64) -> (Vec<u64>, Vec<u64>) {
        let mut generator = sizes(seed);
        let warm_up = filling(self.pool.capacity_bytes, || (self.draw)(&mut generator));
        let timed = (0..ops).map(|_| (self.draw)(&mut generator)).collect();
        (warm_up, timed)
    }
}

/// Measures the subjects of a request on a row.
pub(super) fn measure(
    label: Label<'_>,
    plan: &Plan,
    request: &Request,
    observer: Observer<'_>,
) -> Vec<Measured> {
    let row = Row {
        label,
        plan,
        subjects: &request.subjects,
        repeats_max: request.repeats_max(),
    };
    row.measure(observer)
}

/// Draws sizes until they sum up to a pool.
pub(super) fn filling(capacity_bytes: u64, mut draw: impl FnMut() -> u64) -> Vec<u64> {
    let (mut drawn, mut drawn_bytes) = (Vec::new(), 0);
    while drawn_bytes < capacity_bytes {
        let size_bytes = draw();
        drawn.push(size_bytes);
        drawn_bytes += size_bytes;
    }
    drawn
}
