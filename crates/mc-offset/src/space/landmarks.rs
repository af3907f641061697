//! Allocations that earlier walks came by, so that no walk is made twice.
//!
//! Where an allocation begins is in its token and nowhere else: to find the
//! one that covers an offset, the chain is walked from the nearest place whose
//! offset is known. Such places are the holes, and the *landmarks*: of every
//! 64 allocations that a walk passes it remembers one, with its serial, by
//! which it proves itself the next time.

use alloc::vec::Vec;

use super::{Content, Space, Span, chain::ANCHOR};
use crate::{allocation::Allocation, steps};

/// Allocations that a walk passes for each that it remembers.
const STRIDE: usize = 64;

/// Allocations at known offsets, in address order; some are gone.
#[derive(Debug)]
pub(super) struct Landmarks {
    passed: Vec<Allocation>,
}

impl Landmarks {
    pub(super) const fn new() -> Self {
        Self { passed: Vec::new() }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.passed.capacity() * size_of::<Allocation>()
    }

    /// Adds what a walk passed, all of it behind `offset` and before the next
    /// landmark, unless the heap is full.
    fn add(&mut self, offset: u64, passed: &[Allocation]) {
        if self.passed.try_reserve(passed.len()).is_ok() {
            let at = self
                .passed
                .partition_point(|known| known.offset() <= offset);
            self.passed.splice(at..at, passed.iter().copied());
        }
    }
}

impl Space {
    /// Returns the first allocation that ends behind `offset`, which no hole
    /// covers; `from` is the hole before it, if there is one.
    ///
    /// Walks over 64 nodes at most where an earlier call came by; of what was
    /// never walked over, over all up to the allocation.
    pub(crate) fn allocation_over(&mut self, offset: u64, from: Option<u32>) -> Allocation {
        let hole_end = from.map_or(0, |hole| self.holes.hole(hole).end());
        let start = self.landmark_before(offset, hole_end).or_else(|| {
            let node = match from {
                Some(hole) => self.chain.node(self.holes.hole(hole).node).next,
                None => self.chain.node(ANCHOR).next,
            };
            self.span_at(node, hole_end)
        });
        let mut span = start.expect("what no hole covers is allocated");
        let begin = span.offset;
        let mut passed = Vec::new();
        let mut walked = 0;
        while span.end() <= offset {
            walked += 1;
            if walked % STRIDE == 0
                && let Content::Live(allocation) = span.content
                && passed.try_reserve(1).is_ok()
            {
                passed.push(allocation);
            }
            let next = self.span_after(&span);
            span = next.expect("what no hole covers is allocated");
        }
        self.landmarks.add(begin, &passed);
        match span.content {
            Content::Live(allocation) => allocation,
            Content::Free => unreachable!("what no hole covers is allocated at {offset}"),
        }
    }

    /// Returns the last landmark between two offsets that still stands;
    /// forgets those behind it that do not.
    fn landmark_before(&mut self, offset: u64, low: u64) -> Option<Span> {
        let known = &self.landmarks.passed;
        let end = known.partition_point(|known| known.offset() <= offset);
        let mut at = end;
        let found = loop {
            let Some(candidate) = at.checked_sub(1).map(|at| known[at]) else {
                break None;
            };
            if candidate.offset() < low {
                break None;
            }
            steps::note(1);
            if self.is_live(candidate) {
                break Some(candidate);
            }
            at -= 1;
        };
        self.landmarks.passed.drain(at..end);
        found.map(|allocation| self.span_of(allocation))
    }
}
