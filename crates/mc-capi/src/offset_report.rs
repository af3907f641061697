//! What an offset allocator tells about itself.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and one takes an array"
)]

use std::mem::MaybeUninit;

use mc_offset::{BinScale, OffsetAllocator};

use crate::{
    call::run,
    fault::Fault,
    offset::{Entry, OFFSETS, Offset},
    raw::{self, required},
    status::Status,
};

/// Regions of `mc_offset_regions`.
const REGION_COUNT: usize = 256;
/// The published bin sizes end here; larger ranges are counted in units of a power of two.
const REGION_UNITS_MAX: u64 = 15 << 28;

/// The sums of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct OffsetReport {
    /// Address of the first byte, as in the options.
    pub base: u64,
    /// Bytes of the range.
    pub capacity: u64,
    /// Bytes asked for by the live allocations.
    pub live_bytes: u64,
    /// Bytes that the live allocations take, rounding included.
    pub charged_bytes: u64,
    /// Bytes in all holes.
    pub free_bytes: u64,
    /// Bytes of the largest hole, exactly.
    pub largest_hole: u64,
    /// Live allocations.
    pub allocation_count: u64,
    /// Holes.
    pub hole_count: u64,
    /// Heap bytes of the allocator's tables.
    pub metadata_bytes: u64,
}

/// Holes of about one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Region {
    /// The smallest size counted here, in bytes.
    pub size: u64,
    /// Holes from this size up to the next region's.
    pub count: u64,
}

/// The holes counted by size: eight regions to a doubling, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Regions {
    /// The regions, the smallest size first.
    pub regions: [Region; 256],
}

/// A live allocation as a report or a list to restore from names it: without proof, so it frees
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Block {
    /// Offset of the first byte from the base.
    pub offset: u64,
    /// Bytes asked for.
    pub size: u64,
    /// A number that no other live allocation of the allocator has; not looked at in a list to
    /// restore from.
    pub node: u64,
}

/// Tells all sums at once. Other threads that use the allocator wait meanwhile.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_describe(
    allocator: Offset,
    out: Option<&mut MaybeUninit<OffsetReport>>,
) -> Status {
    tell(allocator, out, |entry| {
        let report = entry.allocator.report();
        Ok(OffsetReport {
            base: entry.allocator.base(),
            capacity: report.capacity,
            live_bytes: report.live_bytes,
            charged_bytes: report.charged_bytes,
            free_bytes: report.free_bytes,
            largest_hole: report.largest_hole,
            allocation_count: report.allocation_count.into(),
            hole_count: report.hole_count.into(),
            metadata_bytes: report.metadata_bytes as u64,
        })
    })
}

/// Tells a number of bytes that no request can exceed and succeed: a request above it need not be
/// made.
///
/// Takes no lock while no thread keeps freed blocks of `mc_owned`s back; otherwise it
/// merges those first. Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_largest_hole(
    allocator: Offset,
    out: Option<&mut MaybeUninit<u64>>,
) -> Status {
    tell(allocator, out, |entry| {
        Ok(entry.allocator.largest_hole_bound())
    })
}

/// Tells the largest hole as the last thread to change the holes left it; freed blocks that threads
/// keep back are not in it. Reads one number, never takes a lock: for choosing among allocators.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_recent_largest_hole(
    allocator: Offset,
    out: Option<&mut MaybeUninit<u64>>,
) -> Status {
    tell(allocator, out, |entry| {
        Ok(entry.allocator.recent_largest_hole())
    })
}

/// Tells how many bytes a request of `size` takes from the holes; 0 if there is no such request,
/// because `size` is 0 or exceeds the capacity.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_normalized_size(
    allocator: Offset,
    size: u64,
    out: Option<&mut MaybeUninit<u64>>,
) -> Status {
    tell(allocator, out, |entry| {
        Ok(entry.options.charged_size(size).unwrap_or(0))
    })
}

/// Counts the holes by size, in time linear in their number. Other threads that use the allocator
/// wait meanwhile.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_regions(
    allocator: Offset,
    out: Option<&mut MaybeUninit<Regions>>,
) -> Status {
    tell(allocator, out, |entry| {
        Ok(entry.allocator.inspect(count_regions))
    })
}

/// Writes the live allocations in address order to `blocks`, which has room for `room` of them, and
/// their number to `count`.
///
/// Nothing is written to `blocks` if they are more than `room`: the call fails with
/// `MC_STATUS_ARRAY_TOO_SHORT`, and may be made again with room for `count`. `blocks` may be null
/// if `room` is 0. Any thread may call this; other threads that use the allocator wait meanwhile.
/// Fails also with `MC_STATUS_STALE_HANDLE`.
///
/// # Safety
///
/// Room for `room` blocks begins at `blocks`, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_offset_live(
    allocator: Offset,
    blocks: *mut Block,
    room: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> Status {
    run(|| {
        let count = required(count, "count")?;
        // SAFETY: the caller's clause.
        let blocks = unsafe { raw::room(blocks, room, "blocks") }?;
        OFFSETS.with(allocator.id, |entry| {
            entry.allocator.inspect(|core| {
                let live = core.allocations().map(|allocation| Block {
                    offset: allocation.offset(),
                    size: allocation.size(),
                    node: allocation.node().into(),
                });
                raw::fill(blocks, count, core.allocation_count() as usize, live)
            })
        })
    })
}

fn tell<T>(
    allocator: Offset,
    out: Option<&mut MaybeUninit<T>>,
    read: impl FnOnce(&Entry) -> Result<T, Fault>,
) -> Status {
    run(|| {
        let out: &mut MaybeUninit<T> = required(out, "out")?;
        out.write(OFFSETS.with(allocator.id, read)?);
        Ok(())
    })
}

fn count_regions(core: &OffsetAllocator) -> Regions {
    let unit_log2 = (0..u64::BITS)
        .find(|&log2| core.capacity() >> log2 <= REGION_UNITS_MAX)
        .unwrap_or(0);
    let mut regions = [Region::default(); REGION_COUNT];
    for (region, at) in regions.iter_mut().zip(0..) {
        let units = BinScale::PUBLISHED.bin_size(at);
        region.size = units.unwrap_or(0).unbounded_shl(unit_log2);
    }
    for hole in core.holes() {
        regions[region_of(hole.size >> unit_log2)].count += 1;
    }
    Regions { regions }
}

/// Returns the region of so many units, at most [`REGION_UNITS_MAX`].
fn region_of(units: u64) -> usize {
    let region = BinScale::PUBLISHED.bin_floor(units) as usize;
    region.min(REGION_COUNT - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region_units(region: u32) -> u64 {
        BinScale::PUBLISHED.bin_size(region).unwrap()
    }

    #[test]
    fn regions_end_with_the_largest_published_bin() {
        assert_eq!(region_units(239), REGION_UNITS_MAX);
    }

    #[test]
    fn a_region_holds_the_sizes_from_its_own_to_the_next() {
        for region in 0..239 {
            let (from, to) = (region_units(region), region_units(region + 1));
            assert_eq!(region_of(from), region as usize);
            assert_eq!(region_of(to - 1), region as usize);
        }
        assert_eq!(region_of(REGION_UNITS_MAX), 239);
    }
}
