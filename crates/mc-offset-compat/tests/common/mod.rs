//! One trait over the two crates of the same interface, and the ranges that
//! an allocator has to keep apart.

use std::collections::BTreeMap;

/// What can be done with an allocator of either crate.
pub(crate) trait Interface: Sized {
    type Block: Copy;

    fn with_max_allocs(size: u32, max_allocs: u32) -> Self;
    fn allocate(&mut self, size: u32) -> Option<Self::Block>;
    fn free(&mut self, block: Self::Block);
    fn reset(&mut self);
    fn allocation_size(&self, block: Self::Block) -> u32;
    /// Returns total free space and largest free region.
    fn report(&self) -> (u32, u32);
    /// Returns size and count of the 256 regions.
    fn report_full(&self) -> Vec<(u32, u32)>;
    fn offset(block: Self::Block) -> u32;
}

/// Implements [`Interface`] by one text for both crates.
macro_rules! implement_interface {
    ($($library:ident, $index:ty;)*) => {$(
        impl Interface for ::$library::Allocator<$index> {
            type Block = ::$library::Allocation<$index>;

            fn with_max_allocs(size: u32, max_allocs: u32) -> Self {
                Self::with_max_allocs(size, max_allocs)
            }

            fn allocate(&mut self, size: u32) -> Option<Self::Block> {
                self.allocate(size)
            }

            fn free(&mut self, block: Self::Block) {
                self.free(block);
            }

            fn reset(&mut self) {
                self.reset();
            }

            fn allocation_size(&self, block: Self::Block) -> u32 {
                self.allocation_size(block)
            }

            fn report(&self) -> (u32, u32) {
                let report = self.storage_report();
                (report.total_free_space, report.largest_free_region)
            }

            fn report_full(&self) -> Vec<(u32, u32)> {
                let regions = self.storage_report_full().free_regions;
                regions.iter().map(|region| (region.size, region.count)).collect()
            }

            fn offset(block: Self::Block) -> u32 {
                block.offset.into()
            }
        }
    )*};
}

implement_interface! {
    offset_allocator, u32;
    offset_allocator, u16;
    original, u32;
    original, u16;
}

/// An allocator, and the ranges of its live blocks by offset.
pub(crate) struct Checked<A: Interface> {
    pub(crate) allocator: A,
    size: u32,
    ranges: BTreeMap<u32, u32>,
    pub(crate) live_units: u32,
}

impl<A: Interface> Checked<A> {
    pub(crate) fn new(size: u32, max_allocs: u32) -> Self {
        Self {
            allocator: A::with_max_allocs(size, max_allocs),
            size,
            ranges: BTreeMap::new(),
            live_units: 0,
        }
    }

    /// Allocates, and checks that the place is inside and nobody else's.
    #[track_caller]
    pub(crate) fn allocate(&mut self, size: u32) -> Option<A::Block> {
        let block = self.allocator.allocate(size)?;
        let start = A::offset(block);
        let end = start.checked_add(size).expect("the end is a u32");
        assert!(end <= self.size, "{start}..{end} leaves the range");
        assert_eq!(self.allocator.allocation_size(block), size);
        let before = self.ranges.range(..=start).next_back();
        assert!(
            before.is_none_or(|(&at, &size)| at + size <= start),
            "{start}..{end} overlaps the block before"
        );
        let after = self.ranges.range(start..).next();
        assert!(
            after.is_none_or(|(&at, _)| end <= at),
            "{start}..{end} overlaps the block behind"
        );
        self.ranges.insert(start, end - start);
        self.live_units += size;
        Some(block)
    }

    #[track_caller]
    pub(crate) fn free(&mut self, block: A::Block) {
        let size = self.ranges.remove(&A::offset(block));
        assert_eq!(size, Some(self.allocator.allocation_size(block)));
        self.live_units -= self.allocator.allocation_size(block);
        self.allocator.free(block);
    }

    pub(crate) fn reset(&mut self) {
        self.allocator.reset();
        self.ranges.clear();
        self.live_units = 0;
    }

    pub(crate) fn live_blocks(&self) -> usize {
        self.ranges.len()
    }

    /// Returns the sizes of the gaps between the live blocks.
    pub(crate) fn gaps(&self) -> Vec<u32> {
        let mut end = 0;
        let mut gaps = Vec::new();
        for (&start, &size) in self.ranges.iter().chain([(&self.size, &0)]) {
            gaps.extend((start > end).then(|| start - end));
            end = start + size;
        }
        gaps
    }

    pub(crate) fn largest_gap(&self) -> u32 {
        self.gaps().into_iter().max().unwrap_or(0)
    }
}
