//! `mc-bench soak`: everything, for as long as asked, with random configurations.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mc_bench::soak::{self, LAYERS, Tally};

use crate::args::one_line;
use crate::{STATUS_USAGE, fail};

/// First argument that asks for a long run instead of a measurement.
pub(crate) const SOAK: &str = "soak";

/// Runs all layers with random configurations and checks what they hold.
///
/// The layers are the allocators of one thread (offset), of several (shared) and of one size (slots),
/// pools and buffers of memory (memory), and the object store over segments that come and go (store).
/// Every round has the seed after that of the round before; a failure names its own.
#[derive(Debug, Parser)]
#[command(name = "mc-bench soak", max_term_width = 100)]
struct Args {
    /// Seconds to run; at least one round is run in any case
    #[arg(long, value_name = "N", default_value = "60")]
    seconds: u64,
    /// Seed of the first round
    #[arg(long, value_name = "N")]
    seed: u64,
}

/// Answers a command line whose words after `soak` are `words`.
pub(crate) fn run(words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let args = match Args::try_parse_from([SOAK.into()].into_iter().chain(words)) {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            return fail(&one_line(&error.to_string()), STATUS_USAGE);
        }
        Err(help) => {
            // A closed pipe is no reason to fail.
            let _ = write!(io::stdout().lock(), "{help}");
            return ExitCode::SUCCESS;
        }
    };
    match soak::run(args.seed, Duration::from_secs(args.seconds)) {
        Ok(Tally { rounds, operations }) => {
            let layers: Vec<&str> = LAYERS.iter().map(|layer| layer.name).collect();
            let layers = layers.join(", ");
            let seed = args.seed;
            let _ = writeln!(
                io::stdout().lock(),
                "{rounds} rounds of {layers} from seed {seed}: {operations} operations, nothing wrong"
            );
            ExitCode::SUCCESS
        }
        Err(failure) => fail(&failure.to_string(), 1),
    }
}
