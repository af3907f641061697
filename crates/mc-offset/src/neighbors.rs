//! What lies beside an allocation: walks over the range in either direction.

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    nodes::{ANCHOR, Content},
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
        self.walk_up(self.chain.node(ANCHOR).next, 0)
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
        is_live.then(|| self.walk_up(allocation.node(), allocation.offset()))
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
        is_live.then(|| self.walk_down(allocation.node(), allocation.offset()))
    }

    fn walk_up(&self, first: u32, offset: u64) -> impl Iterator<Item = Neighbor> + '_ {
        let (mut node, mut offset) = (first, offset);
        core::iter::from_fn(move || {
            let neighbor = self.neighbor(node, |_| offset)?;
            offset += neighbor.size;
            node = self.chain.node(node).next;
            Some(neighbor)
        })
    }

    /// Walks over what ends at `end` and is linked before a node.
    fn walk_down(&self, above: u32, end: u64) -> impl Iterator<Item = Neighbor> + '_ {
        let (mut node, mut end) = (above, end);
        core::iter::from_fn(move || {
            let below = self.chain.node(node).prev;
            let neighbor = self.neighbor(below, |size| end - size)?;
            (node, end) = (below, neighbor.offset);
            Some(neighbor)
        })
    }

    /// Returns what a node stands for, unless it is the end of the chain.
    fn neighbor(&self, node: u32, offset: impl FnOnce(u64) -> u64) -> Option<Neighbor> {
        let content = self.chain.node(node).content();
        let size = self.content_bytes(content);
        let allocation = |offset| match content {
            Content::Allocation { requested, serial } => {
                Some(Allocation::new(offset, requested, serial, node))
            }
            Content::Hole(_) | Content::Parked { .. } | Content::Anchor => None,
        };
        (content != Content::Anchor).then(|| {
            let offset = offset(size);
            Neighbor {
                offset,
                size,
                allocation: allocation(offset),
            }
        })
    }
}
