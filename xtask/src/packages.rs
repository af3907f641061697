//! The crates as others get them: every set of features, and the archives that a registry takes.

use anyhow::ensure;
use cargo_metadata::Package;
use xshell::{Shell, cmd};

use crate::workspace::{cargo, metadata, say};

/// Files that every published archive holds.
const NEEDED_FILES: [&str; 3] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// What is done with an archive once it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archive {
    /// Its contents are looked at.
    List,
    /// It is unpacked and built, against the archives of the others and not against the workspace.
    Build,
}

/// Lints every crate without features and with each feature alone.
///
/// A crate with other features is another program.
pub(crate) fn lint_feature_sets(shell: &Shell) -> anyhow::Result<()> {
    for package in published()? {
        let name = package.name.as_str();
        let mut sets = vec![String::new()];
        let features = package.features.keys().filter(|name| *name != "default");
        sets.extend(features.map(|feature| format!(" --features {feature}")));
        for set in sets {
            let linted = format!("--package {name} --no-default-features{set}");
            let lint = format!("clippy --locked --quiet {linted} -- --deny warnings");
            cargo(shell, &lint)?;
        }
    }
    Ok(())
}

/// Writes the archive of every crate and checks what is in it.
///
/// All in one call, because cargo then finds the crates that are not in any registry among the archives.
pub(crate) fn package(shell: &Shell, archive: Archive) -> anyhow::Result<()> {
    let packages = published()?;
    let names = packages.iter();
    let names: String = names
        .map(|package| format!(" --package {}", package.name))
        .collect();
    let options = match archive {
        Archive::List => " --no-verify --offline",
        Archive::Build => "",
    };
    cargo(
        shell,
        &format!("package --quiet --allow-dirty{options}{names}"),
    )?;
    for package in &packages {
        check_files(shell, package)?;
    }
    say(&format!("{} archives written", packages.len()));
    Ok(())
}

fn check_files(shell: &Shell, package: &Package) -> anyhow::Result<()> {
    let name = package.name.as_str();
    let options = ["--locked", "--quiet", "--allow-dirty", "--list"];
    let list = cmd!(shell, "cargo package {options...} --package {name}");
    let list = list.quiet().read()?;
    for file in NEEDED_FILES {
        let is_packed = list.lines().any(|line| line == file);
        ensure!(is_packed, "the archive of {name} has no {file}");
    }
    Ok(())
}

/// Returns the members of the workspace that are meant for a registry.
pub(crate) fn published() -> anyhow::Result<Vec<Package>> {
    let metadata = metadata()?;
    let mut packages: Vec<Package> = metadata.workspace_packages().into_iter().cloned().collect();
    packages.retain(|package| package.publish.as_ref().is_none_or(|to| !to.is_empty()));
    Ok(packages)
}
