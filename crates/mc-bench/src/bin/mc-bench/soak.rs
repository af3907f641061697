//! `mc-bench soak`: everything, for as long as asked, with random configurations.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mc_bench::soak::{self, LAYERS, Tally};

use crate::{STATUS_USAGE, Status, fail, parse, print};

/// First argument that asks for a long run instead of a measurement.
pub(crate) const SOAK: &str = "soak";

/// Runs all layers with random configurations and checks what they hold.
///
/// The layers are the allocators of one thread (offset), of several (shared) and of one size (slots),
/// pools and buffers of memory (memory), and the object store over segments that come and go (store).
/// Every round has the seed after that of the round before; a failure names its own.
#[derive(Debug, Parser)]
#[command(bin_name = "mc-bench soak", max_term_width = 100)]
struct Args {
    /// Seconds to run; at least one round is run in any case
    #[arg(long, value_name = "N", default_value = "60")]
    seconds: u64,
    /// Seed of the first round
    #[arg(long, value_name = "N")]
    seed: u64,
}

/// Answers a command line whose words after `soak` are `words`.
pub(crate) fn run(words: impl Iterator<Item = std::ffi::OsString>) -> Status {
    let args: Args = parse(words, STATUS_USAGE)?;
    let Args { seconds, seed } = args;
    let tally = soak::run(seed, Duration::from_secs(seconds));
    let Tally { rounds, operations } = tally.map_err(|failure| fail(&failure.to_string(), 1))?;
    let layers: Vec<&str> = LAYERS.iter().map(|layer| layer.name).collect();
    let layers = layers.join(", ");
    let summary = format!(
        "{rounds} rounds of {layers} from seed {seed}: {operations} operations, nothing wrong\n"
    );
    Ok(print(&summary, ExitCode::SUCCESS))
}
