//! What the figures were measured on.

use std::fs;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

/// The machine and the build, as written into every document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Model name of the processor.
    pub cpu: String,
    /// Cores available to the process.
    pub cores: usize,
    /// Release of the running kernel.
    pub kernel: String,
    /// Policy for transparent huge pages; it decides how many page-table walks large node arrays
    /// cost.
    pub transparent_hugepages: String,
    /// Version of the compiler that built the program.
    pub rustc: String,
    /// Commit the program was built from; empty outside a repository.
    pub commit: String,
}

impl Machine {
    /// Returns the machine this process runs on; what the system does not tell is `unknown`.
    #[must_use]
    pub fn this() -> Self {
        Self {
            cpu: cpu_model().unwrap_or_else(unknown),
            cores: available_parallelism().map_or(1, usize::from),
            kernel: read_line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            transparent_hugepages: transparent_hugepages().unwrap_or_else(unknown),
            rustc: env!("MC_BENCH_RUSTC").to_owned(),
            commit: env!("MC_BENCH_COMMIT").to_owned(),
        }
    }
}

fn cpu_model() -> Option<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    line.split_once(':')
        .map(|(_, model)| model.trim().to_owned())
}

/// The policy in force is the bracketed word of `always [madvise] never`.
fn transparent_hugepages() -> Option<String> {
    let policies = read_line("/sys/kernel/mm/transparent_hugepage/enabled")?;
    let (_, rest) = policies.split_once('[')?;
    rest.split_once(']').map(|(policy, _)| policy.to_owned())
}

fn read_line(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
