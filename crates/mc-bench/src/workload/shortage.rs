//! Whether this machine has what a subject needs.

use mc_arena::{SystemRoot, hugepage::HugepageInventory};

use super::tier::HUGETLB;
use super::{Effort, Skipped, arena, populate};

/// Returns why a subject cannot run on this machine at this moment, if it cannot.
pub(super) fn shortage(subject: &'static str, effort: Effort) -> Option<Skipped> {
    let inventory = HugepageInventory::read(&SystemRoot::default());
    let (bytes, page_bytes) = match subject {
        // Maps pages of the default size only, and panics where there is none.
        arena::HUGEPAGE_RS => {
            let page_bytes = inventory.default_page_bytes.unwrap_or(u64::MAX);
            let pages = arena::THREADS.into_iter().max().unwrap_or(1) as u64;
            (page_bytes.saturating_mul(pages), page_bytes)
        }
        HUGETLB => {
            let bytes = populate::pool_bytes(effort);
            let page_bytes = inventory.choose_page_bytes(bytes, &[]);
            (bytes, page_bytes.unwrap_or(u64::MAX))
        }
        _ => return None,
    };
    let reason = "it needs more reserved huge pages than were free";
    let shortage = inventory.preflight(bytes, page_bytes, &[]);
    shortage.is_err().then_some(Skipped { subject, reason })
}
