//! What is known of the range before anything is tried.

use alloc::{collections::VecDeque, vec::Vec};
use core::cmp::Reverse;

use super::{BlockCost, HOLES_TRIED, runs::Hole, spares::Spares};
use crate::{
    allocation::Allocation,
    space::{Content, Space, Span},
};

/// Places around which so many nodes are looked at, at least, as if there were
/// no more places: a few whole surroundings are worth more than parts of all.
const WHOLE_SURROUNDINGS: usize = 4;

/// What the surroundings that are looked at surround.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Places {
    /// The largest holes.
    Holes,
    /// Allocations that may leave wherever they are.
    Spares,
}

/// The range, and what all plans for a hole in it have to do with.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) space: &'a Space,
    pub(super) spares: Spares,
    /// Some of the largest holes as far as bins tell, the largest first.
    pub(super) largest: Vec<u32>,
    /// No hole and no room of spares has more bytes.
    pub(super) room_bytes_max: u64,
}

impl<'a> Ground<'a> {
    pub(super) fn survey(
        space: &'a Space,
        spares: &[Allocation],
        block_cost: &mut impl FnMut(&Allocation) -> BlockCost,
    ) -> Self {
        let holes = space.holes();
        let spares = Spares::new(space, spares, block_cost);
        let mut largest: Vec<u32> = holes.iter_down().take(HOLES_TRIED).collect();
        largest.sort_by_key(|&hole| Reverse(holes.hole(hole).size));
        Self {
            space,
            room_bytes_max: holes.largest().max(spares.room_bytes_max()),
            spares,
            largest,
        }
    }

    /// Hands out the surroundings of some places, one after another, as far as the
    /// share of so many nodes reaches: half of them are around spares, if there
    /// are any.
    pub(super) fn look_around(
        &self,
        places: Places,
        hole: &Hole,
        nodes_visited_max: u32,
        mut look: impl FnMut(&VecDeque<Span>),
    ) {
        let reach = hole.charge.saturating_add(hole.step);
        let of_spares = match self.spares.spans().len() {
            0 => 0,
            _ => nodes_visited_max as usize / 2,
        };
        let (middles, mut left): (Vec<Span>, _) = match places {
            Places::Spares => (self.spares.spans().take(HOLES_TRIED).collect(), of_spares),
            Places::Holes => {
                let largest = self.largest.iter();
                let middles = largest.map(|&hole| self.space.span_of_hole(hole));
                (middles.collect(), nodes_visited_max as usize - of_spares)
            }
        };
        let mut spans = VecDeque::new();
        for (done, &middle) in middles.iter().enumerate() {
            let share = left / (middles.len() - done).min(WHOLE_SURROUNDINGS);
            if share > 0 {
                self.surround(&mut spans, middle, reach, share);
                look(&spans);
                left -= spans.len();
            }
        }
    }

    /// Returns whether there is no room for an allocation elsewhere, and it is not
    /// known that it may leave. To slide such a one is left to hops.
    fn is_stuck(&self, span: &Span) -> bool {
        match &span.content {
            Content::Live(allocation) => {
                span.bytes > self.room_bytes_max && self.spares.cost(allocation).is_none()
            }
            Content::Free => false,
        }
    }

    /// Reads a span and those beside it, so many of them and no farther away, to the
    /// first on each side that cannot go anywhere.
    fn surround(&self, spans: &mut VecDeque<Span>, middle: Span, reach: u64, visited_max: usize) {
        spans.clear();
        spans.push_back(middle);
        let (mut before, mut after) = (Some(middle), Some(middle));
        while spans.len() + 2 <= visited_max && (before.is_some() || after.is_some()) {
            before = before.and_then(|span| self.space.span_before(&span));
            before = before.filter(|span| middle.offset - span.end() < reach);
            if let Some(span) = before {
                spans.push_front(span);
            }
            before = before.filter(|span| !self.is_stuck(span));
            after = after.and_then(|span| self.space.span_after(&span));
            after = after.filter(|span| span.offset - middle.end() < reach);
            spans.extend(after);
            after = after.filter(|span| !self.is_stuck(span));
        }
    }
}
