//! The example, run as a process of its own twice: the second one starts from
//! what the first one left.
//!
//! This program is the example when its first argument is a directory.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

#[path = "../examples/store.rs"]
mod store;

use std::{env, path::Path, process::Command};

fn main() {
    let directory = env::args_os().nth(1);
    match directory {
        Some(directory) if Path::new(&directory).is_dir() => store::main().unwrap(),
        _ => a_second_process_finds_what_the_first_one_stored(),
    }
}

/// Returns what the example prints.
fn run(directory: &Path) -> String {
    let this = env::current_exe().unwrap();
    let output = Command::new(this).arg(directory).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the number before some words.
fn number(text: &str, words: &str) -> u64 {
    let before = text.split(words).next().unwrap();
    before
        .split_whitespace()
        .next_back()
        .unwrap()
        .parse()
        .unwrap()
}

fn a_second_process_finds_what_the_first_one_stored() {
    let directory = tempfile::tempdir().unwrap();
    let first = run(directory.path());
    let second = run(directory.path());
    let saved = number(&first, " objects\n");
    assert!(number(&first, " bytes for") > 0, "{first}");
    assert!(!second.contains("dropped"), "{second}");
    let told = format!("restored {saved} objects, checked {saved}");
    assert!(saved > 0 && second.contains(&told), "{first}{second}");
}
