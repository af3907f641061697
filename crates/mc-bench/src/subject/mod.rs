//! Subjects: the allocators under test, each behind the same small trait.
//!
//! [`SUBJECTS`] is the one table that makes a subject known to every workload of the churn family.
//! A new subject is a file with a type that implements [`Subject`] and one entry here.

mod buddy;
mod extents;
mod offset;
mod offset_allocator;
mod range_alloc;
mod reference;
mod shared;
mod slots;

use mc_offset::Fit;

use self::offset_allocator::Scaled;
use crate::churn::{Outcome, Plan, churn};

pub use self::reference::Oracle;

/// An allocator as the timed loops see it.
///
/// The loops are generic over the subject, so that a call costs what the allocator costs.
pub trait Subject {
    /// What stands for one live object. The loops keep tokens in one vector, so a token's size
    /// decides how many cache lines picking a victim touches.
    type Token;

    /// Places an object and returns its token, or nothing when there is no room for it.
    fn allocate(&mut self, size_bytes: u64) -> Option<Self::Token>;

    /// Takes a live object back.
    fn free(&mut self, token: Self::Token);

    /// Returns where the object of a token lies and how many bytes were asked for.
    fn placement(&self, token: &Self::Token) -> Placement;

    /// Tells where every live object lies, in address order, as the allocator itself lists them;
    /// returns whether it can.
    fn visit(&self, _each: &mut dyn FnMut(Placement)) -> bool {
        false
    }
}

/// Where an object lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Distance of the first byte from the start of the pool.
    pub offset_bytes: u64,
    /// Requested size, before any rounding.
    pub size_bytes: u64,
}

/// What a subject is told about the pool it manages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Managed bytes.
    pub capacity_bytes: u64,
    /// Smallest size that will be requested; bounds the number of live objects.
    pub smallest_bytes: u64,
}

impl Pool {
    /// Returns how many objects can be live at once.
    #[must_use]
    pub fn objects_max(&self) -> u64 {
        self.capacity_bytes / self.smallest_bytes
    }
}

/// A subject by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Name on the command line and in every output.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
}

impl Described {
    pub(crate) const fn new(name: &'static str, summary: &'static str) -> Self {
        Self { name, summary }
    }

    pub(crate) fn all(entries: impl Iterator<Item = (&'static str, &'static str)>) -> Vec<Self> {
        entries
            .map(|(name, summary)| Self::new(name, summary))
            .collect()
    }
}

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
        churn: |plan| offset::churn_with(Fit::BinExact, plan),
    },
    Entry {
        name: "bin-ceil",
        summary: "mc-offset: sizes rounded up to a bin (the published after)",
        churn: |plan| offset::churn_with(Fit::BinCeil, plan),
    },
    Entry {
        name: "good-fit",
        summary: "mc-offset: exact sizes, own bin first",
        churn: |plan| offset::churn_with(Fit::GOOD, plan),
    },
    Entry {
        name: "adaptive",
        summary: "mc-offset: good fit guided by the sizes of recent requests (the default)",
        churn: |plan| offset::churn_with(Fit::Adaptive, plan),
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

/// Name of the reference that every row's harness cost and bound come from.
pub const ORACLE: &str = "oracle";

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

#[cfg(test)]
mod tests;
