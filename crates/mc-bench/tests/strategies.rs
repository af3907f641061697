//! The strategies workload at smoke size: every row is there, and what the strategies promise.

use mc_bench::record::Run;
use mc_bench::workload::{self, Effort, Request};

fn smoke(seed: u64) -> Vec<Run> {
    let strategies = workload::by_name("strategies").expect("it is in the table");
    run(strategies.accepted().collect(), seed)
}

fn run(subjects: Vec<&'static str>, seed: u64) -> Vec<Run> {
    let strategies = workload::by_name("strategies").expect("it is in the table");
    let request = Request {
        subjects,
        ops: Some(300),
        seed,
        effort: Effort::Quick,
        ..Request::default()
    };
    (strategies.run)(&request, &mut |_| {}).expect("the smoke request is valid")
}

fn number(run: &Run, name: &str) -> f64 {
    run.number(name)
        .unwrap_or_else(|| panic!("{name} in {run:?}"))
}

#[test]
fn rows_hold_the_documented_fields_and_no_put_is_wrongly_refused() {
    let runs = smoke(42);
    for scenario in ["fillup", "scaleout", "churn"] {
        assert!(
            runs.iter()
                .any(|run| run.text("scenario") == Some(scenario))
        );
    }
    for run in &runs {
        assert!(run.text("strategy").is_some(), "{run:?}");
        for name in [
            "utilization_mean",
            "utilization_stddev",
            "fragmentation_mean",
        ] {
            assert!(
                (0.0..=1.0).contains(&number(run, name)),
                "{name} in {run:?}"
            );
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
    let runs = smoke(42);
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
    let checksums = |seed| {
        let runs = run(Vec::from(["free-ratio-first"]), seed);
        let checksums = runs
            .iter()
            .map(|run| run.text("checksum").map(str::to_owned));
        checksums.collect::<Vec<_>>()
    };
    assert_eq!(checksums(1), checksums(1));
    assert_ne!(checksums(1), checksums(2));
}
