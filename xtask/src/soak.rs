//! `cargo xtask soak`: long runs of all layers with random configurations.

use std::time::{SystemTime, UNIX_EPOCH};

use xshell::{Shell, cmd};

use crate::workspace::{say, shell};

/// Runs for `minutes`, from `seed` or from one that the clock gives.
pub(crate) fn run(minutes: u64, seed: Option<u64>) -> anyhow::Result<()> {
    let from_clock = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |since| since.as_secs())
    };
    soak(&shell()?, minutes * 60, seed.unwrap_or_else(from_clock))
}

/// Runs for `seconds` from `seed`, which is printed.
pub(crate) fn soak(shell: &Shell, seconds: u64, seed: u64) -> anyhow::Result<()> {
    say(&format!("soaking for {seconds} s from seed {seed}"));
    let arguments = format!("soak --seconds {seconds} --seed {seed}");
    let arguments = arguments.split(' ');
    cmd!(
        shell,
        "cargo run --locked --quiet --release --package mc-bench -- {arguments...}"
    )
    .run()
    .map_err(Into::into)
}
