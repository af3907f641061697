//! `cargo xtask boundary`: what allocating through the C++ handle costs above the same in Rust.
//!
//! The two programs `examples/boundary.rs` and `examples/boundary.cpp` of mc-capi take turns, and their
//! checksums have to agree. An operation is an allocation, a free, and as many refusals as the workload
//! meets; what refusals cost is measured alone as well, so that the rest can be told. The least of the
//! turns is what a busy machine disturbs least.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::workspace::{root, say, shell};

/// Times each program runs.
const TURNS: usize = 5;

/// The row of refusals alone.
const REFUSAL: &str = "refusal";

/// What a program printed, by workload.
type Measured = BTreeMap<String, Workload>;

#[derive(Default)]
struct Workload {
    /// Processor time of an operation in every turn.
    nanoseconds: Vec<f64>,
    refusals_per_operation: f64,
    checksum: String,
}

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
    let refusal = |of: &Measured| of.get(REFUSAL).map(Workload::figures);
    let refusal_rust = refusal(&of_rust).context("the row of refusals is missing")?;
    let refusal_cpp = refusal(&of_cpp).context("the row of refusals is missing")?;
    say("ns per operation              median, C++ more          least, C++ more");
    say("workload            Rust    whole  - refusals    Rust    whole  - refusals");
    for (name, rust) in &of_rust {
        let cpp = of_cpp.get(name).context("a workload is missing")?;
        ensure!(
            rust.checksum == cpp.checksum,
            "{name}: the programs made different decisions"
        );
        let columns = [0, 1].map(|at| {
            let rust_time = rust.figures()[at];
            let more = cpp.figures()[at] - rust_time;
            let refusals = rust.refusals_per_operation * (refusal_cpp[at] - refusal_rust[at]);
            format!("{rust_time:>8.1}{more:>9.1}{:>12.1}", more - refusals)
        });
        say(&format!("{name:<16}{}", columns.concat()));
    }
    Ok(())
}

/// Runs a program once and adds what it prints: workload, nanoseconds and refusals of an operation,
/// checksum.
fn measure(
    shell: &Shell,
    program: &std::path::Path,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let output = cmd!(shell, "{program}").quiet().read()?;
    for line in output.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let &[workload, nanoseconds, refusals, checksum] = fields.as_slice() else {
            anyhow::bail!("{} printed {line:?}", program.display());
        };
        let entry = measured.entry(workload.to_owned()).or_default();
        entry.nanoseconds.push(nanoseconds.parse()?);
        entry.refusals_per_operation = refusals.parse()?;
        checksum.clone_into(&mut entry.checksum);
    }
    Ok(())
}

impl Workload {
    /// Returns the median of the turns, and the least.
    fn figures(&self) -> [f64; 2] {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        [sorted[sorted.len() / 2], sorted[0]]
    }
}
