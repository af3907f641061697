//! `mc-bench hugepages`: do the memory pools of all ranks fit the huge pages of the machine?
//!
//! The verdict is `mc_arena`'s; this file turns arguments into a request and the answer into text. The
//! exit status tells scripts the verdict, so it differs from that of the workloads: 64 stands for
//! arguments that are not accepted.

use std::fmt;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use mc_arena::SystemRoot;
use mc_arena::budget::{Budget, BudgetArguments, BudgetRequest, EXIT_USAGE, Verdict};
use mc_arena::hugepage::HugepageInventory;
use mc_arena::size::HumanBytes;
use mc_bench::record::SCHEMA;

use crate::{Status, fail, parse, print};

/// First argument that asks for the budget instead of a run.
pub(crate) const HUGEPAGES: &str = "hugepages";

/// Tells whether the huge pages of this machine suffice for the pools of all ranks.
///
/// Sizes are written as 1048576, 8gb, 8Gi, 20 GB or 1.5TiB, in powers of 1024. The exit status is 0 when
/// everything fits or nothing is known about the machine, 1 when the arenas do not fit, 2 when not
/// even caches and segments do, 64 for arguments that are not accepted.
#[derive(Debug, Parser)]
#[command(bin_name = "mc-bench hugepages", max_term_width = 100)]
pub(crate) struct Args {
    /// Ranks on this machine
    #[arg(long, value_name = "N")]
    tp_size: String,
    /// Host cache of one rank
    #[arg(long, value_name = "SIZE")]
    hicache_size: String,
    /// Segment that one rank contributes
    #[arg(long, value_name = "SIZE")]
    global_segment_size: String,
    /// Arena of one rank; without it there is none
    #[arg(long, value_name = "SIZE")]
    arena_pool_size: Option<String>,
    /// Size of the huge pages; without it 2 MiB
    #[arg(long, value_name = "SIZE")]
    hugepage_size: Option<String>,
    /// Memory in free huge pages to plan with, instead of what this machine has
    #[arg(long, value_name = "SIZE")]
    available_hugetlb: Option<String>,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines for people
    Table,
    /// One JSON document
    Json,
}

/// Answers a command line whose words after `hugepages` are `words`.
pub(crate) fn run(words: impl Iterator<Item = std::ffi::OsString>) -> Status {
    let args: Args = parse(words, EXIT_USAGE)?;
    let request = BudgetRequest::parse(&args.arguments());
    let request = request.map_err(|error| fail(&error.to_string(), EXIT_USAGE))?;
    let budget = request.plan(&HugepageInventory::read(&SystemRoot::default()));
    let status = ExitCode::from(budget.verdict.exit_code());
    let answer = Answer { request, budget };
    Ok(match args.format {
        Format::Table => print(&answer, status),
        Format::Json => print(&answer.json(), status),
    })
}

impl Args {
    fn arguments(&self) -> BudgetArguments<'_> {
        let mut arguments = BudgetArguments::default();
        arguments.tp_size = &self.tp_size;
        arguments.hicache_size = &self.hicache_size;
        arguments.global_segment_size = &self.global_segment_size;
        arguments.arena_pool_size = self.arena_pool_size.as_deref();
        arguments.hugepage_size = self.hugepage_size.as_deref();
        arguments.available_hugetlb = self.available_hugetlb.as_deref();
        arguments
    }
}

/// What was asked and what came of it.
struct Answer {
    request: BudgetRequest,
    budget: Budget,
}

impl Answer {
    fn json(&self) -> String {
        let Self { request, budget } = self;
        let document = serde_json::json!({
            "schema": SCHEMA,
            "verdict": budget.verdict.as_str(),
            "exit_code": budget.verdict.exit_code(),
            "ranks": request.ranks,
            "page_bytes": request.page_bytes,
            "baseline_bytes": budget.baseline_bytes,
            "clean_bytes": budget.clean_bytes,
            "available_bytes": budget.available_bytes,
            "remedy": budget.remedy.map(|remedy| remedy.to_string()),
        });
        format!("{document}\n")
    }

    /// Writes a number of bytes and the pages that hold them.
    fn bytes_line(&self, f: &mut fmt::Formatter<'_>, name: &str, bytes: u64) -> fmt::Result {
        let pages = bytes / self.request.page_bytes;
        let human = HumanBytes(bytes).to_string();
        writeln!(f, "{name:<24}{human:>14}  {pages:>10} pages")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, budget } = self;
        let (verdict, page) = (budget.verdict, HumanBytes(request.page_bytes));
        writeln!(f, "{}: {}", verdict.as_str(), meaning(verdict))?;
        writeln!(f, "\nranks: {}, huge pages of {page}", request.ranks)?;
        self.bytes_line(f, "caches and segments", budget.baseline_bytes)?;
        self.bytes_line(f, "with the arenas", budget.clean_bytes)?;
        match budget.available_bytes {
            Some(bytes) => self.bytes_line(f, "available", bytes)?,
            None => writeln!(f, "{:<24}{:>14}", "available", "unknown")?,
        }
        match budget.remedy {
            Some(remedy) => writeln!(f, "\nto make everything fit, run as root:\n{remedy}"),
            None => Ok(()),
        }
    }
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::PlanningOnly => "nothing is known about huge pages of this size here",
        Verdict::InsufficientForBaseline => "not even caches and segments fit",
        Verdict::BaselineFitsArenaMayFallBack => {
            "caches and segments fit, arenas may have to do with lesser pages"
        }
        Verdict::CleanArenaBudgetAvailable => "caches, segments and arenas fit",
        other => other.as_str(),
    }
}
