//! The range as it is walked: one span for each allocation and each hole.

use super::{
    Space,
    chain::{self, ANCHOR, Node},
};
use crate::{allocation::Allocation, steps};

/// What a span holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Free,
    Live(Allocation),
}

/// A stretch of the range, as long as one allocation or one hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The nodes before and behind it, so that a walk reads each node once.
    prev: u32,
    next: u32,
    pub(crate) offset: u64,
    /// Bytes that it takes.
    pub(crate) bytes: u64,
    pub(crate) content: Content,
}

impl Span {
    #[inline]
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes
    }

    /// Returns the bytes if the span is free.
    #[inline]
    pub(crate) fn free_bytes(&self) -> u64 {
        match self.content {
            Content::Free => self.bytes,
            Content::Live(_) => 0,
        }
    }
}

impl Space {
    /// Walks over all spans in address order.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        let first = self.span_at(self.chain.node(ANCHOR).next, 0);
        core::iter::successors(first, |span| self.span_after(span))
    }

    /// Returns the span with the highest offset.
    pub(crate) fn last_span(&self) -> Option<Span> {
        self.span_ending(self.chain.node(ANCHOR).prev, self.options.capacity)
    }

    /// Returns the span of a live allocation.
    pub(crate) fn span_of(&self, allocation: Allocation) -> Span {
        debug_assert!(self.is_live(allocation));
        let &Node { prev, next, .. } = self.chain.node(allocation.node());
        Span {
            prev,
            next,
            offset: allocation.offset(),
            bytes: self.charge(allocation.size()),
            content: Content::Live(allocation),
        }
    }

    /// Returns the span of a hole, by the hole's index.
    pub(crate) fn span_of_hole(&self, hole: u32) -> Span {
        let hole = self.holes.hole(hole);
        let &Node { prev, next, .. } = self.chain.node(hole.node);
        Span {
            prev,
            next,
            offset: hole.offset,
            bytes: hole.size,
            content: Content::Free,
        }
    }

    pub(crate) fn span_after(&self, span: &Span) -> Option<Span> {
        self.span_at(span.next, span.end())
    }

    pub(crate) fn span_before(&self, span: &Span) -> Option<Span> {
        self.span_ending(span.prev, span.offset)
    }

    /// Returns the bytes that are free right before a span.
    pub(crate) fn free_before(&self, span: &Span) -> u64 {
        self.free_bytes_of(span.prev)
    }

    /// Returns the bytes that are free right behind a span.
    pub(crate) fn free_after(&self, span: &Span) -> u64 {
        self.free_bytes_of(span.next)
    }

    /// Returns the bytes of a node if it is free; the node of an allocation is
    /// not read.
    fn free_bytes_of(&self, node: u32) -> u64 {
        if self.chain.is_hole(node) {
            self.holes.hole(self.chain.hole_of(node)).size
        } else if node == self.parked.node {
            self.parked.charge()
        } else {
            0
        }
    }

    /// Returns the span of a node that begins at `offset`.
    pub(super) fn span_at(&self, node: u32, offset: u64) -> Option<Span> {
        self.span(node, |_| offset)
    }

    fn span_ending(&self, node: u32, end: u64) -> Option<Span> {
        self.span(node, |bytes| end - bytes)
    }

    /// Returns the span of a node, of which its bytes tell where it begins;
    /// `None` of the anchor.
    #[inline]
    fn span(&self, node: u32, offset: impl FnOnce(u64) -> u64) -> Option<Span> {
        steps::note(1);
        let record = self.chain.node(node);
        let (bytes, allocation) = match record.content() {
            chain::Content::Allocation { requested, serial } => {
                (self.charge(requested), Some((requested, serial)))
            }
            chain::Content::Hole(hole) => (self.holes.hole(hole).size, None),
            chain::Content::Parked { requested } => (self.charge(requested), None),
            chain::Content::Anchor => return None,
        };
        let offset = offset(bytes);
        let content = allocation.map_or(Content::Free, |(size, serial)| {
            Content::Live(Allocation::new(offset, size, serial, node))
        });
        Some(Span {
            prev: record.prev,
            next: record.next,
            offset,
            bytes,
            content,
        })
    }

    /// Returns the token of the live allocation of a node, by its serial and
    /// its offset.
    pub(crate) fn live(&self, node: u32, serial: u64, offset: u64) -> Option<Allocation> {
        self.chain.allocation(node, serial)?;
        match self.chain.node(node).content() {
            chain::Content::Allocation { requested, serial } => {
                Some(Allocation::new(offset, requested, serial, node))
            }
            chain::Content::Hole(_) | chain::Content::Parked { .. } | chain::Content::Anchor => {
                None
            }
        }
    }

    /// Rebuilds everything that is derived and compares, in time linear in the
    /// number of nodes.
    pub(crate) fn check_invariants(&self) {
        self.chain.check_invariants();
        self.holes.check_invariants();
        let (mut offset, mut live, mut charged) = (0, 0, 0);
        let mut was_free = false;
        for index in self.chain.iter() {
            let content = self.chain.node(index).content();
            let bytes = self.span_at(index, offset).map_or(0, |span| span.bytes);
            match content {
                chain::Content::Hole(record) => {
                    let hole = self.holes.hole(record);
                    assert_eq!(hole.node, index, "hole {record} names another node");
                    assert_eq!(hole.offset, offset, "hole of node {index} is misplaced");
                }
                chain::Content::Allocation { requested, .. } => {
                    live += requested;
                    charged += bytes;
                }
                chain::Content::Parked { .. } => {
                    assert_eq!(self.parked.node, index, "node {index} is parked unknown");
                    assert_eq!(self.parked.offset, offset, "node {index} is misplaced");
                    assert_eq!(self.parked.charge(), bytes, "node {index} is missized");
                }
                chain::Content::Anchor => panic!("the anchor is linked at offset {offset}"),
            }
            assert!(
                !(was_free && content.is_free()),
                "the hole of node {index} touches the one before"
            );
            was_free = content.is_free();
            offset += bytes;
            let granule = self.options.granule;
            assert!(
                offset.is_multiple_of(granule),
                "node {index} ends off the granule"
            );
        }
        let capacity = self.options.capacity;
        assert_eq!(offset, capacity, "the nodes do not cover the capacity");
        assert_eq!(live, self.live_bytes, "the sum of requested bytes is wrong");
        assert_eq!(
            charged, self.charged_bytes,
            "the sum of charged bytes is wrong"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    #[should_panic(expected = "the sum of requested bytes is wrong")]
    fn a_sum_that_is_wrong_is_noticed() {
        let mut space = Space::new(Options::new(1000)).unwrap();
        space.live_bytes += 1;
        space.check_invariants();
    }

    #[test]
    fn spans_are_walked_both_ways() {
        let mut draft = crate::space::Draft::new(Options::new(100)).unwrap();
        let first = draft.push_allocation(0, 30).unwrap();
        draft.push_hole(30, 80).unwrap();
        let second = draft.push_allocation(80, 20).unwrap();
        let space = draft.finish();
        let spans: alloc::vec::Vec<_> = space.spans().collect();
        assert_eq!(spans.len(), 3);
        assert_eq!(spans[0], space.span_of(first));
        assert_eq!((spans[1].offset, spans[1].free_bytes()), (30, 50));
        assert_eq!(space.last_span(), Some(space.span_of(second)));
        for pair in spans.windows(2) {
            assert_eq!(space.span_before(&pair[1]), Some(pair[0]));
            assert_eq!(space.span_after(&pair[0]), Some(pair[1]));
            assert_eq!(space.free_before(&pair[1]), pair[0].free_bytes());
            assert_eq!(space.free_after(&pair[0]), pair[1].free_bytes());
        }
        assert_eq!(space.free_before(&spans[0]), 0);
        assert_eq!(space.free_after(&spans[2]), 0);
        assert_eq!(space.span_before(&spans[0]), None);
        assert_eq!(space.span_after(&spans[2]), None);
    }

    #[test]
    fn a_parked_block_is_free_for_those_beside_it() {
        let mut draft = crate::space::Draft::new(Options::new(100)).unwrap();
        let below = draft.push_allocation(0, 30).unwrap();
        let middle = draft.push_allocation(30, 50).unwrap();
        let above = draft.push_allocation(80, 20).unwrap();
        let mut space = draft.finish();
        space.set_sizes_repeat(true);
        assert!(space.park(middle));
        assert_eq!(space.free_after(&space.span_of(below)), 50);
        assert_eq!(space.free_before(&space.span_of(above)), 50);
    }
}
