//! `mc-bench store-memory`: what `mc-bench store` starts for each subject, to look at a process that
//! has done nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use mc_bench::workload::by_name;
use mc_bench::workload::store::{measure_here, memory::COMMAND};

use crate::{STATUS_USAGE, fail, parse_after, print};

/// Measures the memory of one subject of the workload `store`, and prints it as JSON.
#[derive(Debug, Parser)]
#[command(name = "mc-bench store-memory")]
struct Args {
    /// The subject
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// Objects to store and to remove
    #[arg(value_name = "OBJECTS", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    objects: u64,
}

pub(crate) fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Args = match parse_after(COMMAND, words, STATUS_USAGE) {
        Ok(args) => args,
        Err(status) => return status,
    };
    let Some(memory) = measure_here(&args.subject, args.objects) else {
        let names: Vec<&str> = by_name("store")
            .into_iter()
            .flat_map(|store| store.accepted())
            .collect();
        let line = format!(
            "unknown subject \"{}\"; accepted: {}",
            args.subject,
            names.join(", ")
        );
        return fail(&line, STATUS_USAGE);
    };
    match serde_json::to_string(&memory) {
        Ok(line) => print(&line, ExitCode::SUCCESS),
        Err(error) => fail(&error.to_string(), 1),
    }
}
