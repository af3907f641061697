//! `cargo xtask bench`: measures and regenerates what the measurements feed.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use mc_bench::workload::{Effort, WORKLOADS, by_name};
use xshell::{Shell, cmd};

use crate::hugepages::{self, Reserved};
use crate::page;
use crate::regression::{self, Compared};
use crate::workspace::{cargo, metadata, root, say};

pub(crate) fn run(
    shell: &Shell,
    effort: Effort,
    only: &[String],
    out: Option<PathBuf>,
) -> anyhow::Result<()> {
    if let Some(name) = only.iter().find(|name| by_name(name).is_none()) {
        bail!("unknown workload \"{name}\"; `mc-bench list` names them");
    }
    let docs = root().join("docs");
    let (default_out, flag) = match effort {
        // A look at everything, not into `docs`, whose figures are full runs.
        Effort::Quick => (root().join("target/bench-quick"), Some("--quick")),
        Effort::Full => (docs.clone(), None),
    };
    let out = out.unwrap_or(default_out);
    let data = out.join("data");
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;

    let command = build(shell)?;
    let start = Instant::now();
    let is_asked = |name: &str| only.is_empty() || only.iter().any(|asked| asked == name);
    let workloads = WORKLOADS.iter().filter(|workload| is_asked(workload.name));
    let asked: Vec<&str> = workloads.clone().map(|workload| workload.name).collect();
    for workload in workloads {
        let name = workload.name;
        let file = data.join(name).with_extension("json");
        let _reserved = workload.needs_hugepages.then(reserve_hugepages);
        let run = cmd!(shell, "{command} {name} {flag...} --format json");
        run.args(["--out".into(), file]).run()?;
    }
    if effort == Effort::Full && out == docs {
        regression::store(shell, &command, &asked)?;
    }
    say(&format!("measured in {} s", start.elapsed().as_secs()));

    page::regenerate(Some(out))
}

/// Measures a quick run and compares it with the stored one.
pub(crate) fn check(shell: &Shell, compared: Compared) -> anyhow::Result<()> {
    regression::check(shell, &build(shell)?, compared)
}

/// Measures a quick run and stores it as what later ones are compared with.
pub(crate) fn accept(shell: &Shell) -> anyhow::Result<()> {
    let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
    regression::store(shell, &build(shell)?, &names)
}

/// Builds the command and returns where it is.
///
/// Cargo is asked, because the directory can be moved by configuration and environment.
pub(crate) fn build(shell: &Shell) -> anyhow::Result<PathBuf> {
    cargo(shell, "build --locked --quiet --release --package mc-bench")?;
    let target = metadata()?.target_directory;
    Ok(target.join("release/mc-bench").into())
}

/// Reserves huge pages where that is allowed; elsewhere the subjects that need them are left out.
fn reserve_hugepages() -> Option<Reserved> {
    let reserved = hugepages::reserve(hugepages::PAGES_BENCHMARKS);
    let tell = |reason: &String| say(&format!("no huge pages for the benchmarks: {reason}"));
    reserved.inspect_err(tell).ok()
}
