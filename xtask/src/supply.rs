//! What the workspace depends on: licences, bans and sources, by the rules of `deny.toml`.

use xshell::Shell;

use crate::workspace::{cargo, has_tool};

/// Has cargo-deny check the dependencies. Building it takes longer than all other checks: where it is not installed, a
/// line says so. Advisories need the network and are left to `cargo deny check advisories`.
pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    if !has_tool(shell, "cargo-deny", "checks of licences and sources") {
        return Ok(());
    }
    let checks = "check licenses bans sources";
    cargo(
        shell,
        &format!("deny --log-level error --offline --locked {checks}"),
    )
}
