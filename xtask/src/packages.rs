//! The crates as others get them: every set of features, and the archives that a registry takes.

use anyhow::ensure;
use cargo_metadata::Package;
use xshell::{Shell, cmd};

use crate::workspace::{metadata, say, shell};

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
        let mut sets = vec![Vec::new()];
        let features = package.features.keys().filter(|name| *name != "default");
        sets.extend(features.map(|feature| vec!["--features", feature]));
        for set in sets {
            cmd!(
                shell,
                "cargo clippy --locked --quiet --package {name} --no-default-features {set...} -- --deny warnings"
            )
            .run()?;
        }
    }
    Ok(())
}

/// Writes the archive of every crate and checks what is in it.
///
/// All in one call, because cargo then finds the crates that are not in any registry among the archives.
pub(crate) fn package(archive: Archive) -> anyhow::Result<()> {
    let shell = shell()?;
    let packages = published()?;
    let names: Vec<[&str; 2]> = packages
        .iter()
        .map(|package| ["--package", package.name.as_str()])
        .collect();
    let names = names.as_flattened();
    let options: &[&str] = match archive {
        Archive::List => &["--no-verify", "--offline"],
        Archive::Build => &[],
    };
    cmd!(
        shell,
        "cargo package --quiet --allow-dirty {options...} {names...}"
    )
    .run()?;
    for package in &packages {
        check_files(&shell, package)?;
    }
    say(&format!("{} archives written", packages.len()));
    Ok(())
}

fn check_files(shell: &Shell, package: &Package) -> anyhow::Result<()> {
    let name = package.name.as_str();
    let list = cmd!(
        shell,
        "cargo package --locked --quiet --allow-dirty --list --package {name}"
    )
    .quiet()
    .read()?;
    for file in NEEDED_FILES {
        let is_packed = list.lines().any(|line| line == file);
        ensure!(is_packed, "the archive of {name} has no {file}");
    }
    Ok(())
}

/// Returns the members of the workspace that are meant for a registry.
pub(crate) fn published() -> anyhow::Result<Vec<Package>> {
    let metadata = metadata()?;
    let is_published =
        |package: &&Package| package.publish.as_ref().is_none_or(|to| !to.is_empty());
    Ok(metadata
        .workspace_packages()
        .into_iter()
        .filter(is_published)
        .cloned()
        .collect())
}
