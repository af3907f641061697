//! `mc-bench trace`: writes a generated trace, without arguments the one that is shipped.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use mc_bench::trace::generate::Conversations;

use crate::args::one_line;
use crate::{STATUS_USAGE, fail};

/// First argument that asks for a trace.
pub(crate) const TRACE: &str = "trace";

/// Writes a trace of conversations as JSON lines.
#[derive(Debug, Parser)]
#[command(name = "mc-bench trace", max_term_width = 100)]
struct Args {
    /// Requests of the trace
    #[arg(long, value_name = "N", default_value_t = Conversations::SHIPPED.requests)]
    requests: usize,
    /// Seed of all draws
    #[arg(long, value_name = "N", default_value_t = Conversations::SHIPPED.seed)]
    seed: u64,
}

/// Answers a command line whose words after `trace` are `words`.
pub(crate) fn run(words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let args = match Args::try_parse_from([TRACE.into()].into_iter().chain(words)) {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            return fail(&one_line(&error.to_string()), STATUS_USAGE);
        }
        Err(help) => return print(&help.to_string()),
    };
    let Args { requests, seed } = args;
    let conversations = Conversations {
        requests,
        seed,
        ..Conversations::SHIPPED
    };
    print(&conversations.generate().to_text())
}

fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error.to_string(), 1),
        _ => ExitCode::SUCCESS,
    }
}
