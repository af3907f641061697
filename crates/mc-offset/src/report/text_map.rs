//! The pool as one line of characters.

use alloc::{string::String, vec, vec::Vec};

use super::FreeRange;
use crate::allocator::OffsetAllocator;

const USED: char = '#';
const FREE: char = '.';
const PARTLY: char = '+';

impl OffsetAllocator {
    /// Returns a line of `width` characters, each for an equal part of the
    /// range from its start to its end: `#` used, `.` free, `+` partly used.
    ///
    /// A range of fewer bytes than `width` gives one character per byte. Takes
    /// time linear in the number of nodes and in `width`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::OffsetAllocator;
    ///
    /// let mut allocator = OffsetAllocator::new(1000)?;
    /// let first = allocator.allocate(250)?;
    /// let _second = allocator.allocate(400)?;
    /// allocator.free(first)?;
    /// assert_eq!(allocator.text_map(20), ".....########.......");
    /// assert_eq!(allocator.text_map(10), "..+###+...");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn text_map(&self, width: usize) -> String {
        let capacity = self.capacity();
        let cells = Cells {
            capacity,
            count: usize::try_from(capacity).map_or(width, |bytes| width.min(bytes)),
        };
        let symbol = |(cell, free)| match free {
            0 => USED,
            free if free == cells.start(cell + 1) - cells.start(cell) => FREE,
            _ => PARTLY,
        };
        let free_bytes = cells.free_bytes(self.holes());
        free_bytes.into_iter().enumerate().map(symbol).collect()
    }
}

/// A range cut into parts whose sizes differ by at most one byte.
#[derive(Clone, Copy, Debug)]
struct Cells {
    capacity: u64,
    /// At most the capacity, so that no part is empty.
    count: usize,
}

impl Cells {
    /// Returns the offset at which a part begins, and the capacity for the
    /// one behind the last.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no part begins behind the capacity"
    )]
    fn start(self, cell: usize) -> u64 {
        (u128::from(self.capacity) * cell as u128 / self.count as u128) as u64
    }

    /// Returns the part in which an offset lies: the last one that does not
    /// begin behind it.
    fn at(self, offset: u64) -> usize {
        let scaled = (u128::from(offset) + 1) * self.count as u128;
        ((scaled - 1) / u128::from(self.capacity)) as usize
    }

    /// Returns the free bytes of every part.
    fn free_bytes(self, holes: impl Iterator<Item = FreeRange>) -> Vec<u64> {
        let mut free_bytes = vec![0; self.count];
        if self.count == 0 {
            return free_bytes;
        }
        for FreeRange { offset, size } in holes {
            let end = offset + size;
            let (first, last) = (self.at(offset), self.at(end - 1));
            for (cell, free) in (first..).zip(&mut free_bytes[first..=last]) {
                *free += self.start(cell + 1).min(end) - self.start(cell).max(offset);
            }
        }
        free_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_lies_in_the_part_that_begins_last() {
        for capacity in 1..=40 {
            for count in 1..=usize::try_from(capacity).unwrap() {
                let cells = Cells { capacity, count };
                assert_eq!((cells.start(0), cells.start(count)), (0, capacity));
                for offset in 0..capacity {
                    let cell = cells.at(offset);
                    assert!(
                        (cells.start(cell)..cells.start(cell + 1)).contains(&offset),
                        "offset {offset} of {capacity} in {count} parts"
                    );
                }
            }
        }
    }

    #[test]
    fn the_largest_range_does_not_overflow() {
        let capacity = u64::MAX;
        let cells = Cells {
            capacity,
            count: 1000,
        };
        assert_eq!(cells.at(capacity - 1), 999);
        assert_eq!(cells.start(1000), capacity);
    }
}
