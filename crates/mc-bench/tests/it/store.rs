//! The store workload at smoke size, through the command, which starts itself again for memory.

use serde_json::Value;

use super::output;

const SUBJECTS: [&str; 4] = ["mc-store", "moka", "quick_cache", "foyer-memory"];

const SCENARIOS: [&str; 5] = ["get_hit", "get_miss", "get_or_put", "mixed", "get_many"];

const THREADS: [u64; 3] = [1, 2, 16];

/// Not a multiple of the threads, nor of the keys of one call.
const OPS: u64 = 1_001;

#[test]
fn every_scenario_runs_as_expected_on_every_number_of_threads() {
    let output = output(&format!("store --quick --ops {OPS} --format json"));
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("it is a document");
    let mut rows = document["runs"].as_array().expect("it has runs").iter();
    for scenario in SCENARIOS {
        for threads in THREADS {
            for subject in SUBJECTS {
                let run = rows.next().expect("a row is missing");
                assert_eq!(run["scenario"], scenario, "{run}");
                assert_eq!(run["threads"], threads, "{run}");
                assert_eq!(run["subject"], subject, "{run}");
                check(run, scenario);
            }
        }
    }
    assert_eq!(rows.next(), None, "a row too many");
}

#[track_caller]
fn check(run: &Value, scenario: &str) {
    let number = |name: &str| run[name].as_f64().expect(name);
    assert!(number("ops") >= OPS as f64, "{run}");
    assert_eq!(number("unexpected_results"), 0.0, "{run}");
    for positive in ["ops_per_second", "ns_per_op", "cpu_ns_per_op"] {
        assert!(number(positive) > 0.0, "{positive} in {run}");
    }
    let percentiles = ["p50_ns", "p99_ns", "p999_ns"].map(number);
    assert!(percentiles.is_sorted() && percentiles[0] > 0.0, "{run}");
    let hit_rates = match scenario {
        "get_hit" | "get_many" => 1.0..=1.0,
        "get_miss" => 0.0..=0.0,
        // Half of the keys fit, and each is as likely as the others.
        "get_or_put" => 0.3..=0.6,
        _ => 0.5..=1.0,
    };
    assert!(hit_rates.contains(&number("hit_rate")), "{run}");
    // A key alone has 32 bytes.
    assert!(number("bytes_per_object") > 32.0, "{run}");
    assert!(number("given_back") <= 1.0, "{run}");
}

#[test]
fn memory_is_measured_for_one_subject_that_is_known() {
    let told = output("store-memory quick_cache 10000").stdout;
    let memory: Value = serde_json::from_slice(&told).expect("it is a document");
    assert_eq!(memory["objects"], 10_000);
    assert!(memory["full_bytes"].as_u64() > memory["empty_bytes"].as_u64());
    for wrong in ["store-memory lru 10", "store-memory moka 0", "store-memory"] {
        super::refuses(wrong, 2, &[]);
    }
}
