//! Every churn workload at smoke size: same seed, same decisions; utilization within its bounds.

use mc_bench::record::Run;
use mc_bench::subject::{NONE, ORACLE};
use mc_bench::workload::{Effort, Request, Sizes, WORKLOADS, Workload};

/// Enough operations for evictions in the timed section of every workload.
const OPS: u64 = 2_000;

/// Sizes for the workloads that let them be chosen.
const SIZES: [u64; 2] = [131_089, 33_554_415];

/// The workloads that place objects of a plan, and so have an oracle.
fn churning() -> impl Iterator<Item = &'static Workload> {
    let has_oracle = |workload: &&Workload| workload.accepted().any(|name| name == ORACLE);
    WORKLOADS.iter().filter(has_oracle)
}

fn smoke(workload: &Workload, seed: u64) -> Vec<Run> {
    let sizes = match workload.sizes {
        Sizes::Chosen => SIZES.to_vec(),
        Sizes::Fixed => Vec::new(),
    };
    let subjects = workload.accepted().collect();
    let request = Request {
        subjects,
        sizes,
        ops: Some(OPS),
        seed,
        effort: Effort::Quick,
    };
    (workload.run)(&request, &mut |_| {}).expect("the smoke request is valid")
}

#[test]
fn same_seed_makes_the_same_decisions_and_another_seed_does_not() {
    for workload in churning() {
        let (first, again, other) = (smoke(workload, 7), smoke(workload, 7), smoke(workload, 8));
        for ((first, again), other) in first.iter().zip(&again).zip(&other) {
            let name = format!("{} {}", workload.name, first.text("subject").unwrap());
            let Some(checksum) = first.text("checksum") else {
                continue;
            };
            assert_eq!(
                again.text("checksum"),
                Some(checksum),
                "{name} is not deterministic"
            );
            // The references place nothing and objects of one size are alike, so on fixed sizes
            // their decisions are the same whoever leaves.
            if !name.ends_with(NONE) && !name.ends_with(ORACLE) {
                assert_ne!(
                    other.text("checksum"),
                    Some(checksum),
                    "{name} ignores its seed"
                );
            }
        }
    }
}

#[test]
fn no_allocator_holds_more_than_the_oracle() {
    for workload in churning() {
        let runs = smoke(workload, 7);
        for run in runs.iter().filter(|run| run.text("subject") != Some(NONE)) {
            let row = run.number("alloc_size");
            let is_reference = |other: &&Run| {
                other.text("subject") == Some(ORACLE) && other.number("alloc_size") == row
            };
            let oracle = runs
                .iter()
                .find(is_reference)
                .expect("the oracle runs every row");
            let mean = |run: &Run| run.number("utilization_mean").unwrap_or_default();
            // Two percent: after different evictions the next requests need not be equal.
            assert!(mean(run) <= mean(oracle) * 1.02, "{run:?}");
        }
    }
}

#[test]
fn good_fit_holds_the_bound_of_every_smoke_size() {
    let uniform = mc_bench::workload::by_name("uniform").unwrap();
    let runs = smoke(uniform, 7);
    let good_fit: Vec<&Run> = runs
        .iter()
        .filter(|run| run.text("subject") == Some("good-fit"))
        .collect();
    assert_eq!(good_fit.len(), SIZES.len());
    for run in good_fit {
        let bound = run.number("utilization_bound").unwrap();
        assert!(
            (run.number("utilization_min").unwrap() - bound).abs() < 1e-12,
            "{run:?}"
        );
    }
}
