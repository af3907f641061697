//! What can be asked of an allocator: sums, holes, allocations, invariants.
//!
//! Each file below knows one thing: `histogram` the holes by size, `text_map`
//! the pool as a line of characters, `figures` the units of what is printed.

use core::fmt;

use crate::{allocation::Allocation, allocator::OffsetAllocator, space::Content};

mod figures;
mod histogram;
mod text_map;

pub use histogram::{BinUsage, Histogram};

use figures::{Bytes, Percent};

/// The state of an allocator in numbers, all sizes in bytes.
///
/// Printed, it is a table.
///
/// # Examples
///
/// ```
/// use mc_offset::{Fit, OffsetAllocator, Options};
///
/// let options = Options { fit: Fit::BinCeil, ..Options::new(4 << 20) };
/// let mut allocator = OffsetAllocator::with_options(options)?;
/// let first = allocator.allocate(300_000)?;
/// let _kept = allocator.allocate(2_000_000)?;
/// allocator.free(first)?;
///
/// let report = allocator.report();
/// assert_eq!(report.free_bytes, 2_097_152);
/// let table = report.to_string();
/// assert!(table.starts_with(
///     "\
/// capacity            4.00 MiB    100.00 %
/// live                1.91 MiB     47.68 %  allocations: 1
/// lost to rounding   94.88 KiB      2.32 %
/// free                2.00 MiB     50.00 %  holes: 2
/// largest hole        1.63 MiB     40.62 %  fragmentation: 18.75 %",
/// ));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// Bytes of the address range.
    pub capacity: u64,
    /// Bytes asked for by the live allocations.
    pub live_bytes: u64,
    /// Bytes that they take; the excess over `live_bytes` is lost to
    /// rounding.
    pub charged_bytes: u64,
    /// Bytes in holes.
    pub free_bytes: u64,
    /// Bytes of the largest hole, as
    /// [`OffsetAllocator::largest_hole`] tells them.
    pub largest_hole: u64,
    /// Live allocations.
    pub allocation_count: u32,
    /// Holes.
    pub hole_count: u32,
    /// Heap bytes of the allocator's own tables.
    pub metadata_bytes: usize,
}

impl Report {
    /// Returns `live_bytes` over `capacity`, from 0 to 1.
    pub fn utilization(&self) -> f64 {
        self.live_bytes as f64 / self.capacity as f64
    }

    /// Returns the share of the free bytes that lies outside `largest_hole`, from
    /// 0 (one hole of which a request can have all, or none) to 1 (at the limit of
    /// live allocations, where no request can have any).
    pub fn fragmentation(&self) -> f64 {
        if self.free_bytes == 0 {
            return 0.0;
        }
        1.0 - self.largest_hole as f64 / self.free_bytes as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |name, bytes| Line {
            name,
            bytes,
            share: bytes as f64 / self.capacity as f64,
        };
        let rounding = self.charged_bytes.saturating_sub(self.live_bytes);
        writeln!(f, "{}", line("capacity", self.capacity))?;
        write!(f, "{}", line("live", self.live_bytes))?;
        writeln!(f, "  allocations: {}", self.allocation_count)?;
        writeln!(f, "{}", line("lost to rounding", rounding))?;
        write!(f, "{}", line("free", self.free_bytes))?;
        writeln!(f, "  holes: {}", self.hole_count)?;
        write!(f, "{}", line("largest hole", self.largest_hole))?;
        writeln!(f, "  fragmentation: {}", Percent(self.fragmentation()))?;
        let tables = Bytes(self.metadata_bytes as u64);
        write!(f, "{:<16} {tables:>11}", "own tables")
    }
}

/// A sum, and its share of the capacity.
struct Line {
    name: &'static str,
    bytes: u64,
    share: f64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, bytes, share } = *self;
        write!(f, "{name:<16} {:>11} {:>11}", Bytes(bytes), Percent(share))
    }
}

/// A stretch of free bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FreeRange {
    /// Offset of the first byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl OffsetAllocator {
    /// Returns the bytes of the address range.
    pub fn capacity(&self) -> u64 {
        self.options().capacity
    }

    /// Returns the sum of the sizes asked for of all live allocations, in
    /// bytes.
    #[inline]
    pub fn live_bytes(&self) -> u64 {
        self.space().live_bytes()
    }

    /// Returns the bytes that the live allocations take, rounding included.
    #[inline]
    pub fn charged_bytes(&self) -> u64 {
        self.space().charged_bytes()
    }

    /// Returns the bytes in all holes.
    #[inline]
    pub fn free_bytes(&self) -> u64 {
        self.space().free_bytes()
    }

    /// Returns a number of bytes that no hole exceeds, in constant time.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn largest_bound(&self) -> u64 {
        self.space().largest_bound()
    }

    /// Returns the number of live allocations.
    #[inline]
    pub fn allocation_count(&self) -> u32 {
        self.space().allocation_count()
    }

    /// Returns the number of holes.
    #[inline]
    pub fn hole_count(&self) -> u32 {
        self.space().hole_count()
    }

    /// Returns the heap bytes of the allocator's own tables.
    pub fn metadata_bytes(&self) -> usize {
        self.space().heap_bytes()
    }

    /// Returns whether the token names a live allocation of this allocator.
    pub fn is_live(&self, allocation: Allocation) -> bool {
        self.space().is_live(allocation)
    }

    /// Returns all sums at once, in constant time.
    pub fn report(&self) -> Report {
        Report {
            capacity: self.capacity(),
            live_bytes: self.live_bytes(),
            charged_bytes: self.charged_bytes(),
            free_bytes: self.free_bytes(),
            largest_hole: self.largest_hole(),
            allocation_count: self.allocation_count(),
            hole_count: self.hole_count(),
            metadata_bytes: self.metadata_bytes(),
        }
    }

    /// Returns the holes in address order; the iterator walks over all nodes.
    pub fn holes(&self) -> impl Iterator<Item = FreeRange> + '_ {
        self.space().spans().filter_map(|span| match span.content {
            Content::Free => Some(FreeRange {
                offset: span.offset,
                size: span.bytes,
            }),
            Content::Live(_) => None,
        })
    }

    /// Returns the tokens of the live allocations in address order; the
    /// iterator walks over all nodes.
    pub fn allocations(&self) -> impl Iterator<Item = Allocation> + '_ {
        self.space().spans().filter_map(|span| match span.content {
            Content::Live(allocation) => Some(allocation),
            Content::Free => None,
        })
    }

    /// Rebuilds everything that the allocator derives and compares, in time
    /// linear in the number of nodes: an aid for tests.
    ///
    /// # Panics
    ///
    /// If sizes do not add up to the capacity, two holes touch, or lists,
    /// bitmaps and counters disagree; the message names the node.
    pub fn check_invariants(&self) {
        self.space().check_invariants();
    }
}
