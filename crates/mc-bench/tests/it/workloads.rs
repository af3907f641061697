//! Every churn workload at smoke size: same seed, same decisions; utilization within its bounds.

use mc_bench::record::Run;
use mc_bench::subject::ORACLE;
use mc_bench::workload::{Request, Sizes, WORKLOADS, Workload, by_name};

use super::{checksums, number, run};

/// Enough operations for evictions in the timed section of every workload.
const OPS: u64 = 2_000;

/// Sizes for the workloads that let them be chosen.
const SIZES: [u64; 2] = [131_089, 33_554_415];

/// The workloads that place objects of a plan drawn from a seed, and so have an oracle.
fn churning() -> impl Iterator<Item = &'static Workload> {
    let has_oracle = |workload: &&Workload| workload.accepted().any(|name| name == ORACLE);
    let is_drawn = |workload: &&Workload| workload.name != "replay";
    WORKLOADS.iter().filter(has_oracle).filter(is_drawn)
}

fn smoke(workload: &Workload, seed: u64) -> Vec<Run> {
    let sizes = match workload.sizes {
        Sizes::Chosen { .. } => SIZES.to_vec(),
        Sizes::Fixed => Vec::new(),
    };
    let request = Request {
        sizes,
        ops: Some(OPS),
        seed,
        ..Request::default()
    };
    run(workload.name, request)
}

fn smoke_of(workload: &str) -> Vec<Run> {
    smoke(by_name(workload).expect("it is in the table"), 7)
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
            let [again, other] = [again, other].map(|run| run.text("checksum"));
            assert_eq!(again, Some(checksum), "{name} is not deterministic");
            // The oracle places nothing and objects of one size are alike, so on fixed sizes
            // their decisions are the same whoever leaves.
            if !name.ends_with(ORACLE) {
                assert_ne!(other, Some(checksum), "{name} ignores its seed");
            }
        }
    }
}

#[test]
fn no_allocator_holds_more_than_the_oracle() {
    for workload in churning() {
        let runs = smoke(workload, 7);
        for run in &runs {
            let row = run.number("alloc_size");
            let is_reference = |other: &&Run| {
                other.text("subject") == Some(ORACLE) && other.number("alloc_size") == row
            };
            let oracle = runs.iter().find(is_reference);
            let oracle = oracle.expect("the oracle runs every row");
            let mean = |run: &Run| run.number("utilization_mean").unwrap_or_default();
            // Two percent: after different evictions the next requests need not be equal.
            assert!(mean(run) <= mean(oracle) * 1.02, "{run:?}");
        }
    }
}

#[track_caller]
fn figure(runs: &[Run], subject: &str, field: &str) -> f64 {
    let run = runs.iter().find(|run| run.text("subject") == Some(subject));
    let figure = run.and_then(|run| run.number(field));
    figure.unwrap_or_else(|| panic!("{subject} has no {field}"))
}

#[test]
fn good_fit_and_slots_hold_the_bound_of_every_smoke_size() {
    let runs = smoke_of("uniform");
    for subject in ["good-fit", "slots"] {
        let is_of = |run: &&Run| run.text("subject") == Some(subject);
        let rows: Vec<&Run> = runs.iter().filter(is_of).collect();
        assert_eq!(rows.len(), SIZES.len());
        for run in rows {
            let (min, bound) = ("utilization_min", "utilization_bound");
            assert_eq!(number(run, min), number(run, bound), "{run:?}");
        }
    }
}

#[test]
fn pieces_raise_the_utilization_of_random_sizes() {
    let runs = smoke_of("random");
    let mean = |subject| figure(&runs, subject, "utilization_mean");
    assert!(mean("extents-2") > mean("adaptive") + 0.05);
    assert!(mean("extents-4") > mean("extents-2") + 0.01);
}

#[test]
fn long_lived_metadata_cost_bin_ceil_more_than_adaptive() {
    let runs = smoke_of("bimodal");
    let mean = |subject| figure(&runs, subject, "utilization_mean");
    // Short of the full run, in which the metadata gather at one end.
    assert!(mean("adaptive") > mean("bin-ceil") + 0.02);
    // The oracle compacts, so that it alone always has a hole of 1.25 GiB.
    assert_eq!(figure(&runs, ORACLE, "refused"), 0.0);
    assert_eq!(figure(&runs, ORACLE, "requested_huge"), 1.0);
}

#[test]
fn windows_hold_more_than_single_victims() {
    let runs = smoke_of("evict");
    let mean = |victim| figure(&runs, victim, "utilization_mean");
    assert!(mean("window") > 0.96);
    assert!(mean("window") > mean("lru") + 0.08);
}

#[test]
fn plans_follow_from_the_seed_and_where_moves_do_not_do_some_may_leave() {
    let [first, again, other] = [7, 7, 8].map(|seed| {
        let request = Request {
            ops: Some(30),
            seed,
            ..Request::default()
        };
        run("plan", request)
    });
    assert_eq!(checksums(&first), checksums(&again));
    assert_ne!(checksums(&first), checksums(&other));
    let mut found_where_some_may_leave = 0.0;
    for rows in first.chunks(2) {
        let number = |row: usize, name| number(&rows[row], name);
        assert!(number(0, "looked_at") > 0.0, "{rows:?}");
        let not_found = number(0, "plans") - number(0, "found");
        assert_eq!(number(1, "plans"), not_found, "{rows:?}");
        found_where_some_may_leave += number(1, "found");
    }
    assert!(found_where_some_may_leave > 0.0, "{first:?}");
}

#[test]
fn runs_have_the_declared_fields_in_order_and_several_repeats() {
    for workload in churning() {
        let declared: Vec<&str> = (workload.fields)().iter().map(|field| field.name).collect();
        for run in smoke(workload, 7) {
            let names: Vec<&str> = run.fields().map(|(name, _)| name).collect();
            assert_eq!(names[0], "workload");
            assert_eq!(names[1..], declared, "{run:?}");
            assert!(number(&run, "repeats") >= 3.0, "{run:?}");
            assert!(number(&run, "ns_per_op_spread") >= 0.0, "{run:?}");
            assert!(number(&run, "cpu_ns_per_op") > 0.0, "{run:?}");
        }
    }
}
