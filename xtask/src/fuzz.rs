//! `cargo xtask fuzz`: random operations and bytes, guided by coverage.

use std::num::NonZeroU32;

use anyhow::ensure;
use xshell::Shell;

use crate::workspace::{answers, cargo};

/// Crates with targets in `fuzz`, a workspace of its own because they need nightly. Bytes on which a run
/// builds are in `tests/corpus`, which `cargo test` replays.
const TARGETS: [(&str, &str); 4] = [
    ("crates/mc-offset", "operations"),
    ("crates/mc-offset", "snapshot_bytes"),
    ("crates/mc-store", "journal_bytes"),
    ("crates/mc-cluster", "service_calls"),
];

/// Longest input: programs beyond it repeat themselves.
const MAX_BYTES: &str = "256";

/// Runs every target for `seconds`, and adds what reached new code to the corpus.
pub(crate) fn run(shell: &Shell, seconds: NonZeroU32) -> anyhow::Result<()> {
    ensure!(
        answers(shell, "cargo +nightly fuzz --version"),
        "fuzzing needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`"
    );
    let mut targets = TARGETS.iter();
    targets.try_for_each(|(crate_dir, target)| fuzz(shell, crate_dir, target, seconds))
}

fn fuzz(shell: &Shell, crate_dir: &str, target: &str, seconds: NonZeroU32) -> anyhow::Result<()> {
    let fuzz_dir = format!("{crate_dir}/fuzz");
    let found = format!("{fuzz_dir}/corpus/{target}");
    let kept = format!("{crate_dir}/tests/corpus/{target}");
    shell.create_dir(&found)?;
    // The code has no `unsafe`, so that the address sanitizer would only slow it down.
    let fuzz = format!("+nightly fuzz run --sanitizer none --fuzz-dir {fuzz_dir} {target}");
    let limits = format!("-max_total_time={seconds} -max_len={MAX_BYTES}");
    cargo(shell, &format!("{fuzz} {found} {kept} -- {limits}"))?;
    let merging = "-merge=1 -use_counters=0";
    cargo(shell, &format!("{fuzz} {kept} {found} -- {merging}"))
}
