//! Programs of Debian's packages.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::workspace::root;

/// Returns a program such as `usr/bin/etcd`: the one that is installed, or that of a package, unpacked
/// without installing it, so that no service is started.
pub(crate) fn program(shell: &Shell, package: &str, program: &str) -> anyhow::Result<PathBuf> {
    let installed = PathBuf::from("/").join(program);
    if shell.path_exists(&installed) {
        return Ok(installed);
    }
    let directory = root().join("target").join(package);
    let unpacked = directory.join(program);
    if !shell.path_exists(&unpacked) {
        shell.create_dir(&directory)?;
        let _directory = shell.push_dir(&directory);
        let download = cmd!(shell, "apt-get download --quiet {package}");
        let download = download.quiet().ignore_stdout().ignore_stderr().run();
        download.with_context(|| {
            format!("{program} is not installed, and Debian's package {package} cannot be had")
        })?;
        let files = shell.read_dir(&directory)?;
        let is_package = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "deb");
        let file = files.iter().find(is_package);
        let file = file.with_context(|| format!("there is no package {package}"))?;
        let extract = cmd!(shell, "dpkg-deb --extract {file} {directory}");
        extract.quiet().run()?;
    }
    let is_there = shell.path_exists(&unpacked);
    ensure!(is_there, "the package {package} has no {program}");
    Ok(unpacked)
}
