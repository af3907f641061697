//! Records which compiler and which commit the figures come from.

use std::process::Command;

fn main() {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo names the compiler to build scripts through this variable"
    )]
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version = version
        .map(|output| first_line(&output.stdout))
        .unwrap_or_default();
    println!("cargo::rustc-env=MC_BENCH_RUSTC={version}");

    println!(
        "cargo::rustc-env=MC_BENCH_COMMIT={}",
        git(&["rev-parse", "--short=12", "HEAD"])
    );
    println!("cargo::rerun-if-changed=build.rs");
    // The reflog grows with every commit and checkout. A missing path would force a rebuild each
    // time, so an export without a repository watches nothing.
    let reflog = git(&[
        "rev-parse",
        "--path-format=absolute",
        "--git-path",
        "logs/HEAD",
    ]);
    if !reflog.is_empty() && std::path::Path::new(&reflog).exists() {
        println!("cargo::rerun-if-changed={reflog}");
    }
}

/// Returns the first line that git prints, or nothing when there is no git or no repository.
fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).output();
    output
        .map(|output| first_line(&output.stdout))
        .unwrap_or_default()
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
