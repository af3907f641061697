//! `cargo xtask simulate`: scenes of many nodes and clients in one thread.

use xshell::cmd;

use crate::workspace::shell;

/// Plays so many scenes; it fails where a promise is broken.
pub(crate) fn run(seeds: u32, nodes: u32, objects: u32) -> anyhow::Result<()> {
    let [seeds, nodes, objects] = [seeds, nodes, objects].map(|number| number.to_string());
    let shell = shell()?;
    cmd!(
        shell,
        "cargo run --locked --quiet --release --package mc-cluster --features simulation --example simulate -- {seeds} {nodes} {objects}"
    )
    .run()
    .map_err(Into::into)
}
