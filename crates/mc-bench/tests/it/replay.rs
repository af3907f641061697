//! Replays of the shipped trace: hit rates by placement and eviction, and what is refused.

use std::io::Write;

use mc_bench::record::Run;
use mc_bench::subject::ORACLE;
use mc_bench::workload::Request;
use mc_bench::workload::replay::ReplayOptions;
use mc_store::PolicyKind;

use super::{checksums, number, output, refuses};

fn replay(replay: ReplayOptions) -> Vec<Run> {
    let request = Request {
        replay,
        ..Request::default()
    };
    super::run("replay", request)
}

fn of_layout(layout: &str) -> Vec<Run> {
    replay(ReplayOptions {
        layouts: vec![layout.to_owned()],
        ..ReplayOptions::default()
    })
}

/// Returns a figure by capacity.
fn curve(runs: &[Run], subject: &str, eviction: &str, field: &str) -> Vec<f64> {
    let is_asked =
        |run: &&Run| run.text("subject") == Some(subject) && run.text("eviction") == Some(eviction);
    let runs = runs.iter().filter(is_asked);
    runs.map(|run| number(run, field)).collect()
}

#[test]
fn ours_hits_at_least_as_often_as_the_published_design_at_every_capacity() {
    let runs = of_layout("dsa-pair");
    let rates = |subject, eviction| curve(&runs, subject, eviction, "token_hit_rate");
    let (published, ours) = (rates("bin-ceil", "lru"), rates("adaptive", "window"));
    assert_eq!((published.len(), ours.len()), (9, 9));
    let oracle = rates(ORACLE, "lru");
    for ((published, ours), oracle) in published.iter().zip(&ours).zip(&oracle) {
        assert!(ours > published, "{ours} against {published}");
        assert!(
            ours > &(oracle - 0.005),
            "{ours} where {oracle} is possible"
        );
    }
}

#[test]
fn a_store_without_options_never_has_fewer_hits_than_the_published_design() {
    for layout in ["dsa-pair", "hybrid"] {
        let runs = of_layout(layout);
        let published = curve(&runs, "published", "lru", "token_hit_rate");
        let ours = curve(&runs, "default", "window", "token_hit_rate");
        assert_eq!((published.len(), ours.len()), (9, 9));
        for (published, ours) in published.iter().zip(&ours) {
            assert!(ours >= published, "{layout}: {ours} against {published}");
        }
    }
}

#[test]
fn nothing_that_fits_is_refused_and_no_more_leaves_than_comes() {
    for layout in ["mixed", "blocks"] {
        let runs = of_layout(layout);
        let is_ours = |run: &&Run| run.text("subject") != Some("bin-ceil");
        for run in runs.iter().filter(is_ours) {
            // A prompt that is larger than the store is stored as far as it fits.
            if run.text("subject") != Some("default") {
                assert_eq!(number(run, "refused"), 0.0, "{run:?}");
            }
            assert!(number(run, "evicted_bytes_per_stored_byte") <= 1.0);
        }
        let rates = |subject, eviction| curve(&runs, subject, eviction, "token_hit_rate");
        let (lru, window) = (rates("adaptive", "lru"), rates("adaptive", "window"));
        for (lru, window) in lru.iter().zip(&window) {
            assert!(window > &(lru - 0.005), "{layout}: {window} against {lru}");
        }
    }
}

#[test]
fn several_segments_hold_nearly_what_one_holds() {
    let with = |segments| {
        let runs = replay(ReplayOptions {
            layouts: vec!["dsa-pair".to_owned()],
            segments: Some(segments),
            capacities_bytes: vec![10 << 30],
            ..ReplayOptions::default()
        });
        curve(&runs, "adaptive", "window", "token_hit_rate")[0]
    };
    let (one, ten) = (with(1), with(10));
    assert!(ten > one - 0.01, "{ten} in ten segments, {one} in one");
}

#[test]
fn equal_replays_decide_equally() {
    let [first, again] = [(); 2].map(|()| of_layout("blocks"));
    assert_eq!(checksums(&first), checksums(&again));
}

#[test]
fn malformed_lines_end_with_their_number_or_are_counted() {
    let good = r#"{"timestamp": 0, "input_length": 600, "output_length": 1, "hash_ids": [7, 8]}"#;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{good}\nnonsense\n{good}").unwrap();
    let path = file.path().to_str().unwrap();
    let replay = format!("replay --trace {path} --capacity 1GiB --layout blocks");
    refuses(&replay, 2, &[path, "line 2"]);
    let skipping = output(&format!(
        "{replay} --skip-bad --format json --subject oracle"
    ));
    let document: serde_json::Value = serde_json::from_slice(&skipping.stdout).unwrap();
    let run = &document["runs"][0];
    assert_eq!(
        (&run["skipped_lines"], &run["requests"]),
        (&1.into(), &2.into())
    );
    assert_eq!(run["token_hit_rate"], 0.5);
}

#[test]
fn options_that_are_not_accepted_end_with_one_line() {
    let cases = [
        ("replay --trace absent.jsonl", "absent.jsonl"),
        ("replay --capacity 0", "at least 1 byte"),
        ("replay --capacity ten", "ten"),
        ("replay --segments 0", "1 to 4096"),
        (
            "replay --layout rows",
            "dsa-pair, blocks, pages, mixed, hybrid",
        ),
        ("replay --model gpt", "deepseek-v3, llama-3-8b"),
        ("replay --policy fifo", "lru, tail-first, s3-fifo"),
        (
            "replay --strategy worst-hole",
            "local-first, capacity-weighted",
        ),
        ("replay --eviction fifo", "lru, window"),
        ("replay --layout dsa-pair --model llama-3-8b", "fixed"),
        ("random --segments 2", "only replay does"),
        ("replay --capacity 8Ei", "up to 9223372036854775807"),
        (
            "replay --capacity 3 --segments 4",
            "1 byte for each of 4 segments",
        ),
        (
            "replay --replicas 2",
            "--replicas 2 is not accepted; accepted: 1",
        ),
        ("replay --replicas 3 --segments 2", "1 to 2"),
        ("replay --block-tokens 16", "accepted: 512"),
        (
            "replay --layout blocks --bytes-per-token 1Ti",
            "more than 922337203685477580 bytes together as blocks",
        ),
    ];
    for (arguments, part) in cases {
        refuses(arguments, 2, &[part]);
    }
}

#[test]
fn objects_of_more_bytes_than_can_be_counted_are_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "a {0}\nb {0}", u64::MAX).unwrap();
    let path = file.path().to_str().unwrap();
    refuses(&format!("replay --trace {path}"), 2, &["more than"]);
}

#[test]
fn what_is_given_twice_is_replayed_once() {
    let runs = replay(ReplayOptions {
        layouts: vec!["blocks".into(), "blocks".into()],
        policies: vec![PolicyKind::Gdsf, PolicyKind::Gdsf],
        eviction: Some("window".into()),
        capacities_bytes: vec![1 << 30, 1 << 30],
        ..ReplayOptions::default()
    });
    let ours = runs
        .iter()
        .filter(|run| run.text("subject") == Some("adaptive"));
    assert_eq!(ours.count(), 1);
}

#[test]
fn copies_count_wherever_bytes_are_counted() {
    let runs = replay(ReplayOptions {
        layouts: vec!["blocks".into()],
        capacities_percent: vec![5.0],
        segments: Some(2),
        replicas: Some(2),
        compaction: Some(0.5),
        ..ReplayOptions::default()
    });
    for run in &runs {
        let count = |name| number(run, name);
        assert!(count("evicted_bytes") <= count("stored_bytes"), "{run:?}");
        assert!(
            count("token_hit_rate") <= count("belady_hit_rate"),
            "{run:?}"
        );
        let moves = !["published", "oracle"].contains(&run.text("subject").unwrap());
        assert_eq!(count("compaction") > 0.0, moves, "{run:?}");
    }
}

#[test]
fn shares_of_few_bytes_are_a_byte_for_each_segment() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "a 1\nb 1").unwrap();
    let runs = replay(ReplayOptions {
        trace: Some(file.path().to_owned()),
        layouts: vec!["blocks".into()],
        segments: Some(8),
        ..ReplayOptions::default()
    });
    assert!(runs.iter().all(|run| number(run, "capacity_bytes") == 8.0));
}

#[test]
fn the_trace_command_writes_the_shipped_trace() {
    let shipped = output("trace");
    assert!(shipped.status.success());
    assert_eq!(shipped.stdout, mc_bench::trace::SHIPPED.as_bytes());
    let other = output("trace --seed 43 --requests 10");
    assert_eq!(String::from_utf8(other.stdout).unwrap().lines().count(), 10);
}
