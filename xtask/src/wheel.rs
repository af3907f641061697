//! `cargo xtask wheel`: the Python package as its users get it, built, installed and tested.
//!
//! maturin makes the archives; it is fetched once, into an environment below `target/wheel`. Without
//! Python, or without the network at that moment, one line says what did not run.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::workspace::{relative, root, say};

const CRATE: &str = "crates/mc-python";

/// Where environments and archives are.
const OUT: &str = "target/wheel";

/// Exits with an error for an interpreter that the package does not serve.
const IS_SERVED: &str = "import sys, venv; sys.exit(sys.version_info < (3, 9))";

/// The tests that have their reason in `PyTorch`, which few machines have, and whether one has it.
const TORCH_TESTS: &str = "torch";
const TORCH_IMPORT: &str = "import torch";

/// What is built for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// For those who install it.
    Release,
    /// Not optimized, which takes the least time.
    Quick,
}

/// Makes wheel and sdist, installs each into an empty environment, and runs all tests there.
pub(crate) fn run(shell: &Shell, python: &str) -> anyhow::Result<()> {
    let is_served = has_python(shell, python);
    ensure!(is_served, "{python} is no Python from 3.9 on");
    let maturin = maturin(shell, python)?;
    let dist = root().join(OUT).join("dist");
    shell.remove_path(&dist)?;
    let wheel = build(shell, &maturin, Build::Release, &dist)?;
    let sdist = cmd!(
        shell,
        "{maturin} sdist --manifest-path {CRATE}/Cargo.toml --out {dist}"
    );
    sdist.quiet().ignore_stderr().run()?;
    let installed = environment(shell, python, "installed")?;
    pip_install(shell, &installed, &["--no-index"], &wheel)?;
    session(shell, &installed)?;
    let wheel_and_tests = format!("{}[test]", wheel.display());
    pip_install(shell, &installed, &[], Path::new(&wheel_and_tests))?;
    cmd!(shell, "{installed} -m pytest --quiet {CRATE}/tests").run()?;
    run_torch_tests(shell, python, &installed)?;
    check_sdist(shell, python, &dist)?;
    for archive in shell.read_dir(&dist)? {
        say(&relative(&archive));
    }
    Ok(())
}

/// Builds a wheel, installs it into an empty environment and runs the session of its README, if the
/// machine has what that takes.
pub(crate) fn check(shell: &Shell) -> anyhow::Result<()> {
    let python = "python3";
    if !has_python(shell, python) {
        say("the wheel is not built: there is no Python from 3.9 on");
        return Ok(());
    }
    let Ok(maturin) = maturin(shell, python) else {
        say("the wheel is not built: maturin is not there and cannot be fetched");
        return Ok(());
    };
    let out = root().join(OUT).join("check");
    shell.remove_path(&out)?;
    let wheel = build(shell, &maturin, Build::Quick, &out)?;
    let installed = environment(shell, python, "check-installed")?;
    pip_install(shell, &installed, &["--no-index"], &wheel)?;
    session(shell, &installed)
}

pub(crate) fn has_python(shell: &Shell, python: &str) -> bool {
    let served = cmd!(shell, "{python} -c {IS_SERVED}").quiet();
    served.ignore_stdout().ignore_stderr().run().is_ok()
}

/// Returns the path of maturin, which is fetched if it was not before.
pub(crate) fn maturin(shell: &Shell, python: &str) -> anyhow::Result<PathBuf> {
    let tools = root().join(OUT).join("tools");
    let maturin = tools.join("bin/maturin");
    let answers = || cmd!(shell, "{maturin} --version").quiet().ignore_stdout();
    if maturin.exists() && answers().run().is_ok() {
        return Ok(maturin);
    }
    let pip = environment(shell, python, "tools")?;
    let patience = ["--timeout", "10", "--retries", "1"];
    let fetched = pip_install(shell, &pip, &patience, Path::new("maturin>=1.8,<2"));
    fetched.context("maturin cannot be fetched")?;
    Ok(maturin)
}

/// Makes an empty environment and returns its interpreter.
pub(crate) fn environment(shell: &Shell, python: &str, name: &str) -> anyhow::Result<PathBuf> {
    let directory = root().join(OUT).join(name);
    let make = cmd!(shell, "{python} -m venv --clear {directory}");
    make.quiet().run()?;
    Ok(directory.join("bin/python"))
}

/// Builds the wheel into an empty directory and returns its path.
pub(crate) fn build(
    shell: &Shell,
    maturin: &Path,
    build: Build,
    out: &Path,
) -> anyhow::Result<PathBuf> {
    let profile: &[&str] = match build {
        Build::Release => &["--release"],
        Build::Quick => &["--profile", "dev", "--target-dir", "target"],
    };
    let build = cmd!(
        shell,
        "{maturin} build --quiet --locked {profile...} --out {out}"
    );
    let build = build
        .arg("--manifest-path")
        .arg(format!("{CRATE}/Cargo.toml"));
    build.quiet().run()?;
    archive(shell, out, "whl")
}

/// Returns the one file of a directory with an extension.
pub(crate) fn archive(shell: &Shell, directory: &Path, extension: &str) -> anyhow::Result<PathBuf> {
    let archives = shell.read_dir(directory)?.into_iter();
    let mut archives = archives.filter(|path| path.extension().is_some_and(|own| own == extension));
    let archive = archives.next();
    archive.with_context(|| format!("{} has no .{extension}", relative(directory)))
}

/// Installs what an archive or a requirement names into the environment of an interpreter.
pub(crate) fn pip_install(
    shell: &Shell,
    python: &Path,
    options: &[&str],
    what: &Path,
) -> anyhow::Result<()> {
    let install = cmd!(
        shell,
        "{python} -m pip install --quiet --disable-pip-version-check"
    );
    Ok(install.args(options).arg(what).quiet().run()?)
}

fn session(shell: &Shell, python: &Path) -> anyhow::Result<()> {
    let session = cmd!(shell, "{python} {CRATE}/tests/session.py");
    Ok(session.quiet().ignore_stdout().run()?)
}

/// Runs the tests that need `PyTorch`, where the interpreter of the system has it and the others have not.
fn run_torch_tests(shell: &Shell, python: &str, installed: &Path) -> anyhow::Result<()> {
    let version = "import sys; print(sys.version_info[:2])";
    let version_of = |python: &Path| cmd!(shell, "{python} -c {version}").quiet().read();
    let of_system = Path::new("/usr/bin/python3");
    let has_torch = cmd!(shell, "{of_system} -c {TORCH_IMPORT}").quiet();
    let is_same = version_of(of_system).ok() == version_of(installed).ok();
    if !is_same || has_torch.ignore_stderr().run().is_err() {
        let system = of_system.display();
        say(&format!(
            "tests with PyTorch do not run: {system} has none for {python}"
        ));
        return Ok(());
    }
    let packages = "import sysconfig; print(sysconfig.get_paths()['purelib'])";
    let packages = cmd!(shell, "{installed} -c {packages}").quiet().read()?;
    let _path = shell.push_env("PYTHONPATH", packages);
    let options = [
        "--quiet",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
        "-k",
        TORCH_TESTS,
    ];
    Ok(cmd!(shell, "{of_system} -m pytest {options...} {CRATE}/tests").run()?)
}

/// Builds the package from its source archive in an environment of its own, and runs the session.
fn check_sdist(shell: &Shell, python: &str, dist: &Path) -> anyhow::Result<()> {
    let sdist = archive(shell, dist, "gz")?;
    let built = environment(shell, python, "from-sdist")?;
    let _target = shell.push_env("CARGO_TARGET_DIR", root().join(OUT).join("sdist-target"));
    let installed = pip_install(shell, &built, &["--no-deps"], &sdist);
    installed.context("the source archive does not build")?;
    session(shell, &built)
}
