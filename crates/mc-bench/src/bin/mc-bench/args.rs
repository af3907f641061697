//! The command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};
use mc_arena::size::parse_bytes;
use mc_bench::trace::BadLines;
use mc_bench::workload::replay::ReplayOptions;
use mc_bench::workload::{Effort, Matrix, Request, SEED};

/// Measures allocators on the workloads of a KV-cache store.
#[derive(Debug, Parser)]
#[command(name = "mc-bench", version, max_term_width = 100)]
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
    /// Subject to measure, repeatable; without it every subject but `none`
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
    /// Run every row of a workload, also those that the page leaves out
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    #[command(flatten)]
    replay: ReplayArgs,
}

/// What only `replay` takes.
#[derive(Debug, clap::Args)]
struct ReplayArgs {
    /// Trace to replay; without it the one that is shipped
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Count malformed lines of the trace instead of refusing it
    #[arg(long)]
    skip_bad: bool,
    /// Size of the store, such as 64GiB, repeatable; without it shares of the bytes of all blocks
    #[arg(long = "capacity", value_name = "SIZE", value_parser = parse_bytes)]
    capacities: Vec<u64>,
    /// The same as percent of the bytes of all blocks, repeatable
    #[arg(long = "capacity-percent", value_name = "P")]
    capacities_percent: Vec<f64>,
    /// Segments that the store is divided into; without it one
    #[arg(long, value_name = "N")]
    segments: Option<u32>,
    /// Copies of each object; without it one
    #[arg(long, value_name = "N")]
    replicas: Option<u32>,
    /// Pieces that an object may be in; without it one
    #[arg(long, value_name = "N")]
    extents: Option<u32>,
    /// Strategy that chooses segments, such as best-hole
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// Policy of bin-ceil and adaptive, such as tail-first, repeatable; without it lru
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Tokens of a block of the trace; without it 512
    #[arg(long, value_name = "N")]
    block_tokens: Option<u64>,
    /// Layout of the blocks, repeatable; without it all
    #[arg(long = "layout", value_name = "NAME")]
    layouts: Vec<String>,
    /// Model whose tokens are stored, in layouts that let it be chosen
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Bytes of one token instead of a model
    #[arg(long, value_name = "N", value_parser = parse_bytes)]
    bytes_per_token: Option<u64>,
    /// Who is evicted, lru or window; without it both
    #[arg(long, value_name = "NAME")]
    eviction: Option<String>,
    /// Of replay: bytes that a put may move for each that it stores, if it finds no hole
    #[arg(long, value_name = "RATIO")]
    compaction: Option<f64>,
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
    Run(Box<Args>),
    /// A text to print, such as the help.
    Text(String),
    /// Nothing: the reason, in one line.
    Refused(String),
}

/// Parses the arguments of the process.
pub(crate) fn parse() -> Invocation {
    match Args::try_parse() {
        Ok(args) => Invocation::Run(Box::new(args)),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Invocation::Text(error.to_string())
            }
            _ => Invocation::Refused(one_line(&error.to_string())),
        },
    }
}

impl RunArgs {
    /// Returns the request, with the subjects still to be chosen.
    pub(crate) fn request(&self) -> Request {
        let effort = if self.quick {
            Effort::Quick
        } else {
            Effort::Full
        };
        let matrix = if self.full {
            Matrix::Whole
        } else {
            Matrix::Usual
        };
        let (sizes, ops, seed) = (self.sizes.clone(), self.ops, self.seed);
        Request {
            subjects: Vec::new(),
            sizes,
            ops,
            seed,
            effort,
            matrix,
            moments: 0,
            replay: self.replay.options(),
        }
    }
}

impl ReplayArgs {
    fn options(&self) -> ReplayOptions {
        let bad_lines = if self.skip_bad {
            BadLines::Skip
        } else {
            BadLines::Refuse
        };
        ReplayOptions {
            trace: self.trace.clone(),
            bad_lines,
            capacities_bytes: self.capacities.clone(),
            capacities_percent: self.capacities_percent.clone(),
            segments: self.segments,
            replicas: self.replicas,
            extents: self.extents,
            strategy: self.strategy.clone(),
            policies: self.policies.clone(),
            block_tokens: self.block_tokens,
            layouts: self.layouts.clone(),
            model: self.model.clone(),
            token_bytes: self.bytes_per_token,
            eviction: self.eviction.clone(),
            compaction: self.compaction,
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
