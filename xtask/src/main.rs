//! Development tasks of the workspace; `cargo xtask --help` lists them.

mod adopters;
mod bench;
mod boundary;
mod ci;
mod dashboard;
mod data;
mod debian;
mod deploy;
mod dist;
mod figures;
mod freshness;
mod fuzz;
mod hugepages;
mod links;
mod long;
mod mutants;
mod native;
mod nixl;
mod packages;
mod page;
mod regression;
mod report;
mod sbom;
mod semver;
mod simulators;
mod supply;
mod systems;
mod tidy;
mod upgrade;
mod wheel;
mod workspace;

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::RangedI64ValueParser;
use mc_bench::workload::Effort;

use self::packages::Archive;
use self::regression::Compared;

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
        /// Write nothing; compare a quick run with docs/data/quick.json: utilization exactly, times as
        /// shares of the time of bin-ceil
        #[arg(long, conflicts_with_all = ["quick", "workloads", "out"])]
        check: bool,
        /// Measure only the quick run that --check compares with, and store it
        #[arg(long, conflicts_with_all = ["quick", "workloads", "out", "check"])]
        accept: bool,
    },
    /// Regenerate figures, page and headline from the data
    Page {
        /// Directory of data, figures and page instead of docs
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Check everything that has to hold before a change is merged
    Ci,
    /// Write and build the archive of every crate, as a registry would get it
    Package,
    /// Check what the compiler does not: module docs, banned words, dead references
    Tidy,
    /// Run all layers with random configurations and check what they hold
    Soak {
        /// How long
        #[arg(long, value_name = "N")]
        minutes: u32,
        /// Seed of the first round; without it the clock gives one
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
    },
    /// Change the code, one expression at a time, and want a test to fail (needs cargo-mutants)
    Mutants {
        /// Only one part of several, such as 0/8; each part is a sample of all files
        #[arg(long, value_name = "K/N")]
        shard: Option<String>,
    },
    /// Feed random operations and bytes to mc-offset, the journal of mc-store and a node of mc-cluster (needs nightly and cargo-fuzz)
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value = "60")]
        seconds: NonZeroU32,
    },
    /// Kill a process that uses a store, and verify every object each time
    Drill {
        /// How often
        #[arg(long, value_name = "N", default_value = "500", value_parser = at_least_one())]
        kills: u32,
        /// Seed of the lives and of when they end
        #[arg(long, value_name = "N", default_value = "1")]
        seed: u64,
    },
    /// Kill and freeze nodes, clients and etcd at every step of a put and a get, and verify every object
    Cluster {
        /// How often
        #[arg(long, value_name = "N", default_value = "200", value_parser = at_least_one())]
        kills: u32,
        /// Seed of keys and victims
        #[arg(long, value_name = "N", default_value = "1")]
        seed: u64,
    },
    /// Run nodes and clients of mc-cluster of an older revision beside those of this one
    Upgrade {
        /// The older revision; without it the last tag, or the newest revision with another interface
        #[arg(long, value_name = "REVISION")]
        from: Option<String>,
    },
    /// Report what of the public interfaces has changed since a revision (needs cargo-semver-checks)
    Semver {
        /// The revision
        #[arg(value_name = "REVISION")]
        since: String,
    },
    /// Write the HTML report of the shipped trace to target/report, and have chromium use it
    Report,
    /// Play scenes of many nodes and clients in one thread, with joins, deaths and partitions
    Simulate {
        /// How many scenes
        #[arg(long, value_name = "N", default_value = "100", value_parser = at_least_one())]
        seeds: u32,
        /// Nodes of each
        #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one())]
        nodes: u32,
        /// Objects of each
        #[arg(long, value_name = "N", default_value = "20000", value_parser = at_least_one())]
        objects: u32,
    },
    /// Replay a trace in two simulators, too, and want the same hits (needs the network for them)
    Simulators {
        /// A trace of prompts, sorted by time; without it the one that is shipped
        #[arg(long, value_name = "FILE")]
        trace: Option<PathBuf>,
    },
    /// Check the engine NIXL for mc-cluster, where its library and what builds it can be had
    Nixl {
        /// Measure a block by NIXL and by gRPC instead
        #[arg(long)]
        bench: bool,
    },
    /// Check the files that deploy nodes, and the dashboard against a Prometheus that scrapes one
    Deploy,
    /// Compile and run the programs in C, C++ and Python
    Native,
    /// Assemble headers and libraries for C and C++, and the list of what is in them, in target/dist
    Dist,
    /// Measure what the C++ handle costs above that of Rust
    Boundary,
    /// Make wheel and sdist of the Python package, install and test them (needs the network for maturin)
    Wheel {
        /// The interpreter, 3.9 or later
        #[arg(long, value_name = "COMMAND", default_value = "python3")]
        python: String,
    },
    /// Run an engine's tests on the example that stands for its allocator (needs the network, and a python3 with torch)
    Adopters,
}

/// What does nothing would tell that nothing is wrong.
fn at_least_one() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

fn main() -> anyhow::Result<()> {
    let task = Task::parse();
    let shell = &workspace::shell()?;
    match task {
        Task::Bench { check: true, .. } => bench::check(shell, Compared::DecisionsAndTimes),
        Task::Bench { accept: true, .. } => bench::accept(shell),
        Task::Bench {
            quick,
            workloads,
            out,
            ..
        } => {
            let effort = if quick { Effort::Quick } else { Effort::Full };
            bench::run(shell, effort, &workloads, out)
        }
        Task::Page { out } => page::regenerate(out),
        Task::Ci => ci::run(shell),
        Task::Package => packages::package(shell, Archive::Build),
        Task::Tidy => tidy::run(shell),
        Task::Soak { minutes, seed } => long::soak(shell, u64::from(minutes) * 60, seed),
        Task::Mutants { shard } => mutants::run(shell, shard.as_deref()),
        Task::Fuzz { seconds } => fuzz::run(shell, seconds),
        Task::Drill { kills, seed } => long::drill(shell, kills, seed),
        Task::Cluster { kills, seed } => long::cluster(shell, kills, seed),
        Task::Upgrade { from } => upgrade::run(shell, from.as_deref()),
        Task::Semver { since } => semver::run(shell, &since),
        Task::Report => report::run(shell),
        Task::Simulate {
            seeds,
            nodes,
            objects,
        } => long::simulate(shell, [seeds, nodes, objects]),
        Task::Simulators { trace } => simulators::run(shell, trace),
        Task::Nixl { bench: false } => nixl::run(shell, nixl::Work::Check),
        Task::Nixl { bench: true } => nixl::run(shell, nixl::Work::Measure),
        Task::Deploy => deploy::run(shell),
        Task::Native => native::run(shell),
        Task::Dist => dist::run(shell),
        Task::Boundary => boundary::run(shell),
        Task::Wheel { python } => wheel::run(shell, &python),
        Task::Adopters => adopters::run(shell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_nothing_or_too_much_are_refused() {
        for words in [
            "soak --minutes 18446744073709551615",
            "drill --kills 0",
            "cluster --kills 0",
            "simulate --seeds 0",
            "simulate --nodes 0",
            "simulate --objects 0",
        ] {
            let words = ["xtask"].into_iter().chain(words.split(' '));
            let refused = Task::try_parse_from(words).unwrap_err();
            assert!(refused.to_string().contains("invalid value"), "{refused}");
        }
    }
}
