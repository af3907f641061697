//! `cargo xtask adopters`: tests of an engine on the example that stands for its allocator.
//!
//! The engine's source archive comes from `PyPI`, and what is taken out of it stays below
//! `target/adopters`. Without `PyTorch` or the network one line says what did not run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{
    wheel::{self, Build},
    workspace::{root, say},
};

/// The release whose tests were looked at.
const ENGINE: &str = "lmcache";
const VERSION: &str = "0.5.6";

/// What its archive takes to say what it is, which pip asks it for; and what runs the tests.
const TOOLS: [&str; 6] = [
    "setuptools>=77,<81",
    "setuptools_scm>=8",
    "packaging>=24.2",
    "wheel",
    "pytest>=8.2",
    "numpy>=1.22",
];

const PROGRAM: &str = "crates/mc-python/tests/adopters.py";
const OUT: &str = "target/adopters";
const TORCH_IMPORT: &str = "import torch";

/// Fetches the engine's archive, builds the package, and runs the tests.
pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let Some(python) = python_with_torch(shell) else {
        say(
            "tests of engines do not run: no python3 here has PyTorch, as that of Debian with python3-torch",
        );
        return Ok(());
    };
    let out = root().join(OUT);
    shell.remove_path(&out)?;
    let environment = out.join("python");
    let make = "-m venv --system-site-packages".split(' ');
    cmd!(shell, "{python} {make...} {environment}")
        .quiet()
        .run()?;
    let installed = environment.join("bin/python");
    let fetched = archive(shell, &installed, &out)
        .with_context(|| format!("{ENGINE} {VERSION} cannot be fetched"))
        .and_then(|archive| Ok((archive, wheel::maturin(shell, python)?)));
    let (archive, maturin) = match fetched {
        Ok(fetched) => fetched,
        Err(error) => {
            say(&format!("tests of engines do not run: {error:#}"));
            return Ok(());
        }
    };
    let wheel = wheel::build(shell, &maturin, Build::Quick, &out.join("wheel"))?;
    wheel::pip_install(shell, &installed, &["--no-index"], &wheel)?;
    say(&format!("{ENGINE} {VERSION}:"));
    Ok(cmd!(shell, "{installed} {PROGRAM} {archive} {out}").run()?)
}

fn python_with_torch(shell: &Shell) -> Option<&'static str> {
    let has_torch = |python: &&str| {
        let import = cmd!(shell, "{python} -c {TORCH_IMPORT}").quiet();
        import.ignore_stderr().run().is_ok() && wheel::has_python(shell, python)
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has_torch)
}

/// Returns the engine's source archive, which has the tests; its wheel has not.
fn archive(shell: &Shell, python: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    let patience = ["--timeout", "30", "--retries", "1"];
    let quiet = ["--quiet", "--disable-pip-version-check"];
    let pip = |command| cmd!(shell, "{python} -m pip {command} {quiet...} {patience...}").quiet();
    pip("install").args(TOOLS).ignore_stderr().run()?;
    // As it is, without the compilers and devices that building it would take.
    let alone = ["--no-deps", "--no-build-isolation", "--no-binary", ENGINE];
    let engine = format!("{ENGINE}=={VERSION}");
    pip("download")
        .args(alone)
        .arg("--dest")
        .arg(out)
        .arg(engine)
        .ignore_stderr()
        .run()?;
    wheel::archive(shell, out, "gz")
}
