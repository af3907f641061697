//! A program moves from the original to this crate by one line of its
//! manifest: the example is built and run as a package outside the workspace,
//! with each of the two lines.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{env, fs, path::Path, process::Command};

const PROGRAM: &str = include_str!("../examples/page_pool.rs");

/// Builds and runs the program with `dependency` as the line of its manifest,
/// and returns what it prints.
fn run(dependency: &str) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let package = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"program\"\nedition = \"2021\"\n\n[dependencies]\n{dependency}\n\n[workspace]\n"
    );
    fs::create_dir(package.path().join("src")).unwrap();
    fs::write(package.path().join("src/main.rs"), PROGRAM).unwrap();
    fs::write(package.path().join("Cargo.toml"), manifest).unwrap();
    // The versions that the workspace has fetched; what is not needed is left out.
    fs::copy(
        workspace.join("Cargo.lock"),
        package.path().join("Cargo.lock"),
    )
    .unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("manifest"))
        .current_dir(package.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{dependency}: {errors}");
    String::from_utf8(output.stdout).unwrap()
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
