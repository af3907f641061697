//! Where the workspace is, and what every task says to whoever runs it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};
use xshell::{Shell, cmd};

/// Returns the root of the workspace.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask
        .parent()
        .expect("xtask is a member of the workspace")
        .to_owned()
}

/// Returns a shell in the root of the workspace.
pub(crate) fn shell() -> anyhow::Result<Shell> {
    let shell = Shell::new()?;
    shell.change_dir(root());
    Ok(shell)
}

/// Runs cargo with arguments that have a space between two.
pub(crate) fn cargo(shell: &Shell, arguments: &str) -> anyhow::Result<()> {
    let arguments = arguments.split(' ');
    Ok(cmd!(shell, "cargo {arguments...}").run()?)
}

/// Says whether a command, of words with a space between two, ends well.
pub(crate) fn answers(shell: &Shell, command: &str) -> bool {
    let mut words = command.split(' ');
    let command = shell.cmd(words.next().unwrap_or_default()).args(words);
    let command = command.quiet().ignore_stdout().ignore_stderr();
    command.run().is_ok()
}

/// Says whether a tool answers, and if not, what does not run without it.
pub(crate) fn has_tool(shell: &Shell, tool: &str, programs: &str) -> bool {
    let answers = answers(shell, &format!("{tool} --version"));
    if !answers {
        say(&format!("{programs} do not run: there is no {tool}"));
    }
    answers
}

/// Returns what cargo knows of the workspace and of everything it depends on, with all features.
pub(crate) fn metadata() -> anyhow::Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.current_dir(root());
    command.features(CargoOpt::AllFeatures);
    command.exec().map_err(Into::into)
}

/// Returns a path as seen from the root of the workspace, for messages.
pub(crate) fn relative(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Writes a line to standard error; a closed one is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
