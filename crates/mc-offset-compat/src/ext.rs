//! What `offset-allocator` adds to the allocator that it is a port of.

use mc_offset::BinScale;

use crate::report::bin_size;

/// Returns a size of an allocator in which an object of `needed_object_size`
/// units fits: the next of the sizes that the reports list, or
/// `needed_object_size` itself above the last of those that `u32` holds.
///
/// These are the values of `offset-allocator`, which has to have that much,
/// except above 4,026,531,840, where it returns 0. Here an allocator of
/// `needed_object_size` units is large enough.
///
/// ```
/// assert_eq!(offset_allocator::ext::min_allocator_size(4281), 4608);
/// assert_eq!(offset_allocator::ext::min_allocator_size(u32::MAX), u32::MAX);
/// ```
pub fn min_allocator_size(needed_object_size: u32) -> u32 {
    let bin = BinScale::PUBLISHED.bin_ceil(u64::from(needed_object_size));
    bin_size(bin).max(needed_object_size)
}
