//! The end of the range: the hole there, and moving it.

use super::{Hole, Space, chain::ANCHOR};
use crate::slab::SlabFull;

impl Space {
    /// Returns the index of the hole that reaches the end of the range, if
    /// there is one; a parked block is none.
    fn tail_hole(&self) -> Option<u32> {
        let last = self.chain.node(ANCHOR).prev;
        self.chain.is_hole(last).then(|| self.chain.hole_of(last))
    }

    /// Returns whether a hole is the *open end* of the range, which is filled
    /// in order: it reaches the end, and either its last bytes were never
    /// allocated and nothing was ever refused, or it is half of the range.
    #[inline]
    pub(crate) fn is_open_end(&self, hole: u32) -> bool {
        let &Hole { offset, size, .. } = self.holes.hole(hole);
        let capacity = self.options.capacity;
        let is_untouched = self.touched_end < capacity && !self.was_full;
        offset + size == capacity && (is_untouched || size >= capacity / 2)
    }

    /// Moves the end of the range up; no block is parked.
    pub(crate) fn grow(&mut self, capacity: u64) -> Result<(), SlabFull> {
        let old = self.options.capacity;
        debug_assert!(capacity > old);
        self.holes.cover(capacity)?;
        self.was_full = false;
        match self.tail_hole() {
            Some(hole) => {
                let start = self.holes.hole(hole).offset;
                self.holes.reshape(hole, start, capacity - start);
            }
            None => {
                self.chain.reserve(1)?;
                self.holes.reserve_one()?;
                let node = self.chain.insert_before(ANCHOR);
                let hole = self.holes.insert(old, capacity - old, node);
                self.chain.set_hole(node, hole);
            }
        }
        self.options.capacity = capacity;
        Ok(())
    }

    /// Moves the end of the range down into or to the start of the hole there;
    /// no block is parked.
    pub(crate) fn shrink(&mut self, capacity: u64) {
        let hole = self.tail_hole().expect("the bytes given up are a hole");
        let &Hole { offset, node, .. } = self.holes.hole(hole);
        debug_assert!(offset <= capacity && capacity < self.options.capacity);
        if offset == capacity {
            self.holes.remove(hole);
            self.chain.remove_hole(node);
        } else {
            self.holes.reshape(hole, offset, capacity - offset);
        }
        self.touched_end = self.touched_end.min(capacity);
        self.options.capacity = capacity;
    }
}
