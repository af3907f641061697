//! Contract of the environment: the process-wide buffers of a process whose variables hold anything.
//!
//! Claims: a value that is not accepted is an error that names the variable and what it accepts, at every
//! request, and maps nothing; one that is accepted means what the documentation says, whatever the others
//! hold.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    process::Command,
};

use mc_arena::{
    buffers,
    config::{DISABLE_VARIABLE, HUGEPAGE_SIZE_VARIABLE, POOL_SIZE_VARIABLE, USE_HUGEPAGE_VARIABLE},
};

/// Returns what a process with these variables says of its first two requests.
#[track_caller]
fn outcome(variables: &[(&str, &OsStr)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--ignored",
        "--exact",
        "environment::requests",
        "--nocapture",
    ]);
    for name in [
        POOL_SIZE_VARIABLE,
        DISABLE_VARIABLE,
        USE_HUGEPAGE_VARIABLE,
        HUGEPAGE_SIZE_VARIABLE,
    ] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let (_, said) = stdout.split_once("outcome: ").unwrap();
    said.lines().next().unwrap().to_owned()
}

#[test]
#[ignore = "runs in the processes that the other tests of this file start"]
fn requests() {
    let describe = || match buffers::allocate(1000, 64) {
        Ok(buffer) => format!("arena {}", buffer.is_from_arena()),
        Err(error) => error.to_string(),
    };
    let first = describe();
    assert_eq!(describe(), first, "the second request");
    println!("outcome: {first}");
}

#[track_caller]
fn check_refused(variable: &str, value: &OsStr, shown: &str) {
    let said = outcome(&[(variable, value)]);
    assert!(said.starts_with(&format!("{variable}={shown}")), "{said}");
    assert!(said.contains("is not accepted: use "), "{said}");
    assert!(said.len() < 500, "{} bytes of message", said.len());
}

#[test]
fn values_that_are_no_text_are_refused() {
    for variable in [
        POOL_SIZE_VARIABLE,
        DISABLE_VARIABLE,
        USE_HUGEPAGE_VARIABLE,
        HUGEPAGE_SIZE_VARIABLE,
    ] {
        check_refused(variable, OsStr::from_bytes(b"8gb\xff"), "\"8gb\u{fffd}\"");
        check_refused(variable, OsStr::new("8\n0"), "\"8\\n0\"");
    }
}

#[test]
fn huge_values_are_refused_in_few_words() {
    // Close to the longest string that a process can be given.
    let digits: OsString = "9".repeat(100_000).into();
    for variable in [POOL_SIZE_VARIABLE, DISABLE_VARIABLE] {
        check_refused(variable, &digits, "\"99999");
    }
}

#[track_caller]
fn check(variables: &[(&str, &str)], expected: &str) {
    let variables: Vec<_> = variables
        .iter()
        .map(|&(name, value)| (name, OsStr::new(value)))
        .collect();
    assert_eq!(outcome(&variables), expected, "{variables:?}");
}

#[test]
fn empty_values_count_as_unset() {
    check(&[], "arena false");
    let empty = [
        (POOL_SIZE_VARIABLE, ""),
        (DISABLE_VARIABLE, " "),
        (USE_HUGEPAGE_VARIABLE, ""),
        (HUGEPAGE_SIZE_VARIABLE, "\t"),
    ];
    check(&empty, "arena false");
    check(
        &[(POOL_SIZE_VARIABLE, "4mb"), (DISABLE_VARIABLE, "")],
        "arena true",
    );
}

#[test]
fn contradictions_are_settled_as_documented() {
    // Off wins over a size.
    check(
        &[(POOL_SIZE_VARIABLE, "4mb"), (DISABLE_VARIABLE, "1")],
        "arena false",
    );
    // A size of huge pages is no wish for them.
    let no_huge_pages = [
        (POOL_SIZE_VARIABLE, "4mb"),
        (USE_HUGEPAGE_VARIABLE, "0"),
        (HUGEPAGE_SIZE_VARIABLE, "1gb"),
    ];
    check(&no_huge_pages, "arena true");
    // What is switched off is read all the same.
    let said = outcome(&[
        (POOL_SIZE_VARIABLE, OsStr::new("4 mobs")),
        (DISABLE_VARIABLE, OsStr::new("1")),
    ]);
    assert!(
        said.starts_with("MC_MMAP_ARENA_POOL_SIZE=\"4 mobs\""),
        "{said}"
    );
}
