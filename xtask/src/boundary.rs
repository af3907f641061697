//! `cargo xtask boundary`: what allocating and getting objects through C++ costs above the same in Rust.
//!
//! The two programs `examples/boundary.rs` and `examples/boundary.cpp` of mc-capi run in turns, workload by
//! workload, and their checksums have to agree. An operation is an allocation, a free, and as many refusals
//! as the workload meets, or a get of a stored object and its release; what a refusal costs is measured alone as well, so that the rest can be told. All
//! numbers are medians over the turns, those of differences too: what disturbs a machine for longer than a
//! turn disturbs both programs.

use std::path::Path;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::native::link_flags;
use crate::workspace::{cargo, root, say};

/// Times each program runs each workload.
const TURNS: usize = 25;

/// The workload of refusals alone: all others are told with and without what it finds.
const REFUSAL: &str = "refusal";
const WORKLOADS: [&str; 7] = [
    "uniform-16384",
    "uniform-32785",
    "uniform-524305",
    "uniform-33554415",
    "random",
    "paired",
    "get",
];

/// What one run of a program printed.
struct Run {
    /// Processor time of an operation.
    nanoseconds: f64,
    refusals_per_operation: f64,
    checksum: String,
}

/// Medians over all turns of a workload.
struct Compared {
    rust_nanoseconds: f64,
    /// What C++ takes more.
    more_nanoseconds: f64,
    refusals_per_operation: f64,
}

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let targets = "--lib --example boundary --target-dir target";
    let package = "--locked --quiet --release --package mc-capi";
    cargo(shell, &format!("build {package} {targets}"))?;
    let target = root().join("target");
    let (release, cpp) = (target.join("release"), target.join("boundary"));
    let link = link_flags(&release);
    cmd!(
        shell,
        "c++ -std=c++17 -O3 -I crates/mc-capi/include crates/mc-capi/examples/boundary.cpp -o {cpp} {link...}"
    )
    .quiet()
    .run()?;
    let rust = release.join("examples/boundary");
    let refusal = compare(shell, &rust, &cpp, REFUSAL)?.more_nanoseconds;
    say(&format!(
        "C++ - Rust of a refusal alone: {refusal:.1} ns; of an operation, in ns:"
    ));
    say("workload              Rust  C++ more  without refusals");
    for workload in WORKLOADS {
        let compared = compare(shell, &rust, &cpp, workload)?;
        let more = compared.more_nanoseconds;
        say(&format!(
            "{workload:<16}{:>10.1}{more:>10.1}{:>18.1}",
            compared.rust_nanoseconds,
            more - compared.refusals_per_operation * refusal,
        ));
    }
    Ok(())
}

fn compare(shell: &Shell, rust: &Path, cpp: &Path, workload: &str) -> anyhow::Result<Compared> {
    let (mut times, mut differences) = (Vec::new(), Vec::new());
    let mut refusals_per_operation = 0.0;
    for turn in 0..TURNS {
        // Each goes first in every other turn.
        let (of_rust, of_cpp) = if turn % 2 == 0 {
            let of_rust = measure(shell, rust, workload)?;
            (of_rust, measure(shell, cpp, workload)?)
        } else {
            let of_cpp = measure(shell, cpp, workload)?;
            (measure(shell, rust, workload)?, of_cpp)
        };
        ensure!(
            of_rust.checksum == of_cpp.checksum,
            "{workload}: the programs made different decisions"
        );
        times.push(of_rust.nanoseconds);
        differences.push(of_cpp.nanoseconds - of_rust.nanoseconds);
        refusals_per_operation = of_rust.refusals_per_operation;
    }
    Ok(Compared {
        rust_nanoseconds: median(times),
        more_nanoseconds: median(differences),
        refusals_per_operation,
    })
}

/// Runs a program once and returns what it prints.
fn measure(shell: &Shell, program: &Path, workload: &str) -> anyhow::Result<Run> {
    let output = cmd!(shell, "{program} {workload}").quiet().read()?;
    let fields: Vec<_> = output.split(' ').collect();
    let &[_, nanoseconds, refusals, checksum] = fields.as_slice() else {
        anyhow::bail!("{} printed {output:?}", program.display());
    };
    let number = |text: &str| {
        text.parse()
            .with_context(|| format!("{text:?} is no number"))
    };
    Ok(Run {
        nanoseconds: number(nanoseconds)?,
        refusals_per_operation: number(refusals)?,
        checksum: checksum.to_owned(),
    })
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}
