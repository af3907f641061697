//! The allocator: a range of `mc-offset` behind a limit.

use core::{fmt, marker::PhantomData};

use mc_offset::{BinScale, CompactAllocation as Token, Fit, OffsetAllocator, Options};

use crate::{
    index::NodeIndex,
    report::{BIN_COUNT, StorageReport, StorageReportFull, StorageReportFullRegion, bin_size},
};

/// The limit that [`Allocator::new`] sets, where the index type allows it.
const MAX_ALLOCS_DEFAULT: u32 = 128 * 1024;

/// Of `max_allocs`, what `offset-allocator` never gives to allocations: one
/// node for the space behind the last one, and one that it keeps back.
const SPARE_NODES: u32 = 2;

/// What is said when there is no memory for an operation that cannot refuse.
const NO_HEAP: &str = "the heap has no room for the tables of the allocator";

/// Places objects in a range of `u32` units that it never touches.
///
/// See the [crate documentation](crate) for what differs from the type of
/// this name in `offset-allocator`. Printed with `{:?}`, it is its
/// [`storage_report`](Self::storage_report).
///
/// ```
/// use offset_allocator::{Allocation, Allocator};
///
/// let mut allocator: Allocator = Allocator::new(1000);
/// let block: Allocation = allocator.allocate(970).expect("970 of 1000 are free");
/// assert_eq!((block.offset, allocator.allocation_size(block)), (0, 970));
/// assert!(allocator.allocate(31).is_none());
/// allocator.free(block);
/// assert_eq!(allocator.storage_report().largest_free_region, 1000);
/// ```
pub struct Allocator<NI = u32>
where
    NI: NodeIndex,
{
    range: OffsetAllocator,
    /// Allocations of no units that are live; the range knows nothing of them.
    live_empty: u32,
    /// Allocations that the limit still admits.
    admissible: u32,
    size: u32,
    max_allocs: u32,
    index: PhantomData<fn() -> NI>,
}

/// One allocation: plain data, copies of which name the same allocation.
///
/// It takes 24 bytes, as it carries the proof that it is live.
#[derive(Clone, Copy, Debug)]
pub struct Allocation<NI = u32>
where
    NI: NodeIndex,
{
    /// The first unit of the allocation. The allocator does not read it back.
    pub offset: NI,
    /// `None` iff the allocation has no units.
    token: Option<Token>,
}

impl<NI> Allocator<NI>
where
    NI: NodeIndex,
{
    /// Makes an allocator for `size` units with room for 131,070 allocations,
    /// or as many as the index type admits.
    ///
    /// # Panics
    ///
    /// If the heap cannot hold the first tables.
    pub fn new(size: u32) -> Self {
        Self::with_max_allocs(size, MAX_ALLOCS_DEFAULT.min(NI::MAX - 2))
    }

    /// Makes an allocator for `size` units that admits `max_allocs` − 2
    /// allocations at a time.
    ///
    /// The two are what `offset-allocator` needs for itself. Free regions,
    /// which it counts too, do not count here.
    ///
    /// # Panics
    ///
    /// If `max_allocs` is 0 or 1, or exceeds [`NodeIndex::MAX`] − 2; if the
    /// heap cannot hold the first tables.
    pub fn with_max_allocs(size: u32, max_allocs: u32) -> Self {
        assert!(
            (SPARE_NODES..NI::MAX - 1).contains(&max_allocs),
            "max_allocs is {max_allocs}; with this index type it can be {SPARE_NODES} to {}",
            NI::MAX - 2,
        );
        Self {
            range: empty_range(size),
            live_empty: 0,
            admissible: max_allocs - SPARE_NODES,
            size,
            max_allocs,
            index: PhantomData,
        }
    }

    /// Frees all allocations.
    ///
    /// # Panics
    ///
    /// If the heap cannot hold the first tables.
    pub fn reset(&mut self) {
        *self = Self::with_max_allocs(self.size, self.max_allocs);
    }

    /// Finds a place for `size` units, or returns `None` if no free region has
    /// as many, the limit on allocations is reached, or the heap cannot hold
    /// the tables.
    ///
    /// An allocation of 0 units is at offset 0 and takes no space, but counts.
    #[inline]
    pub fn allocate(&mut self, size: u32) -> Option<Allocation<NI>> {
        if self.admissible == 0 {
            return None;
        }
        let Ok(allocated) = self.range.allocate(size.into()) else {
            return (size == 0).then(|| self.allocate_empty());
        };
        self.admissible -= 1;
        Some(Allocation {
            offset: NI::from_u32(narrow(allocated.offset())),
            token: allocated.compact(),
        })
    }

    /// Gives the units of an allocation back.
    ///
    /// # Panics
    ///
    /// If the allocation was freed before, or is another allocator's; no other
    /// allocation is ever freed in its place. Those of 0 units are all alike:
    /// it panics if none of them is live. Also if the heap cannot hold the
    /// record of a free region. Nothing has changed then.
    #[inline]
    #[track_caller]
    pub fn free(&mut self, allocation: Allocation<NI>) {
        let Some(token) = allocation.token else {
            return self.free_empty();
        };
        let Some(live) = self.range.expand(token) else {
            not_live(allocation.offset);
        };
        self.range.free(live).expect(NO_HEAP);
        self.admissible += 1;
    }

    /// Returns the units of an allocation, as many as were asked for; 0 if it
    /// is not live.
    pub fn allocation_size(&self, allocation: Allocation<NI>) -> u32 {
        let live = allocation.token.and_then(|token| self.range.expand(token));
        live.map_or(0, |live| narrow(live.size()))
    }

    /// Returns the sum of the free units and the size of the largest free
    /// region, which is exact; both are 0 while the limit on allocations is
    /// reached. Takes constant time.
    pub fn storage_report(&self) -> StorageReport {
        if self.admissible == 0 {
            return StorageReport {
                total_free_space: 0,
                largest_free_region: 0,
            };
        }
        StorageReport {
            total_free_space: narrow(self.range.free_bytes()),
            largest_free_region: narrow(self.range.largest_hole()),
        }
    }

    /// Returns how many free regions there are of each size, eight sizes to a
    /// doubling, in time linear in the number of regions.
    pub fn storage_report_full(&self) -> StorageReportFull {
        let mut free_regions = [StorageReportFullRegion::default(); BIN_COUNT];
        for (region, bin) in free_regions.iter_mut().zip(0..) {
            region.size = bin_size(bin);
        }
        // The bins of the range are finer, and none lies across two of these.
        for bin in self.range.histogram().bins() {
            let region = BinScale::PUBLISHED.bin_floor(bin.size_min);
            free_regions[region as usize].count += bin.hole_count;
        }
        StorageReportFull { free_regions }
    }

    #[cold]
    fn allocate_empty(&mut self) -> Allocation<NI> {
        self.live_empty += 1;
        self.admissible -= 1;
        Allocation {
            offset: NI::from_u32(0),
            token: None,
        }
    }

    #[cold]
    #[track_caller]
    fn free_empty(&mut self) {
        assert!(self.live_empty > 0, "no allocation of 0 units is live");
        self.live_empty -= 1;
        self.admissible += 1;
    }
}

impl<NI> fmt::Debug for Allocator<NI>
where
    NI: NodeIndex,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.storage_report().fmt(f)
    }
}

/// Returns a range of `size` units that are all free.
fn empty_range(size: u32) -> OffsetAllocator {
    let options = Options {
        fit: Fit::GOOD,
        ..Options::new(size.max(1).into())
    };
    let mut range = OffsetAllocator::with_options(options).expect(NO_HEAP);
    if size == 0 {
        // A range has at least one unit; with it taken, none is left.
        let _taken = range.allocate(1).expect(NO_HEAP);
    }
    range
}

#[cold]
#[track_caller]
fn not_live<NI: NodeIndex>(offset: NI) -> ! {
    let offset = offset.to_usize();
    panic!("the allocation at {offset} was freed before, or is another allocator's");
}

/// Returns units of a range, which number at most `u32::MAX`, in that type.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the capacity of the range came as a u32"
)]
fn narrow(units: u64) -> u32 {
    units as u32
}
