//! `cargo xtask ci`: everything that has to hold before a change is merged.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use mc_bench::workload::WORKLOADS;
use xshell::{Shell, cmd};

use crate::packages::Archive;
use crate::regression::Compared;
use crate::workspace::{root, say, shell};
use crate::{
    bench, deploy, drill, freshness, hugepages, native, packages, report, soak, supply, tidy, wheel,
};

/// Set for the tests when huge pages are reserved: they then fail instead of not running.
const REQUIRE_HUGEPAGES: &str = "MC_REQUIRE_HUGEPAGE_TESTS";

/// A short run, the same every time: long ones have seeds of their own.
const SOAK_SECONDS: u64 = 5;
const SOAK_SEED: u64 = 1;

/// As many kills as a change can wait for.
const DRILL_KILLS: u32 = 20;
const DRILL_SEED: u64 = 1;

/// One step and what it is called in the output.
type Step = (&'static str, fn(&Shell) -> anyhow::Result<()>);

/// The steps, the quickest to fail first.
const STEPS: &[Step] = &[
    ("tidy", |_| tidy::run()),
    ("dependencies", supply::run),
    ("format", format),
    ("packages", |_| packages::package(Archive::List)),
    ("lints", lints),
    ("feature sets", packages::lint_feature_sets),
    ("build and test", test),
    ("deployment", deploy::check),
    ("C, C++ and Python", native::run),
    ("wheel", wheel::check),
    ("loom", loom),
    ("documentation", documentation),
    ("age of the times", freshness::check),
    ("utilization as stored", |_| {
        bench::check(Compared::Decisions)
    }),
    ("benchmark smoke run", smoke),
    ("HTML report", report::run),
    ("kill drill", |shell| {
        drill::drill(shell, DRILL_KILLS, DRILL_SEED)
    }),
    ("soak", |shell| soak::soak(shell, SOAK_SECONDS, SOAK_SEED)),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let shell = shell()?;
    let start = Instant::now();
    for (name, step) in STEPS {
        let step_start = Instant::now();
        say(&format!("== {name}"));
        step(&shell).with_context(|| format!("{name} failed"))?;
        say(&format!(
            "== {name}: passed in {} s",
            step_start.elapsed().as_secs()
        ));
    }
    say(&format!("all passed in {} s", start.elapsed().as_secs()));
    Ok(())
}

fn format(shell: &Shell) -> anyhow::Result<()> {
    cmd!(shell, "cargo fmt --all --check")
        .run()
        .map_err(Into::into)
}

fn lints(shell: &Shell) -> anyhow::Result<()> {
    let warnings = ["--deny", "warnings"];
    cmd!(
        shell,
        "cargo clippy --locked --quiet --workspace --all-targets --all-features -- {warnings...}"
    )
    .run()
    .map_err(Into::into)
}

/// Builds everything as tests need it and runs unit, integration and documentation tests; criterion
/// targets run each benchmark once.
///
/// There is no build before, because it would compile every crate a second time in another profile.
fn test(shell: &Shell) -> anyhow::Result<()> {
    let reserved = hugepages::reserve(hugepages::PAGES_TESTS);
    let _require = match &reserved {
        Ok(_) => Some(shell.push_env(REQUIRE_HUGEPAGES, "1")),
        Err(reason) => {
            say(&format!("tests that need huge pages do not run: {reason}"));
            None
        }
    };
    cmd!(
        shell,
        "cargo test --locked --quiet --workspace --all-targets --all-features"
    )
    .run()?;
    cmd!(
        shell,
        "cargo test --locked --quiet --workspace --doc --all-features"
    )
    .run()
    .map_err(Into::into)
}

/// Runs every test target named `loom*` under the model checker.
///
/// The flag changes every crate, so these builds have a directory of their own, without which each
/// run would rebuild the others.
fn loom(shell: &Shell) -> anyhow::Result<()> {
    let _flags = shell.push_env("RUSTFLAGS", "--cfg loom");
    // What link-time optimization saves in a run of seconds it costs many times over in the build.
    let _lto = shell.push_env("CARGO_PROFILE_RELEASE_LTO", "off");
    let _units = shell.push_env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    let _target = shell.push_env("CARGO_TARGET_DIR", root().join("target/loom"));
    for (package, target) in loom_targets(shell)? {
        cmd!(
            shell,
            "cargo test --locked --quiet --release --package {package} --all-features --test {target}"
        )
        .run()?;
    }
    Ok(())
}

/// Returns package and target of every `tests/loom*.rs`; a package is named as its directory.
fn loom_targets(shell: &Shell) -> anyhow::Result<Vec<(String, String)>> {
    let name = |path: &PathBuf| {
        path.file_stem()
            .and_then(OsStr::to_str)
            .map(str::to_owned)
            .unwrap_or_default()
    };
    let mut targets = Vec::new();
    for package in shell.read_dir("crates")? {
        let tests = package.join("tests");
        if !tests.is_dir() {
            continue;
        }
        let files = shell.read_dir(tests)?;
        let loom = files
            .iter()
            .map(name)
            .filter(|target| target.starts_with("loom"));
        targets.extend(loom.map(|target| (name(&package), target)));
    }
    Ok(targets)
}

fn documentation(shell: &Shell) -> anyhow::Result<()> {
    let _flags = shell.push_env("RUSTDOCFLAGS", "--deny warnings");
    cmd!(
        shell,
        "cargo doc --locked --quiet --workspace --no-deps --all-features"
    )
    .run()
    .map_err(Into::into)
}

/// Runs the workloads that measure time alone, with few operations, and throws the documents away.
///
/// The others have run in the comparison with the stored figures.
fn smoke(shell: &Shell) -> anyhow::Result<()> {
    for workload in WORKLOADS.iter().filter(|workload| !workload.is_seeded) {
        let workload = workload.name;
        let arguments = "--quick --ops 2000 --format csv".split(' ');
        cmd!(
            shell,
            "cargo run --locked --quiet --release --package mc-bench -- {workload} {arguments...}"
        )
        .ignore_stdout()
        .run()?;
    }
    Ok(())
}
