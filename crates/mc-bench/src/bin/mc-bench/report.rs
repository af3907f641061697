//! `mc-bench report`: a replay or another workload as one HTML file to look at.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::Parser;
use mc_bench::report;
use mc_bench::workload::{Request, named, select};

use crate::args::RunArgs;
use crate::{STATUS_USAGE, Status, measure, open, parse, replace, status_of, tell};

/// First argument that asks for a report instead of a document.
pub(crate) const REPORT: &str = "report";

/// Runs a workload and writes one HTML file: curves over the run, a map of the pool that a slider takes
/// through it, and a table of all runs. The file needs no network.
#[derive(Debug, Parser)]
#[command(bin_name = "mc-bench report", max_term_width = 100)]
struct Args {
    /// Workload to run; a trace is for replay
    #[arg(long, value_name = "NAME", default_value = "replay")]
    workload: String,
    #[command(flatten)]
    run: RunArgs,
    /// Moments of each run that are kept
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    moments: u16,
    /// Write the report to this file
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
}

/// Answers a command line whose words after `report` are `words`.
pub(crate) fn run(words: impl Iterator<Item = OsString>) -> Status {
    let args: Args = parse(words, STATUS_USAGE)?;
    Ok(status_of(write(&args)))
}

fn write(args: &Args) -> anyhow::Result<()> {
    let request = Request {
        moments: usize::from(args.moments),
        ..args.run.request()
    };
    let selection = select(&named(&args.workload)?, &args.run.subjects, &request)?;
    let file = open(&args.out)?;
    let document = measure(&selection)?;
    replace(&args.out, file, |out| {
        report::html(&document, out)?;
        out.flush().map_err(Into::into)
    })?;
    tell(&format!("wrote {}", args.out.display()));
    Ok(())
}
