//! Programs that may be missing.

use xshell::{Shell, cmd};

use crate::workspace::say;

/// Says whether a tool answers, and if not, what does not run without it.
pub(crate) fn has_tool(shell: &Shell, tool: &str, programs: &str) -> bool {
    let answers = cmd!(shell, "{tool} --version")
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run();
    if answers.is_err() {
        say(&format!("{programs} do not run: there is no {tool}"));
    }
    answers.is_ok()
}
