//! The table of what threads share.

use std::sync::Mutex;

use ::offset_allocator::Allocator;
use mc_offset::{OffsetAllocator, SharedAllocator, SlotAllocator};

use crate::workload::RequestError;
use crate::workload::threads::{Latency, Throughput};

use super::scenario::Load;
use super::subject::Shareable;
use super::together;

/// One row of the subject table.
pub(super) struct Entry {
    /// Name on the command line and in every output.
    pub(super) name: &'static str,
    /// One line for `mc-bench list` and the tables.
    pub(super) summary: &'static str,
    /// Whether it serves a single size only.
    pub(super) is_fixed_size: bool,
    /// Runs the phase without clocks on a fresh instance.
    pub(super) throughput: fn(&Load) -> Result<Throughput, RequestError>,
    /// Runs the phase that times each operation on a fresh instance.
    pub(super) latency: fn(&Load) -> Result<Latency, RequestError>,
}

/// Every subject, in the order of the output.
pub(super) const ENTRIES: [Entry; 4] = [
    entry::<SharedAllocator>(
        "shared",
        "the default, with a magazine of freed blocks for each thread",
    ),
    entry::<Mutex<OffsetAllocator>>("mutex", "the same core behind one lock"),
    Entry {
        is_fixed_size: true,
        ..entry::<SlotAllocator>("slots", "slots of one size in a lock-free bitmap")
    },
    entry::<Mutex<Allocator>>(
        "offset-allocator",
        "crate offset-allocator 0.2 behind one lock",
    ),
];

const fn entry<S: Shareable>(name: &'static str, summary: &'static str) -> Entry {
    Entry {
        name,
        summary,
        is_fixed_size: false,
        throughput: together::throughput::<S>,
        latency: together::latency::<S>,
    }
}
