//! The holes counted by size.

use alloc::vec::Vec;
use core::fmt;

use super::figures::Bytes;
use crate::allocator::OffsetAllocator;

/// Characters of the longest bar.
const BAR_WIDTH: u128 = 32;

/// The holes of one bin in a [`Histogram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BinUsage {
    /// The smallest size that is filed in the bin, in bytes.
    pub size_min: u64,
    /// The largest size that is filed in the bin, in bytes.
    pub size_max: u64,
    /// Holes in the bin.
    pub hole_count: u32,
    /// Bytes in those holes.
    pub free_bytes: u64,
}

/// The bins that have holes, the smallest sizes first.
///
/// Printed, it is a table with a bar for the free bytes of each bin.
///
/// # Examples
///
/// ```
/// use mc_offset::OffsetAllocator;
///
/// let mut allocator = OffsetAllocator::new(10_000)?;
/// let blocks: Vec<_> = (0..8).map(|_| allocator.allocate(1000)).collect::<Result<_, _>>()?;
/// allocator.free(blocks[1])?;
/// allocator.free(blocks[4])?;
/// assert_eq!(
///     allocator.histogram().to_string(),
///     "\
/// hole size                   holes         free
/// 992 B to 1007 B                 2     1.95 KiB ################################
/// 1.94 KiB to 1.97 KiB            1     1.95 KiB ################################",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Histogram {
    bins: Vec<BinUsage>,
}

impl Histogram {
    /// Returns the bins that have holes, the smallest sizes first.
    pub fn bins(&self) -> &[BinUsage] {
        &self.bins
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fullest = self.bins.iter().map(|bin| bin.free_bytes).max();
        let Some(fullest) = fullest else {
            return f.write_str("no holes");
        };
        write!(f, "{:<24}{:>9}{:>13}", "hole size", "holes", "free")?;
        for bin in &self.bins {
            let sizes = alloc::format!("{} to {}", Bytes(bin.size_min), Bytes(bin.size_max));
            let free = Bytes(bin.free_bytes);
            write!(f, "\n{sizes:<24}{:>9}{free:>13} ", bin.hole_count)?;
            let bar = u128::from(bin.free_bytes) * BAR_WIDTH / u128::from(fullest);
            (0..bar).try_for_each(|_| f.write_str("#"))?;
        }
        Ok(())
    }
}

impl OffsetAllocator {
    /// Returns the bins that have holes, the smallest sizes first, in time
    /// linear in the number of holes.
    pub fn histogram(&self) -> Histogram {
        let holes = self.space().holes();
        let scale = holes.scale();
        let parked = Some(self.space().parked_bytes()).filter(|&size| size != 0);
        let usage = |bin| {
            let filed = holes.in_bin(bin).map(|index| holes.hole(index).size);
            let parked = parked.filter(|&size| scale.bin_floor(size) == bin);
            let empty = BinUsage {
                size_min: scale.bin_size(bin).unwrap_or(u64::MAX),
                size_max: scale.bin_last_size(bin),
                hole_count: 0,
                free_bytes: 0,
            };
            filed.chain(parked).fold(empty, |usage, size| BinUsage {
                hole_count: usage.hole_count + 1,
                free_bytes: usage.free_bytes + size,
                ..usage
            })
        };
        let mut bins = *holes.bins();
        if let Some(size) = parked {
            bins.insert(scale.bin_floor(size));
        }
        Histogram {
            bins: bins.iter_from(0).map(usage).collect(),
        }
    }
}
