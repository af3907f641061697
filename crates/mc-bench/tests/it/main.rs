//! The workloads at smoke size, and the command: what it prints, and with which status it ends.

mod arena;
mod command;
mod concurrency;
mod hugepages;
mod moments;
mod replay;
mod stall;
mod store;
mod strategies;
mod workloads;

use std::process::{Command, Output};

use mc_bench::record::Run;
use mc_bench::workload::{Effort, Request, by_name};

/// Runs a workload quickly, on all of its subjects unless the request names some.
#[track_caller]
fn run(workload: &str, request: Request) -> Vec<Run> {
    let workload = by_name(workload).expect("the workload is in the table");
    let mut request = Request {
        effort: Effort::Quick,
        ..request
    };
    if request.subjects.is_empty() {
        request.subjects = workload.accepted().collect();
    }
    (workload.run)(&request, &mut |_| {}).expect("the smoke request is valid")
}

#[track_caller]
fn number(run: &Run, name: &str) -> f64 {
    let number = run.number(name);
    number.unwrap_or_else(|| panic!("{name} in {run:?}"))
}

fn checksums(runs: &[Run]) -> Vec<Option<&str>> {
    runs.iter().map(|run| run.text("checksum")).collect()
}

fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mc-bench"));
    command.args(arguments.split_whitespace());
    command
}

fn output(arguments: &str) -> Output {
    command(arguments).output().expect("the command starts")
}

/// The command ends with a status, and with one line that has these parts.
#[track_caller]
fn refuses(arguments: &str, status: i32, parts: &[&str]) {
    let output = output(arguments);
    let line = String::from_utf8(output.stderr).expect("errors are UTF-8");
    assert_eq!(output.status.code(), Some(status), "{arguments}: {line}");
    assert!(output.stdout.is_empty(), "{arguments} has an answer");
    let is_one_line = line.starts_with("error: ") && line.lines().count() == 1;
    assert!(is_one_line, "{arguments}: {line}");
    for part in parts {
        let has_part = line.contains(part);
        assert!(has_part, "{arguments}: \"{part}\" is not in: {line}");
    }
}
