//! `mc-bench store-memory`: what `mc-bench store` starts for each subject, to look at a process that
//! has done nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use mc_bench::workload::by_name;
use mc_bench::workload::store::measure_here;

use crate::{STATUS_USAGE, Status, fail, parse, print};

/// Measures the memory of one subject of the workload `store`, and prints it as JSON.
#[derive(Debug, Parser)]
#[command(bin_name = "mc-bench store-memory")]
struct Args {
    /// The subject
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// Objects to store and to remove
    #[arg(value_name = "OBJECTS", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    objects: u64,
}

pub(crate) fn run(words: impl Iterator<Item = OsString>) -> Status {
    let args: Args = parse(words, STATUS_USAGE)?;
    let Some(memory) = measure_here(&args.subject, args.objects) else {
        let store = by_name("store").into_iter();
        let names: Vec<&str> = store.flat_map(|store| store.accepted()).collect();
        let (subject, accepted) = (args.subject, names.join(", "));
        let line = format!("unknown subject \"{subject}\"; accepted: {accepted}");
        return Err(fail(&line, STATUS_USAGE));
    };
    let line = serde_json::to_string(&memory);
    let line = line.map_err(|error| fail(&error.to_string(), 1))?;
    Ok(print(&line, ExitCode::SUCCESS))
}
