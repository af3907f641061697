//! `cargo xtask drill`: kills of a process that uses a store, and a look at what is there then.

use xshell::{Shell, cmd};

use crate::workspace::{say, shell};

/// Kills and verifies so many times.
pub(crate) fn run(kills: u32, seed: u64) -> anyhow::Result<()> {
    drill(&shell()?, kills, seed)
}

/// The same, as a step of others.
pub(crate) fn drill(shell: &Shell, kills: u32, seed: u64) -> anyhow::Result<()> {
    say(&format!("killing a process {kills} times from seed {seed}"));
    let (kills, seed) = (kills.to_string(), seed.to_string());
    cmd!(
        shell,
        "cargo run --locked --quiet --release --package mc-store --example drill -- {kills} {seed}"
    )
    .run()
    .map_err(Into::into)
}
