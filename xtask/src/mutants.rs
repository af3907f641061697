//! `cargo xtask mutants`: changes the code, one expression at a time, and wants a test to fail.

use std::path::PathBuf;

use anyhow::ensure;
use xshell::{Shell, cmd};

use crate::workspace::{answers, root};

/// What is changed: all of mc-offset, and of mc-arena the file that hands out memory.
const FILES: [&str; 2] = [
    "crates/mc-offset/src/**/*.rs",
    "crates/mc-arena/src/cursor.rs",
];

/// Runs the mutants of one shard, such as `0/8`, or all of them; into `target/mutants`.
///
/// Mutants that no test caught before are tried again: a second run after sharper tests is short.
pub(crate) fn run(shell: &Shell, shard: Option<&str>) -> anyhow::Result<()> {
    ensure!(
        answers(shell, "cargo mutants --version"),
        "mutation testing needs `cargo install cargo-mutants`"
    );
    let out: PathBuf = root().join("target/mutants");
    shell.create_dir(&out)?;
    let files = FILES.iter().flat_map(|file| ["--file", file]);
    let shard = shard.into_iter().flat_map(|shard| {
        // Every file in every shard, so that one of them is a sample of all.
        ["--sharding", "round-robin", "--shard", shard]
    });
    let mutants = cmd!(shell, "cargo mutants --iterate --output {out}");
    Ok(mutants.args(files).args(shard).run()?)
}
