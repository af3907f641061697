//! `cargo xtask tidy`: what has to hold in every file and no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::links;
use crate::page;
use crate::workspace::{root, say};

/// Lines beyond which a source file holds more than one concept.
const LINES_MAX: usize = 600;

/// Lines of the architecture document at most.
const ARCHITECTURE_LINES_MAX: usize = 600;

/// Words that mark unfinished work. Split, so that this file does not contain them.
const BANNED_WORDS: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
    concat!("dbg", "!("),
    concat!("todo", "!("),
];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Use", "rs/"),
];

/// Beginnings of the lines that a merge leaves where it could not decide.
const MERGE_MARKS: [&str; 2] = ["<<<<<<< ", ">>>>>>> "];

/// Extensions of the text files that are checked.
const TEXT: [&str; 11] = [
    "rs", "md", "toml", "sh", "py", "pyi", "c", "h", "cpp", "hpp", "yml",
];

/// Directories whose files have to be referred to by a document.
const ASSETS: [&str; 2] = ["docs/figures", "docs/data"];

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let files = tracked_files(shell)?;
    let mut faults = Vec::new();
    for path in &files {
        faults.extend(link_fault(&root(), path));
        // Bytes that are no text belong to figures and test inputs.
        if let Some(text) = read_text(path) {
            faults.extend(file_faults(path, &text));
        }
    }
    faults.extend(asset_faults(&files));
    faults.extend(page_faults()?);
    faults.iter().for_each(|fault| say(fault));
    ensure!(faults.is_empty(), "{} faults", faults.len());
    Ok(())
}

/// Returns the files of the repository, new ones included and ignored ones not.
fn tracked_files(shell: &Shell) -> anyhow::Result<Vec<PathBuf>> {
    let list = cmd!(shell, "git ls-files --cached --others --exclude-standard").quiet();
    let list = list.read().context("tidy needs the git repository")?;
    let mut files: Vec<PathBuf> = list.lines().map(PathBuf::from).collect();
    files.retain(|path| {
        let path = root().join(path);
        path.is_file() || path.is_symlink()
    });
    Ok(files)
}

/// Returns a fault if a path is a link to what a clone does not have.
fn link_fault(root: &Path, path: &Path) -> Option<String> {
    let target = fs::read_link(root.join(path)).ok()?;
    let is_inside = target.is_relative() && {
        let (root, found) = (root.canonicalize(), root.join(path).canonicalize());
        root.is_ok_and(|root| found.is_ok_and(|found| found.starts_with(root)))
    };
    let (name, target) = (path.display(), target.display());
    (!is_inside).then(|| format!("{name}: a link to {target}, which is not in the repository"))
}

fn read_text(path: &Path) -> Option<String> {
    let is_text = TEXT.iter().any(|extension| has_extension(path, extension));
    let text = is_text.then(|| fs::read_to_string(root().join(path)));
    text?.ok()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}

/// Returns what is wrong with one file.
fn file_faults(path: &Path, text: &str) -> Vec<String> {
    let name = path.display();
    let mut faults = Vec::new();
    let is_rust = has_extension(path, "rs");
    if is_rust && !text.starts_with("//!") && !text.starts_with("#!/") {
        faults.push(format!("{name}:1: no module documentation"));
    }
    let lines = text.lines().count();
    if is_rust && lines > LINES_MAX {
        faults.push(format!("{name}: {lines} lines, more than {LINES_MAX}"));
    }
    let most = ARCHITECTURE_LINES_MAX;
    if path.ends_with("ARCHITECTURE.md") && lines > most {
        faults.push(format!("{name}: {lines} lines, more than {most}"));
    }
    for (index, line) in text.lines().enumerate() {
        let words = BANNED_WORDS
            .iter()
            .chain(&MACHINE_PATHS)
            .filter(|word| line.contains(*word));
        faults.extend(words.map(|word| format!("{name}:{}: \"{word}\"", index + 1)));
        if line.ends_with([' ', '\t']) {
            faults.push(format!("{name}:{}: trailing space", index + 1));
        }
        if MERGE_MARKS.iter().any(|mark| line.starts_with(mark)) {
            faults.push(format!("{name}:{}: left by a merge", index + 1));
        }
    }
    if has_extension(path, "md") {
        faults.extend(links::faults(path, text));
    }
    faults
}

/// Returns a fault per figure or data file that no document refers to.
fn asset_faults(files: &[PathBuf]) -> Vec<String> {
    let documents = files.iter().filter(|path| has_extension(path, "md"));
    let documents: String = documents.filter_map(|path| read_text(path)).collect();
    let is_asset = |path: &&PathBuf| ASSETS.iter().any(|directory| path.starts_with(directory));
    let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    let assets = files.iter().filter(is_asset).filter_map(name);
    let dead = assets.filter(|asset| !documents.contains(asset.as_str()));
    dead.map(|asset| format!("no document refers to {asset}"))
        .collect()
}

/// Returns a fault per generated file that is not what the data give.
fn page_faults() -> anyhow::Result<Vec<String>> {
    let stale = page::stale_files()?;
    let fault = |name| format!("{name} is not what docs/data gives; run `cargo xtask page`");
    Ok(stale.into_iter().map(fault).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let faults = file_faults(Path::new(path), text);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn links_that_lead_out_of_the_repository_are_faults() {
        let root = std::env::temp_dir().join(format!("mc-tidy-{}", std::process::id()));
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let links = [
            ("a/in", "../file", false),
            ("a/out", "../../..", true),
            ("a/gone", "nothing", true),
            ("a/absolute", "/dev/null", true),
        ];
        for (path, target, is_fault) in links {
            std::os::unix::fs::symlink(target, root.join(path)).unwrap();
            let fault = link_fault(&root, Path::new(path));
            assert_eq!(fault.is_some(), is_fault, "{fault:?}");
        }
        assert_eq!(link_fault(&root, Path::new("file")), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn faults_name_file_line_and_word() {
        check("a.rs", "//! Documented.\nfn f() {}\n", &[]);
        check("a.rs", "fn f() {}\n", &["a.rs:1: no module documentation"]);
        let banned = format!("//! D.\n\n// {} it\n", BANNED_WORDS[0]);
        check("a.rs", &banned, &["a.rs:3"]);
        let of_a_machine = format!("p = \"{}x\"\n", MACHINE_PATHS[0]);
        check("a.toml", &of_a_machine, &["a.toml:1"]);
        let long = format!("//! D.\n{}", "\n".repeat(LINES_MAX));
        check("a.rs", &long, &["601 lines"]);
        check("a.md", "b \n", &["a.md:1: trailing space"]);
        check("a.md", "b\n<<<<<<< HEAD\nc\n", &["a.md:2: left by a merge"]);
    }
}
