//! A program moves from the original to this crate by one line of its
//! manifest: the example is built and run as a package outside the workspace,
//! with each of the two lines. A program that depends on the original by way
//! of another package moves by a patch.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

const PROGRAM: &str = include_str!("../examples/page_pool.rs");

/// A package that others depend on, and that depends on the original.
const BETWEEN: &str = "\
pub fn largest_request(size: u32, request: u32) -> Option<u32> {
    let mut allocator: offset_allocator::Allocator = offset_allocator::Allocator::new(size);
    let block = allocator.allocate(request)?;
    Some(allocator.allocation_size(block))
}
";

/// A program that depends on that one only. Of 699,050 units, 664,908 are
/// refused by the original, because they are no bin's size.
const INDIRECT: &str = "\
fn main() {
    println!(\"served {}\", between::largest_request(699_050, 664_908).unwrap_or(0));
}
";

const GUIDE: &str = include_str!("../../../docs/guides/migrating-from-offset-allocator.md");

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes a package whose only source is `source`.
fn write_package(folder: &Path, name: &str, source: (&str, &str), rest: &str) {
    let manifest =
        format!("[package]\nname = {name:?}\nedition = \"2021\"\n\n[dependencies]\n{rest}\n");
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("src").join(source.0), source.1).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
}

/// Builds and runs a package with the versions that the workspace has fetched,
/// and returns what it prints.
fn run_package(folder: &Path) -> String {
    // What of the lock file is not needed is left out.
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("manifest"))
        .current_dir(folder)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("was not used"), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Builds and runs the program with `dependency` as the line of its manifest,
/// and returns what it prints.
fn run(dependency: &str) -> String {
    let package = tempfile::tempdir().unwrap();
    let rest = format!("{dependency}\n\n[workspace]");
    write_package(package.path(), "program", ("main.rs", PROGRAM), &rest);
    run_package(package.path())
}

/// Builds and runs the indirect user with `patch` at the end of its manifest.
fn run_indirect(patch: &str) -> String {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let between = folder.path().join("between");
    write_package(
        &between,
        "between",
        ("lib.rs", BETWEEN),
        "offset-allocator = \"0.2\"",
    );
    let rest = format!("between = {{ path = \"between\" }}\n\n[workspace]\n\n{patch}");
    write_package(folder.path(), "indirect", ("main.rs", INDIRECT), &rest);
    run_package(folder.path())
}

/// Returns the number behind `name` in the output of the program.
fn number(output: &str, name: &str) -> u32 {
    let line = output.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn one_line_of_the_manifest_moves_a_program() {
    let original = run("offset-allocator = \"0.2\"");
    let path = env!("CARGO_MANIFEST_DIR");
    let ours = run(&format!(
        "offset-allocator = {{ package = \"mc-offset-compat\", path = {path:?} }}"
    ));
    for (name, is_more) in [("live units", true), ("objects", true), ("evicted", false)] {
        let (ours, original) = (number(&ours, name), number(&original, name));
        assert_eq!(ours > original, is_more, "{name}: {ours}, was {original}");
    }
}

#[test]
fn a_patch_moves_a_program_that_depends_on_the_original_indirectly() {
    assert_eq!(run_indirect(""), "served 0\n");
    let lines = GUIDE
        .split("```")
        .find(|block| block.contains("[patch.crates-io]"))
        .expect("the guide has the lines")
        .trim_start_matches("toml");
    let path = workspace().join("compat/offset-allocator");
    let patch = lines.replace("…/compat/offset-allocator", path.to_str().unwrap());
    assert!(patch.contains(path.to_str().unwrap()), "{patch}");
    assert_eq!(run_indirect(&patch), "served 664908\n");
}
