//! Allocations whose places are rooms for what moves, as they may leave.

use alloc::vec::Vec;
use core::ops::Range;

use super::BlockCost;
use crate::{
    allocation::Allocation,
    space::{Space, Span},
};

/// Allocations that a plan may evict wherever they are.
#[derive(Debug)]
pub(super) struct Spares {
    /// With what their evictions cost, in address order.
    spans: Vec<(Allocation, u64, Span)>,
    /// What they leave, merged with the holes beside them, in address order.
    rooms: Vec<Range<u64>>,
}

impl Spares {
    /// Looks up those that are live and may be evicted.
    pub(super) fn new(
        space: &Space,
        allocations: &[Allocation],
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) -> Self {
        let mut spans = Vec::with_capacity(allocations.len());
        let live = allocations
            .iter()
            .filter(|&&allocation| space.is_live(allocation));
        spans.extend(live.filter_map(|&allocation| {
            let cost = block_cost(&allocation).eviction?;
            Some((allocation, cost, space.span_of(allocation)))
        }));
        spans.sort_unstable_by_key(|(.., span)| span.offset);
        spans.dedup_by_key(|(.., span)| span.offset);
        let mut rooms: Vec<Range<u64>> = Vec::with_capacity(spans.len());
        for (.., span) in &spans {
            let start = span.offset - space.free_before(span);
            let end = span.end() + space.free_after(span);
            match rooms.last_mut() {
                Some(last) if start <= last.end => last.end = end,
                _ => rooms.push(start..end),
            }
        }
        Self { spans, rooms }
    }

    /// Returns what the eviction of an allocation costs, if it is one of them.
    pub(super) fn cost(&self, allocation: &Allocation) -> Option<u64> {
        let at = self
            .spans
            .binary_search_by_key(&allocation.offset(), |(.., span)| span.offset);
        let (spare, cost, _) = self.spans[at.ok()?];
        (spare == *allocation).then_some(cost)
    }

    pub(super) fn spans(&self) -> impl ExactSizeIterator<Item = Span> + '_ {
        self.spans.iter().map(|(.., span)| *span)
    }

    pub(super) fn span(&self, at: usize) -> Span {
        self.spans[at].2
    }

    /// Returns the most bytes that they leave in one place.
    pub(super) fn room_bytes_max(&self) -> u64 {
        let rooms = self.rooms.iter().map(|room| room.end - room.start);
        rooms.max().unwrap_or(0)
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

    /// Returns those that lie in one of some ranges, with what they cost.
    pub(super) fn in_any(&self, ranges: &[Range<u64>]) -> impl Iterator<Item = (Allocation, u64)> {
        let is_in = |span: &Span| {
            let mut ranges = ranges.iter();
            ranges.any(|range| range.start < span.end() && span.offset < range.end)
        };
        self.spans
            .iter()
            .filter(move |(.., span)| is_in(span))
            .map(|&(allocation, cost, _)| (allocation, cost))
    }
}

/// Sums up what leaves: each allocation once, in address order, and all costs.
pub(super) fn evictions(
    leaving: impl Iterator<Item = (Allocation, u64)>,
) -> (Vec<Allocation>, u128) {
    let mut leaving: Vec<_> = leaving.collect();
    leaving.sort_unstable_by_key(|(allocation, _)| allocation.offset());
    leaving.dedup_by_key(|(allocation, _)| allocation.offset());
    let cost = leaving.iter().map(|&(_, cost)| u128::from(cost)).sum();
    (
        leaving
            .into_iter()
            .map(|(allocation, _)| allocation)
            .collect(),
        cost,
    )
}
