//! The command line: what goes to standard output, what to standard error, and the exit status.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

const USAGE: i32 = 2;

fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mc-bench"));
    command.args(arguments.split_whitespace());
    command
}

fn output(arguments: &str) -> Output {
    command(arguments).output().expect("the command starts")
}

#[track_caller]
fn refuses(arguments: &str, parts: &[&str]) {
    let output = output(arguments);
    let line = String::from_utf8(output.stderr).expect("errors are UTF-8");
    assert_eq!(output.status.code(), Some(USAGE), "{arguments}: {line}");
    assert!(
        output.stdout.is_empty(),
        "{arguments} wrote to standard output"
    );
    assert_eq!(line.lines().count(), 1, "{arguments}: {line}");
    for part in parts {
        assert!(
            line.contains(part),
            "{arguments}: \"{part}\" is not in: {line}"
        );
    }
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
    refuses("random --ops -5", &["-5"]);
    refuses("random --seed x", &["x", "--seed"]);
    refuses(
        "random --format xml",
        &["xml", "table", "json", "csv", "markdown"],
    );
    refuses("random --verbose", &["--verbose"]);
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
    assert_eq!(
        (&run["workload"], &run["subject"]),
        (&"uniform".into(), &"good-fit".into())
    );
    for name in ["alloc_size", "pool_bytes", "ops", "seed"] {
        assert!(run[name].is_u64(), "{name} in {run}");
    }
    let numbers = ["utilization_min", "utilization_mean", "utilization_bound"];
    for name in numbers
        .into_iter()
        .chain(["ns_per_op", "harness_ns_per_op"])
    {
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
    let is_paired = |run: &&Value| run["workload"] == "paired";
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(
        runs.iter()
            .filter(|run| run["workload"] == "uniform")
            .count(),
        2
    );
    assert_eq!(runs.iter().filter(is_paired).count(), 1);
    let skipped = document["skipped"].as_array().unwrap();
    assert!(
        skipped
            .iter()
            .filter(is_paired)
            .any(|left_out| left_out["subject"] == "range-alloc")
    );
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
    assert!(
        lines.iter().all(|line| line.split(',').count() == columns),
        "{text}"
    );
    assert!(lines[0].ends_with(",cpu,cores,kernel,rustc,commit"));
}

#[test]
fn list_names_every_workload_and_subject() {
    let text = String::from_utf8(output("list").stdout).unwrap();
    for name in [
        "uniform",
        "random",
        "paired",
        "pages",
        "loguniform",
        "bimodal",
        "evict",
        "good-fit",
        "extents-4",
        "slots",
        "window",
        "range-alloc",
        "oracle",
    ] {
        assert!(text.contains(name), "{name} is not listed");
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
fn unwritable_out_fails_before_the_run() {
    let output = output("random --out /nonexistent/directory/file");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("/nonexistent/directory/file")
    );
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
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
