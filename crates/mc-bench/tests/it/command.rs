//! The command line: what goes to standard output, what to standard error, and the exit status.

use std::process::Stdio;

use mc_bench::workload::WORKLOADS;
use serde_json::Value;

use super::{command, output};

#[track_caller]
fn refuses(arguments: &str, parts: &[&str]) {
    super::refuses(arguments, 2, parts);
}

#[test]
fn bad_arguments_end_with_one_line_that_names_the_value_and_what_is_accepted() {
    refuses("", &["WORKLOAD"]);
    refuses(
        "unifrom",
        &["unifrom", "uniform", "random", "paired", "all", "list"],
    );
    refuses(
        "uniform --subject best-fit",
        &["best-fit", "good-fit", "bin-ceil", "buddy"],
    );
    refuses("all --subject best-fit", &["best-fit", "good-fit"]);
    refuses(
        "paired --subject range-alloc",
        &["range-alloc", "paired", "good-fit"],
    );
    refuses("random --subject slots", &["slots", "random", "one size"]);
    refuses(
        "evict --subject good-fit",
        &["good-fit", "random", "lru", "window"],
    );
    refuses("uniform --size 0", &["0", "1 to 2147483648"]);
    refuses(
        "uniform --size 2147483649",
        &["2147483649", "1 to 2147483648"],
    );
    refuses("uniform --size 5x", &["5x", "--size"]);
    refuses("random --size 4096", &["random", "--size"]);
    refuses("random --ops 0", &["--ops 0", "1 to 100000000"]);
    for option in ["ops", "seed", "block-tokens"] {
        for value in ["-5", "x", "1.5", "99999999999999999999"] {
            let words = format!("replay --{option} {value}");
            refuses(&words, &[value, &format!("--{option}"), "a whole number"]);
        }
    }
    refuses(
        "replay --compaction -1",
        &["--compaction -1", "0 to 1000000"],
    );
    refuses("replay --compaction x", &["x", "--compaction", "a number"]);
    refuses("replay --capacity-percent -5", &["-5", "more than 0"]);
    refuses("uniform --size -5", &["-5", "--size"]);
    refuses(
        "random --format xml",
        &["xml", "table", "json", "csv", "markdown"],
    );
    refuses("random --verbose", &["--verbose", "--help"]);
    for words in [
        "list --format json",
        "list --out file",
        "--quick list",
        "list --size 1Mi --subject buddy",
    ] {
        refuses(words, &["list takes no options"]);
    }
    for requests in ["0", "1000001", "99999999999999"] {
        let words = format!("trace --requests {requests}");
        refuses(&words, &[requests, "1..=1000000"]);
    }
    // Before the first of the workloads runs.
    refuses("all --trace absent.jsonl", &["absent.jsonl"]);
    refuses(
        "all --size 33554432",
        &["33554432", "arena", "1 to 2097152"],
    );
    refuses("all --capacity 0", &["--capacity 0", "at least 1 byte"]);
}

#[test]
fn help_says_what_to_type() {
    for command in ["hugepages", "soak", "trace", "report"] {
        let output = output(&format!("{command} --help"));
        let help = String::from_utf8(output.stdout).unwrap();
        let usage = format!("Usage: mc-bench {command} ");
        assert!(help.contains(&usage), "{help}");
    }
}

#[test]
fn json_is_one_document_with_the_documented_fields() {
    let output =
        output("uniform --quick --ops 500 --size 33554449 --subject good-fit --format json");
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], 1);
    for name in ["cpu", "kernel", "rustc"] {
        assert!(document["machine"][name].is_string(), "machine.{name}");
    }
    assert!(document["machine"]["cores"].is_u64());
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    let run = &runs[0];
    assert_eq!(run["workload"], "uniform");
    assert_eq!(run["subject"], "good-fit");
    for name in ["alloc_size", "pool_bytes", "ops", "seed"] {
        assert!(run[name].is_u64(), "{name} in {run}");
    }
    let shares = ["utilization_min", "utilization_mean", "utilization_bound"];
    let times = ["ns_per_op", "harness_ns_per_op"];
    for name in shares.into_iter().chain(times) {
        assert!(run[name].is_number(), "{name} in {run}");
    }
    assert_eq!(run["checksum"].as_str().map(str::len), Some(16));
}

#[test]
fn all_gives_each_workload_what_concerns_it_and_names_what_it_leaves_out() {
    let output = output(
        "all --quick --ops 50 --size 33554432 --subject range-alloc --subject oracle --format json",
    );
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |list: &str, workload: &str| -> Vec<Value> {
        let list = document[list].as_array().unwrap().iter();
        list.filter(|run| run["workload"] == workload)
            .cloned()
            .collect()
    };
    assert_eq!(of("runs", "uniform").len(), 2);
    assert_eq!(of("runs", "paired").len(), 1);
    let mut left_out = of("skipped", "paired").into_iter();
    assert!(left_out.any(|left_out| left_out["subject"] == "range-alloc"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("skipped: range-alloc on paired"), "{told}");
}

#[test]
fn csv_has_as_many_cells_as_columns() {
    let output = output("random --quick --ops 500 --subject oracle --subject buddy --format csv");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    let columns = lines[0].split(',').count();
    let mut counts = lines.iter().map(|line| line.split(',').count());
    assert!(counts.all(|count| count == columns), "{text}");
    assert!(lines[0].ends_with(",cpu,cores,kernel,rustc,commit"));
}

#[test]
fn list_names_every_workload_and_subject() {
    let text = String::from_utf8(output("list").stdout).unwrap();
    for workload in WORKLOADS {
        let subjects = workload.accepted();
        for name in subjects.chain([workload.name]) {
            assert!(text.contains(name), "{name} is not listed");
        }
    }
}

#[test]
fn out_replaces_the_file_and_leaves_standard_output_empty() {
    let path = std::env::temp_dir().join(format!("mc-bench-out-{}", std::process::id()));
    std::fs::write(&path, "x".repeat(100_000)).unwrap();
    let output = command("random --quick --ops 50 --subject oracle --format json --out")
        .arg(&path)
        .output()
        .unwrap();
    let written = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(serde_json::from_slice::<Value>(&written).is_ok());
}

#[test]
fn out_may_be_a_device_or_a_pipe_and_is_named_where_it_is_full() {
    let random = "random --quick --ops 50 --subject oracle --format json --out";
    let run = |path| output(&format!("{random} {path}"));
    assert!(run("/dev/null").status.success());
    let piped = run("/dev/stdout");
    assert!(serde_json::from_slice::<Value>(&piped.stdout).is_ok());
    let full = run("/dev/full");
    let line = String::from_utf8(full.stderr).unwrap();
    assert_eq!(full.status.code(), Some(1), "{line}");
    assert!(line.contains("cannot write /dev/full"), "{line}");
}

#[test]
fn every_run_has_the_seed_that_was_given() {
    for words in [
        "replay --ops 10 --layout blocks --capacity 1Gi",
        "random --ops 50",
        "populate",
    ] {
        let json = output(&format!("{words} --quick --seed 7 --format json"));
        let document: Value = serde_json::from_slice(&json.stdout).unwrap();
        let runs = document["runs"].as_array().unwrap();
        assert!(runs.iter().all(|run| run["seed"] == 7), "{words}");
    }
}

#[test]
fn unwritable_out_fails_before_the_run() {
    let path = "/nonexistent/directory/file";
    super::refuses(&format!("random --out {path}"), 1, &[path]);
}

#[test]
fn closed_pipe_is_not_an_error() {
    let mut child = command("random --quick --ops 50 --subject oracle")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.is_empty(), "{told}");
}
