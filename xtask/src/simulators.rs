//! `cargo xtask simulators`: the definitions of hits beside those of two simulators that others use.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::{wheel, workspace::cargo};

/// The packages, each of a version whose results were looked at.
const PACKAGES: [&str; 2] = ["kvcache-simulator==0.1.3", "libcachesim==0.3.5"];

const PROGRAM: &str = "crates/mc-bench/tests/simulators.py";

/// Replays a trace here and there; it fails where hits differ.
pub(crate) fn run(shell: &Shell, trace: Option<PathBuf>) -> anyhow::Result<()> {
    let trace =
        trace.unwrap_or_else(|| PathBuf::from("crates/mc-bench/traces/conversations.jsonl"));
    let is_there = shell.path_exists(&trace);
    ensure!(is_there, "there is no trace {}", trace.display());
    cargo(shell, "build --locked --quiet --release --package mc-bench")?;
    let python = wheel::environment(shell, "python3", "simulators")?;
    cmd!(
        shell,
        "{python} -m pip install --quiet --disable-pip-version-check {PACKAGES...}"
    )
    .run()
    .context("the simulators cannot be fetched")?;
    cmd!(shell, "{python} {PROGRAM} target/release/mc-bench {trace}")
        .run()
        .map_err(Into::into)
}
