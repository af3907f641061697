//! Long runs of things that go wrong: kills of processes, scenes of many nodes, random programs on all layers.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use xshell::{Shell, cmd};

use crate::debian;
use crate::workspace::{cargo, say};

/// `cargo xtask drill`: kills a process that uses a store, and looks at what is there then.
pub(crate) fn drill(shell: &Shell, kills: u32, seed: u64) -> anyhow::Result<()> {
    say(&format!("killing a process {kills} times from seed {seed}"));
    let example = "--locked --quiet --release --package mc-store --example drill";
    cargo(shell, &format!("run {example} -- {kills} {seed}"))
}

/// `cargo xtask cluster`: kills and freezes nodes, clients and etcd, with a fixed list of members, and with etcd where
/// it can be had.
pub(crate) fn cluster(shell: &Shell, kills: u32, seed: u64) -> anyhow::Result<()> {
    cluster_with(shell, kills, seed, None)?;
    match debian::program(shell, "etcd-server", "usr/bin/etcd") {
        Ok(etcd) => cluster_with(shell, kills, seed, Some(etcd)),
        Err(reason) => {
            say(&format!("the drill with etcd does not run: {reason:#}"));
            Ok(())
        }
    }
}

fn cluster_with(shell: &Shell, kills: u32, seed: u64, etcd: Option<PathBuf>) -> anyhow::Result<()> {
    let (kills, seed) = (kills.to_string(), seed.to_string());
    let drill = cmd!(
        shell,
        "cargo run --locked --quiet --release --package mc-cluster -- drill --kills {kills} --seed {seed}"
    );
    let etcd = etcd.map(|etcd| ["--etcd-program".into(), etcd]);
    Ok(drill.args(etcd.iter().flatten()).run()?)
}

/// `cargo xtask simulate`: plays so many scenes; it fails where a promise is broken.
pub(crate) fn simulate(shell: &Shell, scenes: [u32; 3]) -> anyhow::Result<()> {
    let example =
        "--locked --quiet --release --package mc-cluster --features simulation --example simulate";
    let [seeds, nodes, objects] = scenes;
    cargo(
        shell,
        &format!("run {example} -- {seeds} {nodes} {objects}"),
    )
}

/// `cargo xtask soak`: runs all layers with random configurations; without a seed the clock gives one.
pub(crate) fn soak(shell: &Shell, seconds: u64, seed: Option<u64>) -> anyhow::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = seed.unwrap_or(since.map_or(0, |since| since.as_secs()));
    say(&format!("soaking for {seconds} s from seed {seed}"));
    let soak = format!("soak --seconds {seconds} --seed {seed}");
    cargo(
        shell,
        &format!("run --locked --quiet --release --package mc-bench -- {soak}"),
    )
}
