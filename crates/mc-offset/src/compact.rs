//! The token of an allocation in half the room, for those who keep many.

use core::num::NonZeroU64;

use crate::{allocation::Allocation, allocator::OffsetAllocator};

/// An [`Allocation`] in 16 bytes: its proof and, below 2^32, its offset.
///
/// It leaves the size out, which the allocator knows while the allocation is
/// live. So it cannot be freed as it is:
/// [`expand`](OffsetAllocator::expand) gives the token back, and only if that
/// is live, as sure as the token itself tells.
///
/// # Examples
///
/// ```
/// use mc_offset::OffsetAllocator;
///
/// let mut segment = OffsetAllocator::new(1 << 40)?;
/// let page = segment.allocate(1 << 33)?;
/// let index = segment.allocate(4096)?;
/// let compact = page.compact().expect("it begins below 2^32");
/// assert!(index.compact().is_none(), "it begins at 2^33");
/// assert_eq!(segment.expand(compact), Some(page));
/// segment.free(page)?;
/// assert_eq!(segment.expand(compact), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "dropping the token loses the only way to free the allocation"]
pub struct CompactAllocation {
    serial: NonZeroU64,
    node: u32,
    offset: u32,
}

const _: () = assert!(
    size_of::<Option<CompactAllocation>>() == 16,
    "a compact token is half a token"
);

impl CompactAllocation {
    /// Bits of an offset that the token can carry: in a range of up to 2 to
    /// this power bytes, every allocation has a compact token.
    pub const OFFSET_BITS: u32 = u32::BITS;
}

impl Allocation {
    /// Returns the token in 16 bytes, or `None` if its offset does not fit 32
    /// bits.
    #[inline]
    pub fn compact(self) -> Option<CompactAllocation> {
        Some(CompactAllocation {
            serial: NonZeroU64::new(self.serial())?,
            node: self.node(),
            offset: self.offset().try_into().ok()?,
        })
    }
}

impl OffsetAllocator {
    /// Returns the token that was made [compact](Allocation::compact), or
    /// `None` if it is not live here; in constant time.
    #[inline]
    pub fn expand(&self, compact: CompactAllocation) -> Option<Allocation> {
        let CompactAllocation {
            serial,
            node,
            offset,
        } = compact;
        self.space().live(node, serial.get(), offset.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_up_to_32_bits_have_a_compact_token() {
        let mut allocator = OffsetAllocator::new(1 << 40).unwrap();
        for (offset, is_compact) in [(0, true), (u32::MAX.into(), true), (1 << 32, false)] {
            let token = allocator.allocate_at(offset, 1).unwrap();
            let expanded = token.compact().map(|compact| allocator.expand(compact));
            assert_eq!(expanded, is_compact.then_some(Some(token)), "{offset}");
        }
    }

    #[test]
    fn compact_tokens_expand_only_where_and_while_they_are_live() {
        let mut allocator = OffsetAllocator::new(1000).unwrap();
        let [first, _second] = [(); 2].map(|()| allocator.allocate(100).unwrap());
        let compact = first.compact().unwrap();
        assert_eq!(OffsetAllocator::new(1000).unwrap().expand(compact), None);
        allocator.free(first).unwrap();
        assert_eq!(allocator.expand(compact), None);
        let again = allocator.allocate(100).unwrap();
        assert_eq!(again.offset(), first.offset());
        assert_eq!(allocator.expand(compact), None);
        assert_eq!(allocator.expand(again.compact().unwrap()), Some(again));
    }
}
