//! `cargo xtask ci`: everything that has to hold before a change is merged.

use std::time::Instant;

use anyhow::Context;
use mc_bench::workload::WORKLOADS;
use xshell::{Shell, cmd};

use crate::packages::Archive;
use crate::regression::Compared;
use crate::workspace::{cargo, root, say};
use crate::{
    bench, deploy, freshness, hugepages, long, native, packages, report, supply, systems, tidy,
    wheel,
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
    ("tidy", tidy::run),
    ("dependencies", supply::run),
    ("format", format),
    ("packages", |shell| packages::package(shell, Archive::List)),
    ("lints", lints),
    ("feature sets", packages::lint_feature_sets),
    ("other systems", systems::check),
    ("build and test", test),
    ("deployment", deploy::run),
    ("C, C++ and Python", native::run),
    ("wheel", wheel::check),
    ("loom", loom),
    ("documentation", documentation),
    ("age of the times", freshness::check),
    ("utilization as stored", |shell| {
        bench::check(shell, Compared::Decisions)
    }),
    ("benchmark smoke run", smoke),
    ("HTML report", report::run),
    ("kill drill", |shell| {
        long::drill(shell, DRILL_KILLS, DRILL_SEED)
    }),
    ("soak", |shell| {
        long::soak(shell, SOAK_SECONDS, Some(SOAK_SEED))
    }),
];

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let start = Instant::now();
    for (name, step) in STEPS {
        let step_start = Instant::now();
        say(&format!("== {name}"));
        step(shell).with_context(|| format!("{name} failed"))?;
        let seconds = step_start.elapsed().as_secs();
        say(&format!("== {name}: passed in {seconds} s"));
    }
    say(&format!("all passed in {} s", start.elapsed().as_secs()));
    Ok(())
}

/// Checks all files: cargo alone would pass over the workloads, whose modules a macro declares.
fn format(shell: &Shell) -> anyhow::Result<()> {
    let files = cmd!(shell, "git ls-files *.rs").quiet().read()?;
    let files = files.lines();
    Ok(cmd!(shell, "cargo fmt --all --check -- {files...}").run()?)
}

fn lints(shell: &Shell) -> anyhow::Result<()> {
    let all = "--locked --quiet --workspace --all-targets --all-features";
    cargo(shell, &format!("clippy {all} -- --deny warnings"))
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
    let all = "--locked --quiet --workspace --all-features";
    cargo(shell, &format!("test {all} --all-targets"))?;
    cargo(shell, &format!("test {all} --doc"))
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
        let test = format!("--package {package} --all-features --test {target}");
        cargo(shell, &format!("test --locked --quiet --release {test}"))?;
    }
    Ok(())
}

/// Returns package and target of every `tests/loom*.rs`; a package is named as its directory.
fn loom_targets(shell: &Shell) -> anyhow::Result<Vec<(String, String)>> {
    let files = cmd!(shell, "git ls-files crates/*/tests/loom*.rs")
        .quiet()
        .read()?;
    let target = |file: &str| {
        let (package, target) = file.strip_prefix("crates/")?.split_once("/tests/")?;
        Some((package.to_owned(), target.strip_suffix(".rs")?.to_owned()))
    };
    Ok(files.lines().filter_map(target).collect())
}

fn documentation(shell: &Shell) -> anyhow::Result<()> {
    let _flags = shell.push_env("RUSTDOCFLAGS", "--deny warnings");
    cargo(
        shell,
        "doc --locked --quiet --workspace --no-deps --all-features",
    )
}

/// Runs the workloads that measure time alone, with few operations, and throws the documents away.
///
/// The others have run in the comparison with the stored figures.
fn smoke(shell: &Shell) -> anyhow::Result<()> {
    let command = bench::build(shell)?;
    for workload in WORKLOADS.iter().filter(|workload| !workload.is_seeded) {
        let name = workload.name;
        let run = cmd!(shell, "{command} {name} --quick --ops 2000 --format csv");
        run.ignore_stdout().run()?;
    }
    Ok(())
}
