//! What the workspace depends on: licences, bans and sources, by the rules of `deny.toml`.

use xshell::{Shell, cmd};

use crate::workspace::say;

/// Has cargo-deny check the dependencies. Building it takes longer than all other checks: where it is not installed, a
/// line says so. Advisories need the network and are left to `cargo deny check advisories`.
pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let has_tool = cmd!(shell, "cargo deny --version").quiet();
    if has_tool.ignore_stdout().ignore_stderr().run().is_err() {
        say(
            "licences and sources of the dependencies are not checked: cargo-deny is not installed",
        );
        return Ok(());
    }
    let checks = ["licenses", "bans", "sources"];
    cmd!(
        shell,
        "cargo deny --log-level error --offline --locked check {checks...}"
    )
    .run()
    .map_err(Into::into)
}
