//! `cargo xtask cluster`: nodes, clients and etcd as processes that are killed and frozen.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::workspace::{root, say, shell};

/// Where Debian's package has the program.
const ETCD: &str = "usr/bin/etcd";

/// Runs the drill with a fixed list of members, and with etcd where it can be had.
pub(crate) fn run(kills: u32, seed: u64) -> anyhow::Result<()> {
    let shell = shell()?;
    drill(&shell, kills, seed, None)?;
    match etcd(&shell) {
        Ok(etcd) => drill(&shell, kills, seed, Some(etcd)),
        Err(reason) => {
            say(&format!("the drill with etcd does not run: {reason:#}"));
            Ok(())
        }
    }
}

fn drill(shell: &Shell, kills: u32, seed: u64, etcd: Option<PathBuf>) -> anyhow::Result<()> {
    let (kills, seed) = (kills.to_string(), seed.to_string());
    let etcd = etcd.map(|etcd| ["--etcd-program".into(), etcd]);
    let etcd = etcd.iter().flatten();
    cmd!(
        shell,
        "cargo run --locked --quiet --release --package mc-cluster -- drill --kills {kills} --seed {seed} {etcd...}"
    )
    .run()?;
    Ok(())
}

/// Returns the program of etcd: the one that is installed, or Debian's, unpacked without installing it,
/// so that no service is started.
fn etcd(shell: &Shell) -> anyhow::Result<PathBuf> {
    let installed = PathBuf::from("/").join(ETCD);
    if shell.path_exists(&installed) {
        return Ok(installed);
    }
    let directory = root().join("target/etcd");
    let unpacked = directory.join(ETCD);
    if !shell.path_exists(&unpacked) {
        shell.create_dir(&directory)?;
        let _directory = shell.push_dir(&directory);
        let download = cmd!(shell, "apt-get download --quiet etcd-server").ignore_stdout();
        download
            .run()
            .context("etcd is not installed, and Debian's package cannot be had")?;
        let packages = shell.read_dir(&directory)?;
        let is_package = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "deb");
        let package = packages.iter().find(is_package);
        let package = package.context("there is no package of etcd")?;
        cmd!(shell, "dpkg-deb --extract {package} {directory}").run()?;
    }
    ensure!(
        shell.path_exists(&unpacked),
        "the package of etcd has no program"
    );
    Ok(unpacked)
}
