//! The command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};
use mc_bench::workload::{Effort, Request, SEED};

/// Measures allocators on the workloads of a KV-cache store.
#[derive(Debug, Parser)]
#[command(name = "mc-bench", version, max_term_width = 100)]
pub(crate) struct Args {
    /// `list`, a workload that `list` names, or `all`; `hugepages --help` tells
    /// about the planner, `soak --help` about long runs
    #[arg(value_name = "WORKLOAD")]
    pub(crate) workload: String,
    /// Subject to measure, repeatable; without it every subject but `none`
    #[arg(long = "subject", value_name = "NAME")]
    pub(crate) subjects: Vec<String>,
    /// Object size in bytes, repeatable; for workloads whose sizes can be chosen
    #[arg(long = "size", value_name = "BYTES")]
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
    /// Format of the document
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Write the document to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
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

/// What a command line asks for.
pub(crate) enum Invocation {
    /// Something to do.
    Run(Args),
    /// A text to print, such as the help.
    Text(String),
    /// Nothing: the reason, in one line.
    Refused(String),
}

/// Parses the arguments of the process.
pub(crate) fn parse() -> Invocation {
    match Args::try_parse() {
        Ok(args) => Invocation::Run(args),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Invocation::Text(error.to_string())
            }
            _ => Invocation::Refused(one_line(&error.to_string())),
        },
    }
}

impl Args {
    /// Returns the request, with the subjects still to be chosen.
    pub(crate) fn request(&self) -> Request {
        let effort = if self.quick {
            Effort::Quick
        } else {
            Effort::Full
        };
        let (sizes, ops, seed) = (self.sizes.clone(), self.ops, self.seed);
        Request {
            subjects: Vec::new(),
            sizes,
            ops,
            seed,
            effort,
        }
    }
}

/// Returns the first paragraph of the parser's message, which names the value and what is accepted,
/// in one line and without its prefix.
pub(crate) fn one_line(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}
