//! What can be asked of an allocator: sums, holes, allocations, invariants.
//!
//! Each file below knows one thing: `histogram` the holes by size, `text_map`
//! the pool as a line of characters, `figures` the units of what is printed.

use core::fmt;

use crate::{allocation::Allocation, allocator::OffsetAllocator, nodes::Content, options::Options};

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
/// largest hole        1.69 MiB     42.19 %  fragmentation: 15.62 %",
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
    /// Bytes of the largest hole.
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

    /// Returns the share of the free bytes that lies outside the largest
    /// hole, from 0 (one hole or none) to nearly 1.
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
    /// Returns the options that the allocator was made from.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the bytes of the address range.
    pub fn capacity(&self) -> u64 {
        self.options.capacity
    }

    /// Returns the sum of the sizes asked for of all live allocations, in
    /// bytes.
    #[inline]
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Returns the bytes that the live allocations take, rounding included.
    #[inline]
    pub fn charged_bytes(&self) -> u64 {
        self.charged_bytes
    }

    /// Returns the bytes in all holes.
    #[inline]
    pub fn free_bytes(&self) -> u64 {
        self.options.capacity - self.charged_bytes
    }

    /// Returns the exact size of the largest hole in bytes, 0 if there is
    /// none.
    ///
    /// Takes constant time if a request was refused since a largest hole last
    /// went, otherwise it reads the holes of the highest bin.
    pub fn largest_hole(&self) -> u64 {
        self.holes.largest().max(self.parked.charge)
    }

    /// Returns a number of bytes that no hole exceeds, in constant time.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn largest_bound(&self) -> u64 {
        self.holes.largest_bound().max(self.parked.charge)
    }

    /// Returns the number of live allocations.
    #[inline]
    pub fn allocation_count(&self) -> u32 {
        self.chain.len() - self.hole_count()
    }

    /// Returns the number of holes.
    #[inline]
    pub fn hole_count(&self) -> u32 {
        self.holes.len() + u32::from(self.parked.is_some())
    }

    /// Returns the heap bytes of the allocator's own tables.
    pub fn metadata_bytes(&self) -> usize {
        self.chain.heap_bytes() + self.holes.heap_bytes()
    }

    /// Returns whether the token names a live allocation of this allocator.
    pub fn is_live(&self, allocation: Allocation) -> bool {
        self.chain
            .allocation(allocation.node(), allocation.serial())
            .is_some()
    }

    /// Returns all sums at once; as fast as
    /// [`largest_hole`](Self::largest_hole).
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

    /// Returns the holes in address order.
    pub fn holes(&self) -> impl Iterator<Item = FreeRange> + '_ {
        let mut offset = 0;
        self.chain.iter().filter_map(move |index| {
            let start = offset;
            let content = self.chain.node(index).content();
            offset += self.content_bytes(content);
            content.is_free().then_some(FreeRange {
                offset: start,
                size: offset - start,
            })
        })
    }

    /// Returns the tokens of the live allocations in address order.
    pub fn allocations(&self) -> impl Iterator<Item = Allocation> + '_ {
        let mut offset = 0;
        self.chain.iter().filter_map(move |index| {
            let start = offset;
            let content = self.chain.node(index).content();
            offset += self.content_bytes(content);
            match content {
                Content::Allocation { requested, serial } => {
                    Some(Allocation::new(start, requested, serial, index))
                }
                Content::Hole(_) | Content::Parked { .. } | Content::Anchor => None,
            }
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
        self.chain.check_invariants();
        self.holes.check_invariants();
        let (mut offset, mut live, mut charged) = (0, 0, 0);
        let mut was_free = false;
        for index in self.chain.iter() {
            let content = self.chain.node(index).content();
            match content {
                Content::Hole(record) => {
                    let hole = self.holes.hole(record);
                    assert_eq!(hole.node, index, "hole {record} names another node");
                    assert_eq!(hole.offset, offset, "hole of node {index} is misplaced");
                }
                Content::Allocation { requested, .. } => {
                    live += requested;
                    charged += self.content_bytes(content);
                }
                Content::Parked { .. } => {
                    assert_eq!(self.parked.node, index, "node {index} is parked unknown");
                    assert_eq!(self.parked.offset, offset, "node {index} is misplaced");
                    assert_eq!(self.parked.charge, self.content_bytes(content));
                }
                Content::Anchor => panic!("the anchor is linked at offset {offset}"),
            }
            assert!(
                !(was_free && content.is_free()),
                "the hole of node {index} touches the one before"
            );
            was_free = content.is_free();
            offset += self.content_bytes(content);
            let granule = self.options.granule;
            assert!(
                offset.is_multiple_of(granule),
                "node {index} ends off the granule"
            );
        }
        assert_eq!(
            offset,
            self.capacity(),
            "the nodes do not cover the capacity"
        );
        assert_eq!(live, self.live_bytes, "the sum of requested bytes is wrong");
        assert_eq!(
            charged, self.charged_bytes,
            "the sum of charged bytes is wrong"
        );
    }

    pub(crate) fn content_bytes(&self, content: Content) -> u64 {
        match content {
            Content::Allocation { requested, .. } | Content::Parked { requested } => {
                self.charge(requested)
            }
            Content::Hole(record) => self.holes.hole(record).size,
            Content::Anchor => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::OffsetAllocator;

    #[test]
    #[should_panic(expected = "the sum of requested bytes is wrong")]
    fn a_sum_that_is_wrong_is_noticed() {
        let mut allocator = OffsetAllocator::new(1000).unwrap();
        allocator.live_bytes += 1;
        allocator.check_invariants();
    }
}
