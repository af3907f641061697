//! `cargo xtask boundary`: what allocating through the C++ handle costs above the same in Rust.
//!
//! The two programs `examples/boundary.rs` and `examples/boundary.cpp` of mc-capi take turns; the
//! figures of a workload are the median and the least of each, and their checksums have to agree. The
//! least is what a busy machine disturbs least.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::workspace::{root, say, shell};

/// Times each program runs.
const TURNS: usize = 5;

/// Nanoseconds of processor time of every turn and the checksum, by workload.
type Measured = BTreeMap<String, (Vec<f64>, String)>;

pub(crate) fn run() -> anyhow::Result<()> {
    let shell = shell()?;
    cmd!(
        shell,
        "cargo build --quiet --release --package mc-capi --lib --example boundary --target-dir target"
    )
    .run()?;
    let (release, cpp) = (
        root().join("target/release"),
        root().join("target/boundary"),
    );
    cmd!(
        shell,
        "c++ -std=c++17 -O3 -I crates/mc-capi/include crates/mc-capi/examples/boundary.cpp -o {cpp}
         -L {release} -lmc_alloc -Wl,-rpath,{release}"
    )
    .quiet()
    .run()?;
    let rust = release.join("examples/boundary");
    let (mut of_rust, mut of_cpp) = (Measured::new(), Measured::new());
    for turn in 1..=TURNS {
        say(&format!("turn {turn} of {TURNS}"));
        measure(&shell, &rust, &mut of_rust)?;
        measure(&shell, &cpp, &mut of_cpp)?;
    }
    say("ns per operation       median              least");
    say("workload            Rust     C++   more     Rust     C++   more");
    for (workload, (rust, checksum)) in of_rust {
        let (cpp, checksum_cpp) = of_cpp.remove(&workload).context("a workload is missing")?;
        ensure!(
            checksum == checksum_cpp,
            "{workload}: the programs made different decisions"
        );
        let [rust, cpp] = [rust, cpp].map(median_and_least);
        let columns = |at: usize| {
            format!(
                "{:>8.1}{:>8.1}{:>7.1}",
                rust[at],
                cpp[at],
                cpp[at] - rust[at]
            )
        };
        say(&format!("{workload:<17}{} {}", columns(0), columns(1)));
    }
    Ok(())
}

/// Runs a program once and adds what it prints: workload, nanoseconds, checksum.
fn measure(
    shell: &Shell,
    program: &std::path::Path,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let output = cmd!(shell, "{program}").quiet().read()?;
    for line in output.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let &[workload, nanoseconds, checksum] = fields.as_slice() else {
            anyhow::bail!("{} printed {line:?}", program.display());
        };
        let entry = measured.entry(workload.to_owned()).or_default();
        entry.0.push(nanoseconds.parse()?);
        checksum.clone_into(&mut entry.1);
    }
    Ok(())
}

fn median_and_least(mut samples: Vec<f64>) -> [f64; 2] {
    samples.sort_unstable_by(f64::total_cmp);
    [samples[samples.len() / 2], samples[0]]
}
