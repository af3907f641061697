//! The step "other systems" of `cargo xtask ci`: the crates compile where they say so, beside x86-64 Linux.
//!
//! They are checked and not run. Each system needs its standard library, which rustup has and does not fetch
//! by itself; one line names the systems that are not checked without it.

use std::path::Path;

use xshell::{Shell, cmd};

use crate::workspace::{cargo, say};

/// What has to compile on 64-bit Linux, whatever the processor.
const LINUX_64: &str =
    "--package mc-offset --package mc-arena --package mc-segment --package mc-store";

/// What has to compile everywhere. There mc-arena has no values, and says `Unsupported` when one is asked for.
const EVERYWHERE: &str = "--package mc-offset --package mc-arena";

/// The systems, one for each reason why something could be missing, and what is checked for them.
const SYSTEMS: &[(&str, &str)] = &[
    // Another processor.
    ("aarch64-unknown-linux-gnu", LINUX_64),
    // Linux with addresses of 32 bits.
    ("i686-unknown-linux-gnu", EVERYWHERE),
    // Unix, but not Linux.
    ("aarch64-apple-darwin", EVERYWHERE),
    // Neither of both.
    ("x86_64-pc-windows-gnu", EVERYWHERE),
];

pub(crate) fn check(shell: &Shell) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for &(system, packages) in SYSTEMS {
        if has_standard_library(shell, system)? {
            let check = format!("check --locked --quiet --target {system} {packages}");
            cargo(shell, &format!("{check} --all-features"))?;
        } else {
            missing.push(system);
        }
    }
    if !missing.is_empty() {
        let missing = missing.join(" ");
        let add = "`rustup target add` installs their standard libraries";
        say(&format!("not checked: {missing}; {add}"));
    }
    Ok(())
}

fn has_standard_library(shell: &Shell, system: &str) -> anyhow::Result<bool> {
    let directory = cmd!(shell, "rustc --print target-libdir --target {system}");
    let directory = directory.quiet().read()?;
    Ok(Path::new(&directory).exists())
}
