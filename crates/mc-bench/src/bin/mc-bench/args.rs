//! The command line.

use std::error::Error as _;
use std::num::{ParseFloatError, ParseIntError};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};
use mc_arena::size::parse_bytes;
use mc_bench::workload::replay::ReplayOptions;
use mc_bench::workload::{Effort, Request, SEED};

/// Measures allocators on the workloads of a KV-cache store.
#[derive(Debug, Parser)]
#[command(bin_name = "mc-bench", version, max_term_width = 100)]
pub(crate) struct Args {
    /// `list`, a workload that `list` names, or `all`; `hugepages --help` tells
    /// about the planner, `soak --help` about long runs, `trace --help` about
    /// traces to replay, `report --help` about runs to look at in a browser
    #[arg(value_name = "WORKLOAD")]
    pub(crate) workload: String,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Format of the document
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Show every field instead of what fits a screen, in tables and Markdown
    #[arg(long)]
    pub(crate) wide: bool,
    /// Write the document to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// What every workload is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Subject to measure, repeatable; without it every subject
    #[arg(long = "subject", value_name = "NAME")]
    pub(crate) subjects: Vec<String>,
    /// Object size, such as 3274752, 64KiB or 1Mi, repeatable; for workloads whose sizes can be chosen
    #[arg(long = "size", value_name = "BYTES", value_parser = parse_bytes)]
    sizes: Vec<u64>,
    /// Timed operations; without it the published number
    #[arg(long, value_name = "N")]
    ops: Option<u64>,
    /// Seed of requests and victims
    #[arg(long, value_name = "N", default_value_t = SEED)]
    seed: u64,
    /// Run fewer operations on smaller pools, each row once
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    replay: ReplayOptions,
}

/// Formats of the document.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    Table,
    /// One JSON document
    Json,
    /// Comma-separated values
    Csv,
    /// One Markdown table per workload
    Markdown,
}

impl RunArgs {
    /// Returns the request, with the subjects still to be chosen.
    pub(crate) fn request(&self) -> Request {
        let effort = if self.quick {
            Effort::Quick
        } else {
            Effort::Full
        };
        Request {
            sizes: self.sizes.clone(),
            ops: self.ops,
            seed: self.seed,
            effort,
            replay: self.replay.clone(),
            ..Request::default()
        }
    }
}

/// Returns the first paragraph of the parser's message, which names the value and what is accepted,
/// in one line and without its prefix.
pub(crate) fn one_line(answer: &clap::Error) -> String {
    let message = answer.to_string();
    let paragraph = message.split("\n\n").next().unwrap_or(&message);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let line = words.join(" ").trim_start_matches("error: ").to_owned();
    if answer.kind() == ErrorKind::UnknownArgument {
        return format!("{line}; --help lists what is accepted");
    }
    match answer.source() {
        Some(source) if source.is::<ParseIntError>() => {
            format!("{line}; accepted: a whole number, 0 or more")
        }
        Some(source) if source.is::<ParseFloatError>() => format!("{line}; accepted: a number"),
        _ => line,
    }
}
