//! `cargo xtask nixl`: the engine NIXL for mc-cluster, checked and measured where it can be had.
//!
//! The crate is outside the workspace: what binds it to NIXL is built by g++ (C++20) and libclang. The
//! library itself is taken from the wheel, into an environment below `target/nixl`, and never passed on:
//! parts of it are proprietary.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::workspace::{answers, cargo, root, say};

/// What is done with the engine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Format, lints and tests.
    Check,
    /// A block by NIXL and by gRPC.
    Measure,
}

const MANIFEST: &str = "crates/mc-nixl/Cargo.toml";

/// Where wheel and builds are.
const OUT: &str = "target/nixl";

/// Without its dependencies, which are for GPUs and take gigabytes.
const WHEEL: &str = "nixl-cu12==1.5.1";

/// Where the wheel has its libraries, below the packages of the environment.
const LIBRARIES: &str = ".nixl_cu12.mesonpy.libs";

/// Ways that UCX is told to take: all of this host, which is shared memory, and TCP alone.
const WAYS: [Option<&str>; 2] = [None, Some("tcp,self")];

/// Checks or measures the engine; one line says what is missing if that cannot be.
pub(crate) fn run(shell: &Shell, work: Work) -> anyhow::Result<()> {
    let libraries = match needed(shell) {
        Ok(libraries) => libraries,
        Err(reason) => {
            say(&format!("the engine NIXL does not run: {reason:#}"));
            return Ok(());
        }
    };
    let _target = shell.push_env("CARGO_TARGET_DIR", root().join(OUT).join("build"));
    let _libraries = shell.push_env("LD_LIBRARY_PATH", &libraries);
    let _devices = shell.push_env("UCX_NET_DEVICES", "lo");
    match work {
        Work::Check => check(shell),
        Work::Measure => measure(shell),
    }
}

fn check(shell: &Shell) -> anyhow::Result<()> {
    cargo(shell, &format!("fmt --manifest-path {MANIFEST} --check"))?;
    for features in ["", " --all-features"] {
        let all = format!("--locked --quiet --manifest-path {MANIFEST} --all-targets{features}");
        cargo(shell, &format!("clippy {all} -- --deny warnings"))?;
    }
    // Tests fail then instead of not running.
    let _require = shell.push_env("MC_REQUIRE_NIXL", "1");
    for way in WAYS {
        let _way = way.map(|way| shell.push_env("UCX_TLS", way));
        cargo(
            shell,
            &format!("test --locked --quiet --manifest-path {MANIFEST} --all-features"),
        )?;
    }
    Ok(())
}

fn measure(shell: &Shell) -> anyhow::Result<()> {
    for way in WAYS {
        let _way = way.map(|way| shell.push_env("UCX_TLS", way));
        let run = "run --locked --quiet --release";
        cargo(shell, &format!("{run} --manifest-path {MANIFEST} -- bench"))?;
    }
    Ok(())
}

/// Returns where the libraries are, once all that is needed is there.
fn needed(shell: &Shell) -> anyhow::Result<PathBuf> {
    ensure!(answers(shell, "g++ --version"), "there is no g++");
    if !has_libclang(shell) {
        let install = cmd!(
            shell,
            "apt-get install --yes --quiet --no-install-recommends libclang-dev"
        );
        let install = install.quiet().ignore_stdout().ignore_stderr().run();
        install.context("there is no libclang, and Debian's libclang-dev cannot be installed")?;
    }
    wheel(shell)
}

fn has_libclang(shell: &Shell) -> bool {
    let known = cmd!(shell, "ldconfig -p").quiet().ignore_stderr().read();
    let is_known = known.is_ok_and(|known| known.contains("libclang"));
    is_known || shell.var_os("LIBCLANG_PATH").is_some()
}

/// Returns the directory of the libraries; the wheel is fetched if it was not before.
fn wheel(shell: &Shell) -> anyhow::Result<PathBuf> {
    let environment = root().join(OUT).join("wheel");
    let python = environment.join("bin/python");
    if let Ok(found) = libraries(shell, &python) {
        return Ok(found);
    }
    cmd!(shell, "python3 -m venv --clear {environment}")
        .quiet()
        .ignore_stderr()
        .run()
        .context("there is no Python with venv")?;
    let patience = ["--timeout", "30", "--retries", "1"];
    cmd!(
        shell,
        "{python} -m pip install --quiet --disable-pip-version-check {patience...} --no-deps {WHEEL}"
    )
    .quiet()
    .ignore_stderr()
    .run()
    .with_context(|| format!("the wheel {WHEEL} cannot be fetched"))?;
    libraries(shell, &python)
}

fn libraries(shell: &Shell, python: &Path) -> anyhow::Result<PathBuf> {
    let packages = "import sysconfig; print(sysconfig.get_paths()['purelib'])";
    let packages = cmd!(shell, "{python} -c {packages}")
        .quiet()
        .ignore_stderr();
    let libraries = PathBuf::from(packages.read()?).join(LIBRARIES);
    let library = libraries.join("libnixl_capi.so");
    ensure!(library.exists(), "{} is not there", library.display());
    Ok(libraries)
}
