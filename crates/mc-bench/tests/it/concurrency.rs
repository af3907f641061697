//! The concurrency workload at smoke size: every row is there, and nothing ends unexpectedly.

use mc_bench::record::Run;
use mc_bench::workload::Request;

use super::{number, run};

const SCENARIOS: [&str; 7] = [
    "capacity_failed",
    "fragmentation_failed",
    "high_water_mixed",
    "successful_allocate_free",
    "churn",
    "churn_random",
    "remote_free",
];

const THREADS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];

/// Not a multiple of a batch, so that the last batch is a short one.
const OPS: u64 = 200;

fn subjects_of(scenario: &str) -> &'static [&'static str] {
    match scenario {
        "successful_allocate_free" | "remote_free" => {
            &["shared", "mutex", "slots", "offset-allocator"]
        }
        _ => &["shared", "mutex", "offset-allocator"],
    }
}

#[test]
fn every_scenario_runs_as_expected_on_every_number_of_threads() {
    let request = Request {
        ops: Some(OPS),
        ..Request::default()
    };
    let runs = run("concurrency", request);
    let mut rows = runs.iter();
    for scenario in SCENARIOS {
        for threads in THREADS {
            for &subject in subjects_of(scenario) {
                let run = rows.next().expect("a row is missing");
                assert_eq!(run.text("scenario"), Some(scenario), "{run:?}");
                assert_eq!(run.number("threads"), Some(threads), "{run:?}");
                assert_eq!(run.text("subject"), Some(subject), "{run:?}");
                check(run, threads);
            }
        }
    }
    assert_eq!(rows.next(), None, "a row too many");
}

#[track_caller]
fn check(run: &Run, threads: f64) {
    let number = |name| number(run, name);
    assert_eq!(number("ops"), threads * OPS as f64);
    assert_eq!(number("throughput_unexpected_results"), 0.0, "{run:?}");
    assert_eq!(number("latency_unexpected_results"), 0.0, "{run:?}");
    assert!(number("ops_per_second") > 0.0, "{run:?}");
    let percentiles = ["p50_ns", "p99_ns", "p999_ns"].map(number);
    assert!(percentiles.is_sorted() && percentiles[0] > 0.0, "{run:?}");
}
