//! Development tasks of the workspace: `cargo xtask bench | page | ci | tidy | fuzz | native | dist |
//! boundary`.

mod bench;
mod boundary;
mod ci;
mod data;
mod dist;
mod figures;
mod fuzz;
mod hugepages;
mod native;
mod page;
mod tidy;
mod workspace;

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Parser;

/// Development tasks of the workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Measure every workload and regenerate data, figures and page
    Bench {
        /// Run fewer operations on smaller pools, into target/bench-quick
        #[arg(long)]
        quick: bool,
        /// Measure only this workload, repeatable; the other data stay as they are
        #[arg(long = "workload", value_name = "NAME")]
        workloads: Vec<String>,
        /// Write here instead of docs or target/bench-quick
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Regenerate figures, page and headline from the data
    Page {
        /// Directory of data, figures and page instead of docs
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Check everything: format, lints, tests, docs, loom, tidy, benchmark smoke run
    Ci,
    /// Check what the compiler does not: module docs, banned words, dead references
    Tidy,
    /// Feed random operations and bytes to mc-offset (needs nightly and cargo-fuzz)
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value = "60")]
        seconds: NonZeroU32,
    },
    /// Compile and run the programs in C, C++ and Python
    Native,
    /// Assemble headers and libraries for C and C++ in target/dist
    Dist,
    /// Measure what the C++ handle costs above that of Rust
    Boundary,
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Bench {
            quick,
            workloads,
            out,
        } => bench::run(quick.into(), &workloads, out),
        Task::Page { out } => page::regenerate(out),
        Task::Ci => ci::run(),
        Task::Tidy => tidy::run(),
        Task::Fuzz { seconds } => fuzz::run(seconds),
        Task::Native => native::run(&workspace::shell()?),
        Task::Dist => dist::run(),
        Task::Boundary => boundary::run(),
    }
}
