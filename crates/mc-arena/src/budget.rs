//! The huge-page budget: do the host caches, segments and arenas of all ranks fit the machine?
//!
//! Key types: [`BudgetRequest`] in, [`Budget`] with its [`Verdict`] out. A command line passes its
//! texts to [`BudgetRequest::parse`] and exits with [`Verdict::exit_code`], or with [`EXIT_USAGE`].

use crate::{
    hugepage::{HugepageInventory, Remedy},
    size::{self, ParseBytesError},
};

/// Exit code of a command whose arguments are not accepted.
pub const EXIT_USAGE: u8 = 64;

/// Huge page size planned with when none is given.
pub const HUGEPAGE_BYTES_DEFAULT: u64 = 2 << 20;

/// The texts of a command line, one field per argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetArguments<'a> {
    /// `--tp-size`: ranks on this machine.
    pub tp_size: &'a str,
    /// `--hicache-size`: host cache of one rank.
    pub hicache_size: &'a str,
    /// `--global-segment-size`: segment that one rank contributes.
    pub global_segment_size: &'a str,
    /// `--arena-pool-size`: arena of one rank; none if absent.
    pub arena_pool_size: Option<&'a str>,
    /// `--hugepage-size`: size of the huge pages; 2 MiB if absent.
    pub hugepage_size: Option<&'a str>,
    /// `--available-hugetlb`: bytes to plan with instead of what the system has.
    pub available_hugetlb: Option<&'a str>,
}

/// What every rank maps, and what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetRequest {
    /// Ranks on this machine.
    pub ranks: u32,
    /// Host cache of one rank.
    pub hicache_bytes: u64,
    /// Segment that one rank contributes.
    pub segment_bytes: u64,
    /// Arena of one rank, 0 for none.
    pub arena_bytes: u64,
    /// Size of the huge pages.
    pub page_bytes: u64,
    /// Bytes to plan with instead of what the system has.
    pub available_bytes: Option<u64>,
}

/// An argument that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{argument} {value:?} is not accepted: use {accepted}")]
#[non_exhaustive]
pub struct BudgetError {
    /// Name of the argument.
    pub argument: &'static str,
    /// What it held.
    pub value: Box<str>,
    /// What it may hold.
    pub accepted: &'static str,
    /// Why the value is no size, where a size was expected.
    pub source: Option<ParseBytesError>,
}

/// What the budget amounts to.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing is known about the huge pages of the machine.
    PlanningOnly,
    /// Not even caches and segments fit.
    InsufficientForBaseline,
    /// Caches and segments fit, the arenas on top do not.
    BaselineFitsArenaMayFallBack,
    /// Everything fits.
    CleanArenaBudgetAvailable,
}

/// A budget: what is needed, what is there, and what to do.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// The answer.
    pub verdict: Verdict,
    /// Caches and segments of all ranks, every mapping rounded up to whole pages.
    pub baseline_bytes: u64,
    /// The same with the arenas.
    pub clean_bytes: u64,
    /// Huge pages that a mapping can have, those that the kernel adds on demand included; `None` if
    /// unknown.
    pub available_bytes: Option<u64>,
    /// The line to run so that everything fits; `None` if it does already, or nothing is known.
    pub remedy: Option<Remedy>,
}

impl Verdict {
    /// Returns the word that scripts look for.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlanningOnly => "planning_only",
            Self::InsufficientForBaseline => "insufficient_for_baseline",
            Self::BaselineFitsArenaMayFallBack => "baseline_fits_arena_may_fallback",
            Self::CleanArenaBudgetAvailable => "clean_arena_budget_available",
        }
    }

    /// Returns the exit code of a command that ends with this verdict.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::PlanningOnly | Self::CleanArenaBudgetAvailable => 0,
            Self::BaselineFitsArenaMayFallBack => 1,
            Self::InsufficientForBaseline => 2,
        }
    }
}

impl BudgetRequest {
    /// Reads a request from the texts of a command line, in the grammar of [`crate::size`].
    ///
    /// # Errors
    ///
    /// [`BudgetError`] for the first argument that is not accepted.
    pub fn parse(arguments: &BudgetArguments<'_>) -> Result<Self, BudgetError> {
        let optional = |argument, value: Option<&str>| {
            value.map(|value| parse_size(argument, value)).transpose()
        };
        Ok(Self {
            ranks: parse_ranks(arguments.tp_size)?,
            hicache_bytes: parse_size("--hicache-size", arguments.hicache_size)?,
            segment_bytes: parse_size("--global-segment-size", arguments.global_segment_size)?,
            arena_bytes: optional("--arena-pool-size", arguments.arena_pool_size)?.unwrap_or(0),
            page_bytes: arguments
                .hugepage_size
                .map_or(Ok(HUGEPAGE_BYTES_DEFAULT), parse_page_size)?,
            available_bytes: optional("--available-hugetlb", arguments.available_hugetlb)?,
        })
    }

    /// Weighs the request against `inventory`.
    ///
    /// Sums that exceed 64 bits count as `u64::MAX`, which fits nowhere.
    #[must_use]
    pub fn plan(&self, inventory: &HugepageInventory) -> Budget {
        let in_pages = |bytes: u64| {
            bytes
                .checked_next_multiple_of(self.page_bytes)
                .unwrap_or(u64::MAX)
        };
        let ranks = u64::from(self.ranks);
        let baseline_each =
            in_pages(self.hicache_bytes).saturating_add(in_pages(self.segment_bytes));
        let baseline_bytes = baseline_each.saturating_mul(ranks);
        let clean_bytes = baseline_each
            .saturating_add(in_pages(self.arena_bytes))
            .saturating_mul(ranks);

        let pool = inventory.pool(self.page_bytes);
        let read_bytes = pool.map(|pool| {
            let free_bytes = pool.obtainable_pages(&[]).saturating_mul(self.page_bytes);
            free_bytes.min(pool.cgroup_left_bytes.unwrap_or(u64::MAX))
        });
        let available_bytes = self.available_bytes.or(read_bytes);
        let verdict = match available_bytes {
            None => Verdict::PlanningOnly,
            Some(available) if available < baseline_bytes => Verdict::InsufficientForBaseline,
            Some(available) if available < clean_bytes => Verdict::BaselineFitsArenaMayFallBack,
            Some(_) => Verdict::CleanArenaBudgetAvailable,
        };
        let missing_bytes =
            available_bytes.map_or(0, |available| clean_bytes.saturating_sub(available));
        // What to plan with instead of the system's pages also stands for the number configured.
        let configured_pages = match self.available_bytes {
            Some(available) => available / self.page_bytes,
            None => pool.map_or(0, |pool| pool.counts.configured_pages()),
        };
        let remedy = (missing_bytes > 0).then(|| Remedy {
            page_bytes: self.page_bytes,
            configured_pages: configured_pages
                .saturating_add(missing_bytes.div_ceil(self.page_bytes)),
            node: None,
            is_default_size: inventory
                .default_page_bytes
                .unwrap_or(HUGEPAGE_BYTES_DEFAULT)
                == self.page_bytes,
        });
        Budget {
            verdict,
            baseline_bytes,
            clean_bytes,
            available_bytes,
            remedy,
        }
    }
}

fn parse_ranks(value: &str) -> Result<u32, BudgetError> {
    let ranks = value.trim().parse().ok().filter(|&ranks| ranks > 0);
    ranks.ok_or_else(|| {
        refuse(
            "--tp-size",
            value,
            "a whole number from 1 to 4294967295",
            None,
        )
    })
}

fn parse_size(argument: &'static str, value: &str) -> Result<u64, BudgetError> {
    size::parse_bytes(value)
        .map_err(|source| refuse(argument, value, size::BYTES_ACCEPTED, Some(source)))
}

fn parse_page_size(value: &str) -> Result<u64, BudgetError> {
    let argument = "--hugepage-size";
    let bytes = parse_size(argument, value)?;
    if bytes.is_power_of_two() {
        return Ok(bytes);
    }
    Err(refuse(
        argument,
        value,
        "a size that is a power of two, such as 2mb or 1gb",
        None,
    ))
}

fn refuse(
    argument: &'static str,
    value: &str,
    accepted: &'static str,
    source: Option<ParseBytesError>,
) -> BudgetError {
    BudgetError {
        argument,
        value: value.into(),
        accepted,
        source,
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::hugepage::{HugepagePool, PageCounts};

    const MIB: u64 = 1 << 20;

    fn inventory(total_pages: u64, free_pages: u64, reserved_pages: u64) -> HugepageInventory {
        let counts = PageCounts {
            total_pages,
            free_pages,
            reserved_pages,
            ..PageCounts::default()
        };
        let pool = HugepagePool {
            page_bytes: 2 * MIB,
            counts,
            nodes: vec![],
            cgroup_left_bytes: None,
        };
        HugepageInventory {
            default_page_bytes: Some(2 * MIB),
            pools: vec![pool],
        }
    }

    fn arguments<'a>() -> BudgetArguments<'a> {
        BudgetArguments {
            tp_size: "2",
            hicache_size: "10mb",
            global_segment_size: "6MiB",
            arena_pool_size: Some("4m"),
            ..BudgetArguments::default()
        }
    }

    #[track_caller]
    fn check(inventory: &HugepageInventory, verdict: Verdict, exit_code: u8, remedy: Option<&str>) {
        let budget = BudgetRequest::parse(&arguments()).unwrap().plan(inventory);
        assert_eq!(
            (budget.verdict, budget.verdict.exit_code()),
            (verdict, exit_code)
        );
        assert_eq!(
            budget.remedy.map(|remedy| remedy.to_string()).as_deref(),
            remedy
        );
        assert_eq!(
            (budget.baseline_bytes, budget.clean_bytes),
            (32 * MIB, 40 * MIB)
        );
    }

    #[test]
    fn the_four_verdicts() {
        check(
            &HugepageInventory::default(),
            Verdict::PlanningOnly,
            0,
            None,
        );
        let remedy = Some("sysctl -w vm.nr_hugepages=20");
        check(
            &inventory(15, 15, 0),
            Verdict::InsufficientForBaseline,
            2,
            remedy,
        );
        check(
            &inventory(16, 16, 0),
            Verdict::BaselineFitsArenaMayFallBack,
            1,
            remedy,
        );
        check(
            &inventory(20, 20, 0),
            Verdict::CleanArenaBudgetAvailable,
            0,
            None,
        );
    }

    #[test]
    fn pages_of_others_are_not_available() {
        let remedy = Some("sysctl -w vm.nr_hugepages=66");
        check(
            &inventory(64, 20, 2),
            Verdict::BaselineFitsArenaMayFallBack,
            1,
            remedy,
        );
    }

    #[test]
    fn pages_added_on_demand_count_as_for_a_pool() {
        let mut inventory = inventory(0, 0, 0);
        inventory.pools[0].counts.overcommit_pages = 300_000_000;
        let budget = BudgetRequest::parse(&arguments()).unwrap().plan(&inventory);
        assert_eq!(budget.verdict, Verdict::CleanArenaBudgetAvailable);
        assert_eq!(
            inventory.preflight(budget.clean_bytes, 2 * MIB, &[]),
            Ok(())
        );
        inventory.pools[0].counts.overcommit_pages = 19;
        let budget = BudgetRequest::parse(&arguments()).unwrap().plan(&inventory);
        assert_eq!(budget.verdict, Verdict::BaselineFitsArenaMayFallBack);
        assert!(
            inventory
                .preflight(budget.clean_bytes, 2 * MIB, &[])
                .is_err()
        );
    }

    #[test]
    fn every_mapping_is_rounded_by_itself() {
        let request = BudgetRequest::parse(&BudgetArguments {
            hicache_size: "1",
            global_segment_size: "1",
            ..arguments()
        });
        assert_eq!(
            request.unwrap().plan(&inventory(0, 0, 0)).baseline_bytes,
            8 * MIB
        );
    }

    #[test]
    fn an_override_replaces_what_the_system_says() {
        let arguments = BudgetArguments {
            available_hugetlb: Some("40mb"),
            ..arguments()
        };
        let budget = BudgetRequest::parse(&arguments)
            .unwrap()
            .plan(&HugepageInventory::default());
        assert_eq!(budget.verdict, Verdict::CleanArenaBudgetAvailable);
    }

    #[test]
    fn the_remedy_of_an_override_does_not_depend_on_the_system() {
        let arguments = BudgetArguments {
            available_hugetlb: Some("34mb"),
            ..arguments()
        };
        let request = BudgetRequest::parse(&arguments).unwrap();
        let remedy = request.plan(&inventory(64, 64, 0)).remedy.unwrap();
        assert_eq!(remedy.to_string(), "sysctl -w vm.nr_hugepages=20");
    }

    #[test]
    fn bad_arguments_are_named() {
        let refused = |arguments: BudgetArguments<'_>| {
            BudgetRequest::parse(&arguments).unwrap_err().to_string()
        };
        for tp_size in ["0", "-1", "two", ""] {
            assert!(
                refused(BudgetArguments {
                    tp_size,
                    ..arguments()
                })
                .starts_with("--tp-size")
            );
        }
        assert!(
            refused(BudgetArguments {
                hicache_size: "1xb",
                ..arguments()
            })
            .starts_with("--hicache-size \"1xb\"")
        );
        assert!(
            refused(BudgetArguments {
                hugepage_size: Some("3mb"),
                ..arguments()
            })
            .contains("power of two")
        );
    }

    #[test]
    fn sums_beyond_64_bits_fit_nowhere() {
        let arguments = BudgetArguments {
            tp_size: "4000000",
            hicache_size: "16000000tb",
            ..arguments()
        };
        let budget = BudgetRequest::parse(&arguments)
            .unwrap()
            .plan(&inventory(1, 1, 0));
        assert_eq!(
            (budget.verdict, budget.baseline_bytes),
            (Verdict::InsufficientForBaseline, u64::MAX)
        );
    }
}
