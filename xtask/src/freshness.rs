//! Whether the times in `docs/data` are of the code that is there: the commit that each document records, against what
//! has changed since in the crates that its workload times.

use anyhow::ensure;
use xshell::{Shell, cmd};

use crate::data::Data;
use crate::workspace::{answers, root, say};

/// Crates whose changes no time waits for: what measures and reports.
const MAY_BE_NEWER: [&str; 1] = ["mc-bench"];

/// Lines of a crate that may have changed since: a name or an attribute that is mended does not wait for a quarter of an
/// hour of measuring.
const LINES_MAX: usize = 16;

/// Fails, naming documents and crates, if more than a few lines of timed code have changed since it was
/// measured.
pub(crate) fn check(shell: &Shell) -> anyhow::Result<()> {
    let data = Data::read(&root().join("docs/data"))?;
    let mut faults = Vec::new();
    for (workload, document) in &data.documents {
        let (name, commit) = (workload.name, &document.machine.commit);
        if !has_commit(shell, commit) {
            let reason = format!("this clone has no commit {commit}");
            say(&format!("docs/data/{name}.json is not checked: {reason}"));
            continue;
        }
        let timed = workload.times.iter();
        for package in timed.filter(|one| !MAY_BE_NEWER.contains(one)) {
            let lines = lines_changed(shell, commit, package)?;
            if lines > LINES_MAX {
                faults.push(format!("docs/data/{name}.json is of {commit}; {package} has changed since, by {lines} lines"));
            }
        }
    }
    faults.iter().for_each(|fault| say(fault));
    ensure!(
        faults.is_empty(),
        "{} times are older than what they time; run `cargo xtask bench`",
        faults.len()
    );
    Ok(())
}

fn has_commit(shell: &Shell, commit: &str) -> bool {
    !commit.is_empty() && answers(shell, &format!("git cat-file -e {commit}^{{commit}}"))
}

/// Returns how many lines of a crate were added and taken away since a commit, without those that are not timed.
fn lines_changed(shell: &Shell, commit: &str, package: &str) -> anyhow::Result<usize> {
    let (path, tests) = (format!("crates/{package}/src"), ":(exclude)*tests*");
    let diff = cmd!(shell, "git diff --unified=0 {commit} -- {path} {tests}").quiet();
    Ok(diff.read()?.lines().filter(|line| is_code(line)).count())
}

/// Says whether a line of a diff adds or takes away more than a comment.
fn is_code(line: &str) -> bool {
    let is_file = line.starts_with("+++") || line.starts_with("---");
    let changed = line.strip_prefix(['+', '-']).map(str::trim);
    !is_file && changed.is_some_and(|text| !text.is_empty() && !text.starts_with("//"))
}

#[cfg(test)]
mod tests {
    use mc_bench::workload::WORKLOADS;

    use super::*;
    use crate::workspace::shell;

    #[test]
    fn comments_and_what_surrounds_a_change_are_no_code() {
        let table = [
            ("+    let a = 1;", true),
            ("-}", true),
            ("+    /// A comment.", false),
            ("-", false),
            ("+++ b/crates/mc-offset/src/lib.rs", false),
            ("@@ -1 +1 @@ fn a() {", false),
        ];
        for (line, expected) in table {
            assert_eq!(is_code(line), expected, "{line}");
        }
    }

    #[test]
    fn a_commit_that_is_not_there_is_no_fault() {
        let shell = shell().unwrap();
        assert!(!has_commit(&shell, "0000000000ff") && !has_commit(&shell, ""));
    }

    #[test]
    fn every_timed_crate_is_in_the_workspace() {
        for package in WORKLOADS.iter().flat_map(|workload| workload.times) {
            assert!(root().join("crates").join(package).is_dir(), "{package}");
        }
    }
}
