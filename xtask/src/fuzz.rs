//! `cargo xtask fuzz`: random operations and bytes, guided by coverage.

use std::num::NonZeroU32;

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::workspace::shell;

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
        .try_for_each(|(crate_dir, target)| fuzz(&shell, crate_dir, target, seconds))
}

fn fuzz(shell: &Shell, crate_dir: &str, target: &str, seconds: NonZeroU32) -> anyhow::Result<()> {
    let fuzz_dir = format!("{crate_dir}/fuzz");
    let found = format!("{fuzz_dir}/corpus/{target}");
    let kept = format!("{crate_dir}/tests/corpus/{target}");
    shell.create_dir(&found)?;
    // The code has no `unsafe`, so that the address sanitizer would only slow it down.
    let fuzz = [
        "+nightly",
        "fuzz",
        "run",
        "--sanitizer",
        "none",
        "--fuzz-dir",
        &fuzz_dir,
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
