//! What an allocator tells about its free space.

use crate::bins::BIN_COUNT;

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
