//! The emptiest of a sample, with restraint towards segments that are new.
//!
//! Everything would go to a segment that is empty because it was just mounted,
//! and its host would be overrun. While a segment is fresh it therefore takes
//! part in so few choices that it is given [`FRESH_SHARE`] times its share of
//! the capacity at most.

use super::Search;
use crate::mounted::is_greater_share;

/// Segments in a sample.
const SAMPLE_LEN: usize = 6;

/// How many times its share of the capacity a fresh segment is given.
const FRESH_SHARE: u128 = 2;

/// A segment of the sample, and what was free in it when it was looked at.
#[derive(Clone, Copy)]
struct Candidate {
    place: usize,
    free_bytes: u64,
    size: u64,
}

impl Search<'_> {
    pub(super) fn choose_free_ratio(&mut self) -> Option<usize> {
        let sample = self.walk().take(SAMPLE_LEN);
        let (mut settled, mut fresh) = (None, None);
        let mut fresh_count = 0;
        for place in sample {
            if !self.is_candidate(place) {
                continue;
            }
            let segment = self.segment(place);
            let best = if segment.is_fresh() {
                fresh_count += 1;
                &mut fresh
            } else {
                &mut settled
            };
            let candidate = Candidate {
                place,
                free_bytes: segment.recent_free_bytes(),
                size: segment.capacity(),
            };
            if best.is_none_or(|best| candidate.is_emptier_than(&best)) {
                *best = Some(candidate);
            }
        }
        let chosen = match (settled, fresh) {
            (Some(settled), Some(fresh)) if !fresh.is_emptier_than(&settled) => {
                self.segment(fresh.place).settle();
                Some(settled)
            }
            (Some(settled), Some(fresh)) if !self.takes_part(&fresh, fresh_count) => Some(settled),
            (settled, fresh) => fresh.or(settled),
        };
        chosen.map(|chosen| chosen.place)
    }

    /// Draws whether one of the fresh segments in the sample may be chosen.
    fn takes_part(&mut self, fresh: &Candidate, fresh_count: u128) -> bool {
        let len = self.table.rows.len();
        // A segment is in the sample with a chance of `sample / len` and has to
        // be chosen with one of `FRESH_SHARE * size / capacity`; of several that
        // are fresh, each is the emptiest as often.
        let sample = len.min(SAMPLE_LEN) as u128;
        let size = u128::from(fresh.size);
        let drawn = u128::from(self.draw.number() >> 32);
        let scaled = drawn.saturating_mul(self.table.rows.bytes()) >> 32;
        scaled.saturating_mul(sample) < FRESH_SHARE * fresh_count * size * len as u128
    }
}

impl Candidate {
    #[inline]
    fn is_emptier_than(&self, other: &Self) -> bool {
        is_greater_share((self.free_bytes, self.size), (other.free_bytes, other.size))
    }
}
