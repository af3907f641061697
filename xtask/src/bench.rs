//! `cargo xtask bench`: measures and regenerates what the measurements feed.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use mc_bench::workload::{Effort, WORKLOADS};
use xshell::{Shell, cmd};

use crate::hugepages::{self, Reserved};
use crate::page;
use crate::regression::{self, Compared};
use crate::workspace::{metadata, root, say, shell};

pub(crate) fn run(effort: Effort, only: &[String], out: Option<PathBuf>) -> anyhow::Result<()> {
    for name in only {
        let is_known = WORKLOADS.iter().any(|workload| workload.name == name);
        ensure!(
            is_known,
            "unknown workload \"{name}\"; `mc-bench list` names them"
        );
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

    let shell = shell()?;
    let command = build(&shell)?;
    let start = Instant::now();
    let is_asked = |name: &str| only.is_empty() || only.iter().any(|asked| asked == name);
    let workloads = WORKLOADS.iter().filter(|workload| is_asked(workload.name));
    let asked: Vec<&str> = workloads.clone().map(|workload| workload.name).collect();
    for workload in workloads {
        let name = workload.name;
        let file = data.join(name).with_extension("json");
        let _reserved = workload.needs_hugepages.then(reserve_hugepages);
        cmd!(
            shell,
            "{command} {name} {flag...} --format json --out {file}"
        )
        .run()?;
    }
    if effort == Effort::Full && out == docs {
        regression::store(&shell, &command, &asked)?;
    }
    say(&format!(
        "measured in {:.0} s",
        start.elapsed().as_secs_f64()
    ));

    page::regenerate(Some(out))
}

/// Measures a quick run and compares it with the stored one.
pub(crate) fn check(compared: Compared) -> anyhow::Result<()> {
    let shell = shell()?;
    let command = build(&shell)?;
    regression::check(&shell, &command, compared)
}

/// Measures a quick run and stores it as what later ones are compared with.
pub(crate) fn accept() -> anyhow::Result<()> {
    let shell = shell()?;
    let command = build(&shell)?;
    let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
    regression::store(&shell, &command, &names)
}

/// Builds the command and returns where it is.
///
/// Cargo is asked, because the directory can be moved by configuration and environment.
pub(crate) fn build(shell: &Shell) -> anyhow::Result<PathBuf> {
    cmd!(
        shell,
        "cargo build --locked --quiet --release --package mc-bench"
    )
    .run()?;
    let target = metadata()?.target_directory;
    Ok(target.join("release/mc-bench").into())
}

/// Reserves huge pages where that is allowed; elsewhere the subjects that need them are left out.
fn reserve_hugepages() -> Option<Reserved> {
    let reserved = hugepages::reserve(hugepages::PAGES_BENCHMARKS);
    reserved
        .inspect_err(|reason| say(&format!("no huge pages for the benchmarks: {reason}")))
        .ok()
}
