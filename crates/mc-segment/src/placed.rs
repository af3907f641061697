//! How many bytes the buffers have that are alive, by segment and in all
//! segments that are open to placement.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crossbeam_utils::CachePadded;

/// Words that the sum of a pool is kept in, so that threads in different
/// segments seldom write the same one.
const STRIPES: usize = 16;

/// The sum over the segments of a pool that are open to placement.
#[derive(Debug, Default)]
pub(crate) struct PlacedSum {
    /// Each is the sum of the counted segments that were given it. One alone
    /// may be behind or ahead of its segments by what is being placed or
    /// dropped, and so wrap around; all together they are exact when nothing
    /// is. Written by whoever places, drops, opens or closes; they add up
    /// whatever the order is, so `Relaxed`.
    stripes: [CachePadded<AtomicU64>; STRIPES],
    /// Segments that were given a stripe so far. Unique numbers are not needed,
    /// so `Relaxed`.
    segments: AtomicU64,
}

/// The bytes of one segment's buffers.
#[derive(Debug)]
pub(crate) struct PlacedBytes {
    /// The bytes, and [`COUNTED`] iff they are part of the sum, as those of an
    /// open segment are. Both are one word: closing a segment takes from the sum
    /// exactly what was added to it, and nothing is placed from then on. Nothing
    /// else follows from it, so `Relaxed`.
    word: AtomicU64,
    sum: Arc<PlacedSum>,
    stripe: usize,
}

/// The bit of the word that says that a segment is part of the sum.
const COUNTED: u64 = 1 << 63;

/// The most bytes that a segment may have.
pub(crate) const SEGMENT_BYTES_MAX: u64 = COUNTED - 1;

impl PlacedSum {
    /// Returns the sum.
    pub(crate) fn bytes(&self) -> u64 {
        let stripes = self.stripes.iter();
        let sum = stripes.fold(0_u64, |sum, stripe| {
            sum.wrapping_add(stripe.load(Ordering::Relaxed))
        });
        // Below zero for a moment if a buffer is seen to go and not to come.
        if sum & COUNTED == 0 { sum } else { 0 }
    }

    fn next_stripe(&self) -> usize {
        let number = self.segments.fetch_add(1, Ordering::Relaxed);
        usize::try_from(number).unwrap_or(0) % STRIPES
    }
}

impl PlacedBytes {
    /// Returns the count of a new segment, which is open.
    pub(crate) fn new(sum: &Arc<PlacedSum>) -> Self {
        Self {
            word: AtomicU64::new(COUNTED),
            sum: Arc::clone(sum),
            stripe: sum.next_stripe(),
        }
    }

    /// Returns the bytes of the segment.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.word.load(Ordering::Relaxed) & !COUNTED
    }

    /// Adds the bytes of a buffer if the segment is open; returns whether it is.
    /// One that is closed is never seen to have them.
    #[inline]
    pub(crate) fn add_if_open(&self, bytes: u64) -> bool {
        let add = |word: u64| (word & COUNTED != 0).then_some(word + bytes);
        let added = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        if added.is_ok() {
            self.stripe().fetch_add(bytes, Ordering::Relaxed);
        }
        added.is_ok()
    }

    /// Adds the bytes of a buffer that is adopted, be the segment open or not.
    pub(crate) fn add_adopted(&self, bytes: u64) {
        if self.word.fetch_add(bytes, Ordering::Relaxed) & COUNTED != 0 {
            self.stripe().fetch_add(bytes, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn subtract(&self, bytes: u64) {
        if self.word.fetch_sub(bytes, Ordering::Relaxed) & COUNTED != 0 {
            self.stripe().fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Makes the segment part of the sum; the caller holds the lock of the
    /// registry.
    pub(crate) fn open(&self) {
        let before = self.word.fetch_or(COUNTED, Ordering::Relaxed);
        if before & COUNTED == 0 {
            self.stripe().fetch_add(before, Ordering::Relaxed);
        }
    }

    /// Takes the segment out of the sum; the caller holds the lock of the
    /// registry.
    pub(crate) fn close(&self) {
        let before = self.word.fetch_and(!COUNTED, Ordering::Relaxed);
        if before & COUNTED != 0 {
            let bytes = before & !COUNTED;
            self.stripe().fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    #[inline]
    fn stripe(&self) -> &AtomicU64 {
        &self.sum.stripes[self.stripe]
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_sum_is_that_of_the_open_segments() {
        let sum = Arc::new(PlacedSum::default());
        let [a, b] = [(); 2].map(|()| PlacedBytes::new(&sum));
        assert!(a.add_if_open(10) && b.add_if_open(5));
        assert_eq!(sum.bytes(), 15);
        a.close();
        a.close();
        assert_eq!((a.bytes(), sum.bytes()), (10, 5));
        assert!(!a.add_if_open(100));
        a.add_adopted(1);
        a.subtract(4);
        assert_eq!((a.bytes(), sum.bytes()), (7, 5));
        a.open();
        a.open();
        assert_eq!((a.bytes(), sum.bytes()), (7, 12));
    }

    #[test]
    fn the_sum_is_exact_after_threads_placed_while_a_segment_was_opened_and_closed() {
        let sum = Arc::new(PlacedSum::default());
        let placed = PlacedBytes::new(&sum);
        thread::scope(|scope| {
            for thread in 1..4 {
                let placed = &placed;
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        placed.add_adopted(3 * thread);
                        if placed.add_if_open(5) {
                            placed.subtract(5);
                        }
                        placed.subtract(2 * thread);
                    }
                });
            }
            for _ in 0..5000 {
                placed.close();
                placed.open();
            }
        });
        assert_eq!(placed.bytes(), 20_000 * (1 + 2 + 3));
        assert_eq!(sum.bytes(), placed.bytes());
        placed.close();
        assert_eq!(sum.bytes(), 0);
    }
}
