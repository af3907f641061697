//! The one table that makes a subject known to every workload of the churn family.

use mc_offset::{Allocation, CompactAllocation, Fit};

use super::offset::Offset;
use super::offset_allocator::Scaled;
use super::{Described, ORACLE, Oracle, buddy, extents, range_alloc, shared, slots};
use crate::churn::{Outcome, Plan, churn};

/// One row of the subject table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name on the command line and in every output.
    pub name: &'static str,
    /// One line for `mc-bench list`.
    pub summary: &'static str,
    /// Drives a fresh instance through a plan.
    pub churn: fn(&Plan) -> Outcome,
}

/// Every subject, in the order of the output.
pub const SUBJECTS: &[Entry] = &[
    Entry {
        name: "bin-exact",
        summary: "mc-offset: exact sizes, search from the bin above (the published before)",
        churn: |plan| churn_offset(Fit::BinExact, plan),
    },
    Entry {
        name: "bin-ceil",
        summary: "mc-offset: sizes rounded up to a bin (the published after)",
        churn: |plan| churn_offset(Fit::BinCeil, plan),
    },
    Entry {
        name: "good-fit",
        summary: "mc-offset: exact sizes, own bin first",
        churn: |plan| churn_offset(Fit::GOOD, plan),
    },
    Entry {
        name: "adaptive",
        summary: "mc-offset: good fit guided by the sizes of recent requests (the default)",
        churn: |plan| churn_offset(Fit::Adaptive, plan),
    },
    Entry {
        name: "shared",
        summary: "mc-offset: the default fit behind thread-safe handles that free when dropped",
        churn: |plan| churn(shared::Shared::new(&plan.pool), plan),
    },
    Entry {
        name: "extents-2",
        summary: "mc-offset: the default fit, objects in at most two pieces",
        churn: |plan| churn(extents::Pieces::new(&plan.pool, 2), plan),
    },
    Entry {
        name: "extents-4",
        summary: "mc-offset: the default fit, objects in at most four pieces",
        churn: |plan| churn(extents::Pieces::new(&plan.pool, 4), plan),
    },
    Entry {
        name: "slots",
        summary: "mc-offset: slots of one size in a lock-free bitmap",
        churn: |plan| churn(slots::Slots::new(&plan.pool), plan),
    },
    Entry {
        name: "offset-allocator",
        summary: "crate offset-allocator 0.2: 32-bit bins, exact sizes, search from the bin above",
        churn: |plan| {
            churn(
                Scaled::<::offset_allocator::Allocator>::new(&plan.pool),
                plan,
            )
        },
    },
    Entry {
        name: "offset-compat",
        summary: "mc-offset-compat: the interface of offset-allocator 0.2 over good fit",
        churn: |plan| churn(Scaled::<offset_compat::Allocator>::new(&plan.pool), plan),
    },
    Entry {
        name: "range-alloc",
        summary: "crate range-alloc 0.1: best fit by a walk over all holes",
        churn: |plan| churn(range_alloc::Ranges::new(&plan.pool), plan),
    },
    Entry {
        name: "buddy",
        summary: "crate buddy_system_allocator 0.13: powers of two only",
        churn: |plan| churn(buddy::Frames::new(&plan.pool), plan),
    },
    Entry {
        name: ORACLE,
        summary: "reference that compacts for free: utilization bound and harness cost",
        churn: |plan| churn(Oracle::new(&plan.pool), plan),
    },
];

/// Returns names and summaries of all subjects, in the order of the table.
#[must_use]
pub fn described() -> Vec<Described> {
    Described::all(SUBJECTS.iter().map(|entry| (entry.name, entry.summary)))
}

/// Returns the entry of a name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Entry> {
    SUBJECTS.iter().find(|entry| entry.name == name)
}

/// Drives an allocator with this fit through a plan, as a store would that keeps the smallest token
/// whose offsets reach its pool.
fn churn_offset(fit: Fit, plan: &Plan) -> Outcome {
    let is_reached = plan.pool.capacity_bytes <= 1 << CompactAllocation::OFFSET_BITS;
    if is_reached {
        churn(Offset::<CompactAllocation>::new(&plan.pool, fit), plan)
    } else {
        churn(Offset::<Allocation>::new(&plan.pool, fit), plan)
    }
}
