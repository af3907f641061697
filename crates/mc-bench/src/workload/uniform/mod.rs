//! Uniform: objects of one size, the case of one model whose vectors all have the same length.

mod report;

use crate::churn::{Eviction, Plan, Sampling};
use crate::published;
use crate::record::{Run, fields, record};
use crate::row::{Label, Observer};
use crate::stats::Utilization;
use crate::subject::Pool;
use crate::subject::entries;

use super::placed::{self, Churned};
use super::request::check_sizes;
use super::{Effort, Request, RequestError, Sizes, Skipped, Workload, mixed};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "uniform",
    summary: "one object size per run, 55 sizes from 15 B to 37 MB, one victim per failure",
    subjects: entries::described,
    skipped: &[
        Skipped::new("extents-2", NO_PIECES),
        Skipped::new("extents-4", NO_PIECES),
    ],
    sizes: Sizes::Chosen {
        bytes_max: POOL_BYTES,
    },
    is_seeded: true,
    needs_hugepages: false,
    times: &["mc-offset", "mc-offset-compat"],
    fields: fields::<Uniform>,
    page: report::PAGE,
    run,
};

record! {
    /// One subject on one size.
    pub(super) struct Uniform {
        + churned: Churned; // What every row of a full pool has.
        Row alloc_size: u64 = "size B"; // Bytes of every object.
        Decided utilization_min: f64 = "min"; // Smallest utilization after any operation.
        Decided utilization_mean: f64 = "mean"; // Mean utilization over the operations.
        Decided utilization_bound: f64 = "bound"; // The most whole objects that fit.
    }
}

/// Why a second piece is of no use.
const NO_PIECES: &str = "holes that hold no whole object do not arise where all have one size";

/// Timed operations, as published.
const OPS: u64 = 1_000_000;

/// Timed operations of a quick run.
const OPS_QUICK: u64 = 100_000;

/// Objects a quick run keeps live at most: its pool shrinks with the size.
const OBJECTS_QUICK: u64 = 1 << 16;

/// Pool of the sizes below [`SMALL_BELOW_BYTES`].
const POOL_SMALL_BYTES: u64 = 128 << 20;

/// Pool of all other sizes.
const POOL_BYTES: u64 = 2 << 30;

/// Sizes below this use the small pool, which bounds the number of live objects.
const SMALL_BELOW_BYTES: u64 = 1_024;

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    check_sizes(&WORKLOAD, request)?;
    let mut sizes = request.sizes.clone();
    if sizes.is_empty() {
        sizes.extend(published::UNIFORM.map(|row| row.size_bytes));
    }
    let mut runs = Vec::new();
    for (index, &size_bytes) in sizes.iter().enumerate() {
        let name = format!("{size_bytes} B");
        let label = Label::new(WORKLOAD.name, &name, index, sizes.len());
        let plan = plan(size_bytes, request);
        let row = mixed::measure(label, &plan, request, observer);
        runs.extend(row.iter().map(|measured| {
            let pool_bytes = plan.pool.capacity_bytes;
            let statistics = Utilization::of(&measured.outcome.live_bytes_samples, pool_bytes);
            let statistics = statistics.expect("every operation is sampled");
            let bound = plan.pool.objects_max() * size_bytes;
            let record = Uniform {
                alloc_size: size_bytes,
                churned: Churned::of(measured, request, &plan),
                utilization_min: statistics.min,
                utilization_mean: statistics.mean,
                utilization_bound: bound as f64 / pool_bytes as f64,
            };
            placed::run(WORKLOAD.name, &record, &measured.outcome)
        }));
    }
    Ok(runs)
}

fn plan(size_bytes: u64, request: &Request) -> Plan {
    let pool = Pool {
        capacity_bytes: pool_bytes(size_bytes, request.effort),
        smallest_bytes: size_bytes,
    };
    let list = |count: u64| (0..count).map(|_| size_bytes).collect();
    Plan {
        pool,
        warm_up: list(pool.objects_max()),
        timed: list(request.ops_or(OPS, OPS_QUICK)),
        eviction: Eviction::One,
        sampling: Sampling::Operation,
        seed: request.seed,
        moments: request.moments,
    }
}

/// Returns the published pool of a size; a quick run halves it until the objects are few.
fn pool_bytes(size_bytes: u64, effort: Effort) -> u64 {
    let mut pool = if size_bytes < SMALL_BELOW_BYTES {
        POOL_SMALL_BYTES
    } else {
        POOL_BYTES
    };
    while effort == Effort::Quick && pool / size_bytes > OBJECTS_QUICK {
        pool /= 2;
    }
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_is_small_below_one_kibibyte() {
        for (size_bytes, pool) in [(1_023, 128 << 20), (1_024, 2 << 30), (32 << 20, 2 << 30)] {
            assert_eq!(pool_bytes(size_bytes, Effort::Full), pool, "{size_bytes} B");
        }
    }

    #[test]
    fn quick_pool_keeps_between_half_and_all_of_its_objects() {
        for row in published::UNIFORM {
            let objects = pool_bytes(row.size_bytes, Effort::Quick) / row.size_bytes;
            let full = pool_bytes(row.size_bytes, Effort::Full) / row.size_bytes;
            let expected = full.min(OBJECTS_QUICK / 2)..=OBJECTS_QUICK;
            assert!(expected.contains(&objects), "{objects} of {row:?}");
        }
    }
}
