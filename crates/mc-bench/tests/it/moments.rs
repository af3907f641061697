//! Moments that a run keeps of its course: regular, complete, and without an effect on what is decided.

use mc_bench::moments::{CELLS, MAP};
use mc_bench::record::Run;
use mc_bench::workload::Request;
use mc_bench::workload::replay::ReplayOptions;
use serde_json::Value;

use super::{checksums, run};

const MOMENTS: usize = 10;

/// Runs a workload and returns its runs with moments, after comparing them with those without.
#[track_caller]
fn runs(workload: &str, request: Request) -> Vec<Run> {
    let plain = run(workload, request.clone());
    let request = Request {
        moments: MOMENTS,
        ..request
    };
    let watched = run(workload, request);
    assert_eq!(checksums(&plain), checksums(&watched));
    for (plain, watched) in plain.iter().zip(&watched) {
        let kept = |run: &Run| run.fields().any(|(name, _)| name.ends_with("_moments"));
        assert!(!kept(plain) && kept(watched));
    }
    watched
}

#[track_caller]
fn last(run: &Run, field: &str) -> f64 {
    match run.value(field) {
        Some(Value::Array(list)) => {
            assert_eq!(list.len(), MOMENTS, "{field}");
            list[MOMENTS - 1].as_f64().expect("moments are numbers")
        }
        other => panic!("{field} is {other:?}"),
    }
}

/// Returns the share of the pool that the last map has as held, to a ninth of a cell.
#[track_caller]
fn mapped(run: &Run) -> f64 {
    let maps = run.text(MAP).expect("the subject tells where objects lie");
    let cells = usize::try_from(CELLS).expect("cells are few");
    assert_eq!(maps.len(), MOMENTS * cells);
    let last = maps[maps.len() - cells..].bytes();
    last.map(|digit| f64::from(digit - b'0') / 9.0).sum::<f64>() / CELLS as f64
}

#[test]
fn a_churn_ends_as_its_last_moment_says() {
    for workload in ["random", "bimodal"] {
        let request = Request {
            subjects: vec!["adaptive", "oracle"],
            ops: Some(2_003),
            ..Request::default()
        };
        let runs = runs(workload, request);
        for run in &runs {
            assert_eq!(last(run, "operations_moments"), 2_003.0);
            assert_eq!(
                Some(last(run, "evicted_on_demand_moments")),
                run.number("evicted")
            );
        }
        let apart = (mapped(&runs[0]) - last(&runs[0], "utilization_moments")).abs();
        assert!(
            apart < 0.06,
            "{workload}: map and utilization are {apart} apart"
        );
        assert_eq!(runs[1].value(MAP), None, "the oracle places nothing");
    }
}

#[test]
fn a_replay_ends_as_its_last_moment_says() {
    let request = Request {
        subjects: vec!["published", "default", "oracle"],
        replay: ReplayOptions {
            capacities_percent: vec![5.0],
            layouts: vec!["blocks".to_owned()],
            ..ReplayOptions::default()
        },
        ..Request::default()
    };
    let runs = runs("replay", request);
    for run in &runs {
        assert_eq!(Some(last(run, "requests_moments")), run.number("requests"));
        let rate = last(run, "token_hit_rate_moments");
        assert_eq!(Some(rate), run.number("token_hit_rate"));
        assert!(last(run, "evicted_on_demand_moments") > 0.0);
    }
    for run in &runs[..2] {
        let apart = (mapped(run) - last(run, "utilization_moments")).abs();
        assert!(apart < 0.06, "map and utilization are {apart} apart");
    }
}
