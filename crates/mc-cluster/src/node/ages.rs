//! How long things lasted, counted by powers of two.

use std::time::Duration;

use metrics::histogram;

/// Times by powers of two of a millisecond, the last one for all that is longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ages([u64; PLACES]);

/// Up to 2^24 ms, which is more than four hours.
const PLACES: usize = 25;

impl Ages {
    pub(crate) fn add(&mut self, age: Duration) {
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let place = (u64::BITS - millis.leading_zeros()) as usize;
        self.0[place.min(PLACES - 1)] += 1;
    }

    /// Publishes the ages that were added since others were, each as the upper
    /// end of its place.
    pub(crate) fn publish_since(&self, before: &Self, name: &'static str) {
        let series = histogram!(name);
        for ((now, before), end) in self.0.iter().zip(before.0).zip(ends()) {
            let added = usize::try_from(now - before).unwrap_or(usize::MAX);
            series.record_many(end, added);
        }
    }
}

/// Returns the upper ends of the places, in seconds.
pub(crate) fn ends() -> impl Iterator<Item = f64> {
    (0..PLACES).map(|place| Duration::from_millis(1 << place).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_below_the_end_of_their_place() {
        for (millis, place) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 2),
            (4, 3),
            (1 << 23, 24),
            (1 << 40, 24),
        ] {
            let mut ages = Ages::default();
            ages.add(Duration::from_millis(millis));
            assert_eq!(ages.0.iter().position(|&count| count == 1), Some(place));
        }
        let ends: Vec<_> = ends().collect();
        assert_eq!((ends[0], ends[10], ends.len()), (0.001, 1.024, PLACES));
    }
}
