//! `cargo xtask cluster`: nodes, clients and etcd as processes that are killed and frozen.

use std::path::PathBuf;

use xshell::{Shell, cmd};

use crate::debian;
use crate::workspace::{say, shell};

/// Runs the drill with a fixed list of members, and with etcd where it can be had.
pub(crate) fn run(kills: u32, seed: u64) -> anyhow::Result<()> {
    let shell = shell()?;
    drill(&shell, kills, seed, None)?;
    match debian::program(&shell, "etcd-server", "usr/bin/etcd") {
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
