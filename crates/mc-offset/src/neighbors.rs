//! What lies beside an allocation: walks over the range in either direction.

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    space::{Content, Span},
};

/// One stretch of the range on a walk over it: an allocation or a hole.
///
/// The stretches of a walk tile the range without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Neighbor {
    /// Offset of the first byte.
    pub offset: u64,
    /// Bytes of the stretch; those charged for an allocation, which may be more
    /// than were asked for.
    pub size: u64,
    /// The allocation, or `None` for a hole.
    pub allocation: Option<Allocation>,
}

impl OffsetAllocator {
    /// Walks over the whole range from its first byte on.
    ///
    /// Each step takes constant time.
    pub fn stretches(&self) -> impl Iterator<Item = Neighbor> + '_ {
        self.space().spans().map(Neighbor::from)
    }

    /// Walks from an allocation upwards: it comes first itself.
    ///
    /// Returns `None` if the allocation is not live. Each step takes constant
    /// time.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::OffsetAllocator;
    ///
    /// let mut allocator = OffsetAllocator::new(100)?;
    /// let [a, b] = [allocator.allocate(30)?, allocator.allocate(50)?];
    /// let above: Vec<_> = allocator.neighbors_from(a).expect("it is live").collect();
    /// assert_eq!(above.len(), 3, "both allocations and the hole");
    /// assert_eq!((above[1].offset, above[1].allocation), (30, Some(b)));
    /// assert_eq!((above[2].size, above[2].allocation), (20, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn neighbors_from(
        &self,
        allocation: Allocation,
    ) -> Option<impl Iterator<Item = Neighbor> + '_> {
        let is_live = self.is_live(allocation);
        is_live.then(|| {
            let space = self.space();
            let first = Some(space.span_of(allocation));
            core::iter::successors(first, |span| space.span_after(span)).map(Neighbor::from)
        })
    }

    /// Walks from an allocation downwards: what lies right below it comes
    /// first.
    ///
    /// Returns `None` if the allocation is not live. Each step takes constant
    /// time.
    pub fn neighbors_below(
        &self,
        allocation: Allocation,
    ) -> Option<impl Iterator<Item = Neighbor> + '_> {
        let is_live = self.is_live(allocation);
        is_live.then(|| {
            let space = self.space();
            let first = space.span_before(&space.span_of(allocation));
            core::iter::successors(first, |span| space.span_before(span)).map(Neighbor::from)
        })
    }
}

impl From<Span> for Neighbor {
    fn from(span: Span) -> Self {
        Self {
            offset: span.offset,
            size: span.bytes,
            allocation: match span.content {
                Content::Live(allocation) => Some(allocation),
                Content::Free => None,
            },
        }
    }
}
