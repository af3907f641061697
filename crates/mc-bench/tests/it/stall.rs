//! The stall workload at smoke size: a row for each aggressor and number of objects, with a control.

use mc_bench::record::Run;
use mc_bench::workload::Request;

use super::{number, run};

const AGGRESSORS: [&str; 10] = [
    "skewed_put",
    "put_in_pieces",
    "put_that_moves",
    "refused_put_leased",
    "refused_put_pinned",
    "first_tenant",
    "watermark",
    "snapshot",
    "unmount",
    "mount",
];

const OBJECTS: [f64; 3] = [1e3, 1e4, 1e5];

const OPS: u64 = 200;

#[test]
fn every_aggressor_is_felt_beside_a_control() {
    let request = Request {
        ops: Some(OPS),
        ..Request::default()
    };
    let runs = run("stall", request);
    let mut rows = runs.iter();
    for aggressor in AGGRESSORS {
        for objects in OBJECTS {
            let run = rows.next().expect("a row is missing");
            assert_eq!(run.text("subject"), Some("mc-store"), "{run:?}");
            assert_eq!(run.text("aggressor"), Some(aggressor), "{run:?}");
            assert_eq!(run.number("objects"), Some(objects), "{run:?}");
            check(run);
            let has_moved = number(run, "moved_bytes") > 0.0;
            assert_eq!(has_moved, aggressor == "put_that_moves", "{run:?}");
        }
    }
    assert_eq!(rows.next(), None, "a row too many");
}

#[track_caller]
fn check(run: &Run) {
    let number = |name: &str| number(run, name);
    assert!(number("ops") >= OPS as f64, "{run:?}");
    assert!(number("aggressor_calls") >= 1.0, "{run:?}");
    assert!(number("aggressor_cpu_ns") > 0.0, "{run:?}");
    assert!(number("ns_per_op") > 0.0 && number("cpu_ns_per_op") > 0.0);
    for of in ["victim", "control"] {
        let percentiles = ["p99", "p999", "max"].map(|name| format!("{of}_{name}_ns"));
        let percentiles = percentiles.map(|name| number(&name));
        assert!(percentiles.is_sorted() && percentiles[0] > 0.0, "{run:?}");
    }
    let [get, any] = ["victim_get_max_ns", "victim_max_ns"].map(number);
    assert!(get <= any, "{run:?}");
}
