//! `mc-bench trace`: writes a generated trace, without arguments the one that is shipped.

use std::process::ExitCode;

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use mc_bench::trace::generate::Conversations;

use crate::{STATUS_USAGE, Status, parse, print};

/// First argument that asks for a trace.
pub(crate) const TRACE: &str = "trace";

/// Requests at most: all are in memory before the first is written.
const REQUESTS_MAX: u64 = 1_000_000;

/// Writes a trace of conversations as JSON lines.
#[derive(Debug, Parser)]
#[command(bin_name = "mc-bench trace", max_term_width = 100)]
struct Args {
    /// Requests of the trace
    #[arg(long, value_name = "N", default_value_t = Conversations::SHIPPED.requests,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=REQUESTS_MAX))]
    requests: usize,
    /// Seed of all draws
    #[arg(long, value_name = "N", default_value_t = Conversations::SHIPPED.seed)]
    seed: u64,
}

/// Answers a command line whose words after `trace` are `words`.
pub(crate) fn run(words: impl Iterator<Item = std::ffi::OsString>) -> Status {
    let Args { requests, seed } = parse(words, STATUS_USAGE)?;
    let conversations = Conversations {
        requests,
        seed,
        ..Conversations::SHIPPED
    };
    Ok(print(
        &conversations.generate().to_text(),
        ExitCode::SUCCESS,
    ))
}
