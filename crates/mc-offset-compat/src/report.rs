//! What an allocator tells about its free space.

use mc_offset::BinScale;

/// Sizes that a report distinguishes.
pub(crate) const BIN_COUNT: usize = 256;

/// Returns the size of a bin: 32 bits of it, which is all for those of a `u32`, 0 to 239.
pub(crate) fn bin_size(bin: u32) -> u32 {
    let size = BinScale::PUBLISHED.bin_size(bin).unwrap_or(0);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the others have no size in a report"
    )]
    {
        size as u32
    }
}

/// The free space in two numbers.
#[derive(Debug)]
pub struct StorageReport {
    /// Free units, in however many regions; 0 while the limit on allocations
    /// is reached.
    pub total_free_space: u32,
    /// Units of the largest request that would succeed.
    pub largest_free_region: u32,
}

/// The free regions counted by size.
#[derive(Debug)]
pub struct StorageReportFull {
    /// One entry for each size that is told apart, the smallest first.
    pub free_regions: [StorageReportFullRegion; BIN_COUNT],
}

/// The free regions of about one size.
#[derive(Clone, Copy, Debug, Default)]
pub struct StorageReportFullRegion {
    /// Units that each of these regions has at least; it has fewer than the
    /// next entry says.
    pub size: u32,
    /// Free regions.
    pub count: u32,
}

impl Default for StorageReportFull {
    fn default() -> Self {
        Self {
            free_regions: [StorageReportFullRegion::default(); BIN_COUNT],
        }
    }
}
