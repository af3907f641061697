//! Tiers of memory: their names in the output.

use mc_arena::Tier;

pub(super) const BASE: &str = "base";
pub(super) const TRANSPARENT: &str = "transparent";

/// Needs the whole pool in reserved huge pages.
pub(super) const HUGETLB: &str = "hugetlb";

/// Returns the word that stands for a tier in every output.
pub(super) fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Hugetlb { .. } => HUGETLB,
        Tier::Transparent => TRANSPARENT,
        _ => BASE,
    }
}
