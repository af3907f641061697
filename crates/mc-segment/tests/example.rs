//! The example, run as a process of its own twice: the second one starts from
//! what the first one left.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{path::Path, process::Command};

/// Returns what the example prints.
fn run(directory: &Path) -> String {
    // Examples are built beside the directory of the test's own program.
    let test = std::env::current_exe().unwrap();
    let program = test
        .parent()
        .unwrap()
        .with_file_name("examples")
        .join("store");
    let output = Command::new(&program).arg(directory).output();
    let output = output.unwrap_or_else(|error| {
        let program = program.display();
        panic!("{program}: {error}; `cargo test --package mc-segment` builds it")
    });
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

#[test]
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
