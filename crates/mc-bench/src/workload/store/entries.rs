//! What is compared.

use mc_store::ObjectStore;

use super::measure::{Filling, Measure, filled};
use super::memory::{self, MemoryUse};
use super::subject::{Foyer, Moka, QuickCache, Subject};

/// One row of the subject table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Name on the command line and in every output.
    pub(super) name: &'static str,
    /// One line for `mc-bench list` and for the page.
    pub(super) summary: &'static str,
    /// Fills a fresh instance.
    pub(super) fill: for<'k> fn(Filling<'k>) -> Box<dyn Measure + 'k>,
    /// Fills and empties a fresh instance with so many objects, and tells what memory that took.
    pub(super) memory: fn(u64) -> MemoryUse,
}

/// Every subject, in the order of the output.
pub(super) const SUBJECTS: [Entry; 4] = [
    entry::<ObjectStore>(
        "mc-store",
        "the store: what is found is leased; a put places the object",
    ),
    entry::<Moka>("moka", "a cache with TinyLFU, bookkeeping in batches"),
    entry::<QuickCache>(
        "quick_cache",
        "a cache in shards with S3-FIFO, a lock for each shard",
    ),
    entry::<Foyer>(
        "foyer-memory",
        "the memory part of a hybrid cache, in shards; what is found is counted",
    ),
];

const fn entry<S: Subject + 'static>(name: &'static str, summary: &'static str) -> Entry {
    Entry {
        name,
        summary,
        fill: filled::<S>,
        memory: memory::measure::<S>,
    }
}

/// Measures a subject in this process, which should not have done anything else; nothing if it is
/// not known.
#[must_use]
pub fn measure_here(subject: &str, objects: u64) -> Option<MemoryUse> {
    let entry = SUBJECTS.iter().find(|entry| entry.name == subject)?;
    Some((entry.memory)(objects))
}
