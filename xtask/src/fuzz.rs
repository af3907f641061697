//! `cargo xtask fuzz`: random operations and bytes, guided by coverage.

use std::num::NonZeroU32;

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::workspace::shell;

/// Where the targets are: a workspace of its own, because they need nightly.
const FUZZ_DIR: &str = "crates/mc-offset/fuzz";
/// Bytes on which a run builds, which `cargo test` replays.
const CORPUS_DIR: &str = "crates/mc-offset/tests/corpus";

const TARGETS: [&str; 2] = ["operations", "snapshot_bytes"];

/// Longest input: programs beyond it repeat themselves.
const MAX_BYTES: &str = "256";

/// Runs every target for `seconds`, and adds what reached new code to the corpus.
pub(crate) fn run(seconds: NonZeroU32) -> anyhow::Result<()> {
    let shell = shell()?;
    cmd!(shell, "cargo +nightly fuzz --version")
        .quiet()
        .ignore_stdout()
        .run()
        .context(
            "fuzzing needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`",
        )?;
    TARGETS
        .iter()
        .try_for_each(|target| fuzz(&shell, target, seconds))
}

fn fuzz(shell: &Shell, target: &str, seconds: NonZeroU32) -> anyhow::Result<()> {
    let found = format!("{FUZZ_DIR}/corpus/{target}");
    let kept = format!("{CORPUS_DIR}/{target}");
    shell.create_dir(&found)?;
    // The code has no `unsafe`, so that the address sanitizer would only slow it down.
    let fuzz = [
        "+nightly",
        "fuzz",
        "run",
        "--sanitizer",
        "none",
        "--fuzz-dir",
        FUZZ_DIR,
        target,
    ];
    let time = format!("-max_total_time={seconds}");
    let length = format!("-max_len={MAX_BYTES}");
    cmd!(shell, "cargo {fuzz...} {found} {kept} -- {time} {length}").run()?;
    cmd!(
        shell,
        "cargo {fuzz...} {kept} {found} -- -merge=1 -use_counters=0"
    )
    .run()?;
    Ok(())
}
