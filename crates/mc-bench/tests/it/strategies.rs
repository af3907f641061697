//! The strategies workload at smoke size: every row is there, and what the strategies promise.

use mc_bench::record::Run;
use mc_bench::workload::Request;

use super::{checksums, number};

fn run(subjects: Vec<&'static str>, seed: u64) -> Vec<Run> {
    let request = Request {
        subjects,
        ops: Some(300),
        seed,
        ..Request::default()
    };
    super::run("strategies", request)
}

#[test]
fn rows_hold_the_documented_fields_and_no_put_is_wrongly_refused() {
    let runs = run(Vec::new(), 42);
    for scenario in ["fillup", "scaleout", "churn"] {
        let mut runs = runs.iter();
        assert!(runs.any(|run| run.text("scenario") == Some(scenario)));
    }
    for run in &runs {
        assert!(run.text("strategy").is_some(), "{run:?}");
        for figure in [
            "utilization_mean",
            "utilization_stddev",
            "fragmentation_mean",
        ] {
            let share = number(run, figure);
            assert!((0.0..=1.0).contains(&share), "{figure} in {run:?}");
        }
        assert!(number(run, "ops_per_second") > 0.0);
        assert!(number(run, "p50_ns") <= number(run, "p99_ns"));
        assert!(number(run, "replicas") <= number(run, "segments"));
        assert_eq!(number(run, "wrongly_refused"), 0.0, "{run:?}");
        if run.text("scenario") == Some("churn") {
            assert_eq!(number(run, "refused"), 0.0, "{run:?}");
        }
    }
}

#[test]
fn churn_of_full_segments_holds_more_than_with_the_published_fit() {
    let runs = run(Vec::new(), 42);
    let churn = |subject: &str, eviction: &str| {
        let is_asked = |run: &&Run| {
            run.text("pattern") == Some("kv_mixed")
                && run.text("subject") == Some(subject)
                && run.text("eviction") == Some(eviction)
                && run.number("segments") == Some(10.0)
        };
        let run = runs.iter().find(is_asked).expect("the row is there");
        number(run, "utilization_mean")
    };
    assert!(churn("capacity-weighted", "random") > churn("random-bin-ceil", "random") + 0.01);
    assert!(churn("capacity-weighted", "window") > 0.999);
    assert!(churn("best-hole", "window") > churn("best-hole", "random"));
}

#[test]
fn equal_seeds_give_equal_runs() {
    let [first, again, other] = [1, 1, 2].map(|seed| run(vec!["free-ratio-first"], seed));
    assert_eq!(checksums(&first), checksums(&again));
    assert_ne!(checksums(&first), checksums(&other));
}
