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
    pub(super) largest: Vec<Span>,
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
        let mut largest = Vec::with_capacity(HOLES_TRIED);
        let indices = holes.iter_down().take(HOLES_TRIED);
        largest.extend(indices.map(|hole| (holes.hole(hole).size, hole)));
        largest.sort_by_key(|&(bytes, _)| Reverse(bytes));
        let spans = largest
            .into_iter()
            .map(|(_, hole)| space.span_of_hole(hole));
        Self {
            space,
            room_bytes_max: holes.largest().max(spares.room_bytes_max()),
            spares,
            largest: spans.collect(),
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
        let (mut left, count) = match places {
            Places::Spares => (of_spares, self.spares.spans().len().min(HOLES_TRIED)),
            Places::Holes => (nodes_visited_max as usize - of_spares, self.largest.len()),
        };
        let mut spans = VecDeque::new();
        for done in 0..count {
            let share = left / (count - done).min(WHOLE_SURROUNDINGS);
            if share > 0 {
                let middle = match places {
                    Places::Spares => self.spares.span(done),
                    Places::Holes => self.largest[done],
                };
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
        let (mut goes_down, mut goes_up) = (true, true);
        while spans.len() + 2 <= visited_max && (goes_down || goes_up) {
            if goes_down {
                goes_down = false;
                if let Some(span) = self.space.span_before(&spans[0])
                    && middle.offset - span.end() < reach
                {
                    goes_down = !self.is_stuck(&span);
                    spans.push_front(span);
                }
            }
            if goes_up {
                goes_up = false;
                if let Some(span) = self.space.span_after(&spans[spans.len() - 1])
                    && span.offset - middle.end() < reach
                {
                    goes_up = !self.is_stuck(&span);
                    spans.push_back(span);
                }
            }
        }
    }
}
