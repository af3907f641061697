//! Allocations that count as holes, since nothing is lost with them.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{
    allocation::Allocation,
    space::{Space, Span},
};

/// Allocations that a plan may evict at no cost, wherever they are.
#[derive(Debug)]
pub(super) struct Spares {
    /// In address order.
    spans: Vec<(Allocation, Span)>,
    /// What they leave, merged with the holes beside them, in address order.
    rooms: Vec<Range<u64>>,
}

impl Spares {
    /// Looks up those that are live.
    pub(super) fn new(space: &Space, allocations: &[Allocation]) -> Self {
        let live = allocations
            .iter()
            .filter(|&&allocation| space.is_live(allocation));
        let mut spans: Vec<_> = live
            .map(|&allocation| (allocation, space.span_of(allocation)))
            .collect();
        spans.sort_unstable_by_key(|(_, span)| span.offset);
        spans.dedup_by_key(|(_, span)| span.offset);
        let mut rooms: Vec<Range<u64>> = Vec::new();
        for (_, span) in &spans {
            let free = |beside: Option<Span>| beside.map_or(0, |beside| beside.free_bytes());
            let start = span.offset - free(space.span_before(span));
            let end = span.end() + free(space.span_after(span));
            match rooms.last_mut() {
                Some(last) if start <= last.end => last.end = end,
                _ => rooms.push(start..end),
            }
        }
        Self { spans, rooms }
    }

    pub(super) fn has(&self, allocation: &Allocation) -> bool {
        let at = self
            .spans
            .binary_search_by_key(&allocation.offset(), |(_, span)| span.offset);
        at.is_ok_and(|at| self.spans[at].0 == *allocation)
    }

    pub(super) fn spans(&self) -> impl ExactSizeIterator<Item = Span> + '_ {
        self.spans.iter().map(|(_, span)| *span)
    }

    /// Returns what they leave outside of a range.
    pub(super) fn rooms_outside(&self, range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let Range { start, end } = *range;
        let outside = self.rooms.iter().flat_map(move |room| {
            [
                room.start..room.end.min(start),
                room.start.max(end)..room.end,
            ]
        });
        outside.filter(|room| !room.is_empty())
    }

    /// Returns those that lie in one of some ranges.
    pub(super) fn in_any(&self, ranges: &[Range<u64>]) -> impl Iterator<Item = Allocation> {
        let is_in = |span: &Span| {
            let mut ranges = ranges.iter();
            ranges.any(|range| range.start < span.end() && span.offset < range.end)
        };
        self.spans
            .iter()
            .filter(move |(_, span)| is_in(span))
            .map(|(allocation, _)| *allocation)
    }
}
