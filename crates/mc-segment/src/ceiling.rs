//! The most bytes that a segment may have in one hole, as far as its refusals
//! tell: a full segment is passed over without asking its allocator.
//!
//! A request that was refused lowers the ceiling to the largest hole of that
//! moment. Every buffer that is dropped raises it, as what it leaves may join a
//! hole on either side. So it is an upper bound at all times but between the two
//! steps of a drop; a refusal then comes before that drop.

#![cfg_attr(
    not(loom),
    expect(
        unreachable_pub,
        reason = "exported under cfg(loom), to the models in tests/loom.rs"
    )
)]

use crate::sync::{AtomicU64, Ordering};

/// An upper bound on the holes of one allocator, kept-back blocks merged.
#[derive(Debug)]
pub struct Ceiling {
    /// The bound in units, and above it the number of drops, modulo 2^24.
    ///
    /// Whoever lowers the bound read the word before it asked the allocator, and
    /// gives up if a drop has changed it since: what that drop left may not be
    /// in the answer. Drops are `Release` and that first reading is `Acquire`, so
    /// that a drop that was counted is in the answer. A reading that only
    /// compares is `Relaxed`: nothing is read because of it.
    word: AtomicU64,
    /// A unit has 2^`shift` bytes; one byte in segments of less than a tebibyte.
    shift: u32,
}

/// What the word was before the allocator was asked.
#[derive(Clone, Copy, Debug)]
pub struct Before(u64);

/// Bits of the bound.
const BOUND_BITS: u32 = 40;

/// The bound of a segment that has refused nothing.
const UNKNOWN: u64 = (1 << BOUND_BITS) - 1;

/// One drop, in the field above the bound.
const DROP: u64 = 1 << BOUND_BITS;

#[cfg_attr(
    loom,
    expect(missing_docs, reason = "exported to the models in tests/loom.rs")
)]
impl Ceiling {
    /// Returns the ceiling of an allocator for so many bytes.
    pub fn new(capacity: u64) -> Self {
        let bits = u64::BITS - capacity.leading_zeros();
        Self {
            word: AtomicU64::new(UNKNOWN),
            shift: (bits + 1).saturating_sub(BOUND_BITS),
        }
    }

    /// Returns whether there may be a hole of so many bytes.
    #[inline]
    pub fn admits(&self, bytes: u64) -> bool {
        let bound = self.word.load(Ordering::Relaxed) & UNKNOWN;
        bound == UNKNOWN || bytes <= bound << self.shift
    }

    /// Takes note of the moment before the allocator is asked.
    #[inline]
    pub fn before(&self) -> Before {
        Before(self.word.load(Ordering::Acquire))
    }

    /// Lowers the ceiling to the largest hole of a moment since `before`, unless
    /// a buffer was dropped since.
    pub fn lower(&self, before: Before, largest_hole: u64) {
        let units = self.units(largest_hole);
        let lowered = before.0 & !UNKNOWN | units;
        // A failure means that another has lowered it, or a drop raised it.
        let _ = self
            .word
            .compare_exchange(before.0, lowered, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Raises the ceiling by a block of so many bytes, after it was freed.
    #[inline]
    pub fn raise(&self, freed: u64) {
        let raised = |word: u64| {
            let bound = match word & UNKNOWN {
                UNKNOWN => UNKNOWN,
                // The holes on either side, and the block.
                bound => (2 * bound).saturating_add(self.units(freed)).min(UNKNOWN),
            };
            Some((word & !UNKNOWN).wrapping_add(DROP) | bound)
        };
        // Never fails, as the closure has an answer for every word.
        let _ = self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, raised);
    }

    /// Returns bytes in units, rounded up and below the mark of the unknown.
    fn units(&self, bytes: u64) -> u64 {
        let units = bytes.div_ceil(1 << self.shift);
        debug_assert!(units < UNKNOWN, "no hole exceeds the capacity");
        units
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_lowers_it_and_a_drop_raises_it_by_what_may_join() {
        let ceiling = Ceiling::new(1 << 30);
        assert!(ceiling.admits(u64::MAX), "nothing is known");
        let before = ceiling.before();
        ceiling.lower(before, 100);
        assert!(ceiling.admits(100) && !ceiling.admits(101));
        ceiling.raise(1000);
        assert!(ceiling.admits(1200) && !ceiling.admits(1201));
    }

    #[test]
    fn a_drop_while_the_allocator_was_asked_is_not_forgotten() {
        for known in [false, true] {
            let ceiling = Ceiling::new(1 << 30);
            if known {
                ceiling.lower(ceiling.before(), 100);
            }
            let before = ceiling.before();
            ceiling.raise(500);
            ceiling.lower(before, 0);
            assert!(ceiling.admits(500));
        }
    }

    #[test]
    fn bounds_of_any_segment_are_rounded_up() {
        for capacity in [1, 1 << 38, 1 << 39, 1 << 40, (1 << 40) + 1, (1 << 63) - 1] {
            let ceiling = Ceiling::new(capacity);
            for hole in [0, 1, capacity / 3, capacity] {
                let before = ceiling.before();
                ceiling.lower(before, hole);
                assert!(ceiling.admits(hole), "{capacity}, {hole}");
                let far = hole.saturating_add(1 << 30);
                assert!(!ceiling.admits(far), "{capacity}, {hole}");
                ceiling.raise(capacity);
                assert!(ceiling.admits(capacity));
            }
        }
    }
}
