//! `cargo xtask semver`: what of the public interfaces has changed since a revision.
//!
//! Every change that could break a user is named, whatever the versions say; it is a report and refuses nothing.

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::packages::published;
use crate::workspace::{answers, say};

/// Reports on every published library that the revision has too.
pub(crate) fn run(shell: &Shell, since: &str) -> anyhow::Result<()> {
    ensure!(
        answers(shell, "cargo semver-checks --version"),
        "the report needs `cargo install cargo-semver-checks`"
    );
    let mut reported = 0;
    for package in published()? {
        let name = package.name.as_str();
        let manifest = format!("{since}:crates/{name}/Cargo.toml");
        if !answers(shell, &format!("git cat-file -e {manifest}")) {
            say(&format!("{name} is new since {since}"));
            continue;
        }
        say(&format!("== {name}\n{}", compare(shell, name, since)?));
        reported += 1;
    }
    ensure!(reported > 0, "{since} has none of the libraries");
    Ok(())
}

/// Returns the report on one library: the summary, which is the last but one line of the progress, and what
/// has changed. The status of the tool does not tell changes from a library that does not build.
fn compare(shell: &Shell, name: &str, since: &str) -> anyhow::Result<String> {
    // As for a release that must break nothing, so that nothing is left out.
    let options = ["--all-features", "--release-type", "minor"];
    let compare = cmd!(
        shell,
        "cargo semver-checks --package {name} --baseline-rev {since}"
    );
    let result = compare.args(options).quiet().ignore_status().output()?;
    let progress = String::from_utf8_lossy(&result.stderr);
    let summary = progress.lines().find(|line| line.contains("Summary"));
    let summary = summary.with_context(|| format!("{name} cannot be compared: {progress}"))?;
    let changes = String::from_utf8_lossy(&result.stdout);
    Ok(format!("{}\n{changes}", summary.trim()))
}
