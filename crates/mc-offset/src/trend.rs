//! What the sizes asked for look like lately: the guide of adaptive fit.

/// Requests in a sample, after each of which the judgement may change.
const SAMPLE_LEN: u32 = 256;

/// Squared coefficient of variation at which sizes begin, and below which they
/// cease, to count as widely spread.
///
/// From a coefficient of 1 on, keeping large holes at one end beats the
/// tightest fit (J. E. Shore, "On the external storage fragmentation produced
/// by first-fit and best-fit allocation strategies", CACM 18(8), 1975).
const SPREAD_ENTER: f64 = 1.0;
const SPREAD_LEAVE: f64 = 0.7;

/// Requests of a sample that find a hole of exactly their size up to which
/// they begin, and above which they cease, to count as rarely exact.
const EXACT_ENTER: u32 = SAMPLE_LEN / 50;
const EXACT_LEAVE: u32 = SAMPLE_LEN / 20;
const _: () = assert!(
    0 < EXACT_ENTER && EXACT_ENTER < EXACT_LEAVE,
    "hysteresis has a width"
);

/// Doublings without a size between two groups of sizes from which on they count
/// as apart.
const GAP_MIN: usize = 7;

/// Shares of the sizes that make a group of small ones and of large ones: one
/// in so many. A layout that is restored by allocating its gaps as well has
/// tiny sizes among all others too, but fewer.
const SMALL_GROUP_DIVISOR: u32 = 4;
const LARGE_GROUP_DIVISOR: u32 = 16;

/// Powers of two that a size can be at or above.
const OCTAVES: usize = u64::BITS as usize;

/// What the sizes tell about placing the next object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regime {
    /// Holes are mostly refilled by their own size: nothing beats good fit.
    Repeating,
    /// Sizes of one magnitude that rarely repeat: what is left of a hole
    /// should lie where it may soon grow.
    Varied,
    /// Sizes of many magnitudes: those up to the limit, in bytes, belong at
    /// the other end of the range.
    Spread { small_max: u64 },
    /// As `Spread`, of sizes in two groups far apart, such as metadata and
    /// payload: a small object between large ones keeps their holes apart as
    /// long as it lives.
    Twofold { small_max: u64 },
}

/// The sample that is being taken, and the judgement on the ones before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trend {
    regime: Regime,
    /// Mean of the sizes of past samples in bytes, each weighing half as much
    /// as the next.
    mean: f64,
    /// Mean of the squares, likewise.
    mean_square: f64,
    sampled: u32,
    exact: u32,
    /// For each `b` the sizes from 2^b up to twice that: those of the sample,
    /// half of those of the sample before, and so on.
    octaves: [u16; OCTAVES],
    sum: f64,
    sum_square: f64,
}

impl Trend {
    pub(crate) const fn new() -> Self {
        Self {
            regime: Regime::Repeating,
            mean: 0.0,
            mean_square: 0.0,
            sampled: 0,
            exact: 0,
            octaves: [0; OCTAVES],
            sum: 0.0,
            sum_square: 0.0,
        }
    }

    #[inline]
    pub(crate) fn regime(&self) -> Regime {
        self.regime
    }

    /// Takes note of an allocation of `size` bytes and whether its hole had
    /// exactly that many.
    #[inline]
    pub(crate) fn record(&mut self, size: u64, is_exact: bool) {
        self.octaves[(size | 1).ilog2() as usize] += 1;
        let size = size as f64;
        self.sum += size;
        self.sum_square += size * size;
        self.exact += u32::from(is_exact);
        self.sampled += 1;
        if self.sampled == SAMPLE_LEN {
            self.judge();
        }
    }

    /// Takes note of an allocation that found a hole of exactly `size` bytes,
    /// if sizes repeat and neither is changed by it; returns whether it did.
    #[inline]
    pub(crate) fn record_repeat(&mut self, size: u64) -> bool {
        let is_plain = self.regime == Regime::Repeating && self.sampled + 1 < SAMPLE_LEN;
        if is_plain {
            self.record(size, true);
        }
        is_plain
    }

    #[cold]
    fn judge(&mut self) {
        let blend = |old: f64, sum: f64| {
            let new = sum / f64::from(SAMPLE_LEN);
            if old == 0.0 {
                new
            } else {
                f64::midpoint(old, new)
            }
        };
        let mean = blend(self.mean, self.sum);
        let mean_square = blend(self.mean_square, self.sum_square);
        let spread_limit = match self.regime {
            Regime::Spread { .. } | Regime::Twofold { .. } => SPREAD_LEAVE,
            Regime::Repeating | Regime::Varied => SPREAD_ENTER,
        };
        let exact_limit = match self.regime {
            Regime::Repeating => EXACT_ENTER,
            Regime::Varied | Regime::Spread { .. } | Regime::Twofold { .. } => EXACT_LEAVE,
        };
        let is_spread = mean_square - mean * mean >= spread_limit * mean * mean;
        let regime = if self.exact > exact_limit {
            Regime::Repeating
        } else if is_spread {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a mean of sizes is a size"
            )]
            let mean = mean as u64;
            if is_twofold(&self.octaves) {
                Regime::Twofold {
                    small_max: mean / 2,
                }
            } else {
                Regime::Spread { small_max: mean }
            }
        } else {
            Regime::Varied
        };
        *self = Self {
            regime,
            mean,
            mean_square,
            octaves: self.octaves.map(|sizes| sizes / 2),
            ..Self::new()
        };
    }
}

/// Returns whether there is a group of sizes on each side of a gap.
fn is_twofold(octaves: &[u16; OCTAVES]) -> bool {
    let total: u32 = octaves.iter().copied().map(u32::from).sum();
    let (mut below, mut gap) = (0, 0);
    for &sizes in octaves {
        let has_groups =
            below * SMALL_GROUP_DIVISOR >= total && (total - below) * LARGE_GROUP_DIVISOR >= total;
        if sizes != 0 && gap >= GAP_MIN && has_groups {
            return true;
        }
        gap = if sizes == 0 { gap + 1 } else { 0 };
        below += u32::from(sizes);
    }
    false
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[track_caller]
    fn check_regime(sizes: impl Iterator<Item = u64>, is_exact: bool, expected: Regime) {
        let mut trend = Trend::new();
        for size in sizes.take(4 * SAMPLE_LEN as usize) {
            trend.record(size, is_exact);
        }
        assert_eq!(trend.regime(), expected);
    }

    #[test]
    fn regimes_follow_spread_and_repetition() {
        check_regime([1000].into_iter().cycle(), true, Regime::Repeating);
        check_regime([1000, 5000].into_iter().cycle(), false, Regime::Varied);
        let metadata_and_payload = [10, 10, 10, 1000].into_iter().cycle();
        check_regime(
            metadata_and_payload.clone(),
            false,
            Regime::Spread { small_max: 257 },
        );
        check_regime(metadata_and_payload, true, Regime::Repeating);
        check_regime([u64::MAX].into_iter().cycle(), false, Regime::Varied);
        check_regime(
            [10, 10, 10, 10_000].into_iter().cycle(),
            false,
            Regime::Twofold { small_max: 1253 },
        );
    }

    #[track_caller]
    fn check_twofold(sizes: &[(usize, u16)], expected: bool) {
        let mut octaves = [0; OCTAVES];
        for &(octave, count) in sizes {
            octaves[octave] = count;
        }
        assert_eq!(is_twofold(&octaves), expected, "{sizes:?}");
    }

    #[test]
    fn groups_are_apart_from_seven_doublings_without_a_size_on() {
        check_twofold(&[], false);
        check_twofold(&[(0, 256)], false);
        check_twofold(&[(63, 256)], false);
        check_twofold(&[(0, 128), (63, 128)], true);
        check_twofold(&[(0, 128), (7, 128)], false);
        check_twofold(&[(0, 128), (8, 128)], true);
        check_twofold(&[(14, 16), (20, 120), (28, 120)], true);
        let everywhere: Vec<_> = (0..OCTAVES).map(|octave| (octave, 4)).collect();
        check_twofold(&everywhere, false);
    }

    #[test]
    fn groups_are_a_quarter_of_small_sizes_and_a_sixteenth_of_large_ones() {
        for (small, is_group) in [
            (1, false),
            (63, false),
            (64, true),
            (240, true),
            (241, false),
        ] {
            check_twofold(&[(3, small), (20, 256 - small)], is_group);
        }
        // Of several gaps, one with a group on each side is enough.
        check_twofold(&[(0, 1), (10, 100), (20, 155)], true);
        check_twofold(&[(0, 100), (10, 155), (20, 1)], true);
        check_twofold(&[(0, 63), (10, 180), (20, 13)], false);
        check_twofold(&[(0, 32), (3, 32), (20, 192)], true);
    }

    #[test]
    fn a_size_in_the_gap_keeps_groups_together_until_it_counts_for_nothing() {
        let mut trend = Trend::new();
        let mut feed = |large: u64| {
            for at in 0..SAMPLE_LEN as usize {
                trend.record([10, 10, 10, large][at % 4], false);
            }
            matches!(trend.regime(), Regime::Twofold { .. })
        };
        assert!(!feed(1000));
        // 64 of them come to 32, 16, 8, 4, 2, 1, and none.
        for _ in 0..6 {
            assert!(!feed(10_000));
        }
        assert!(feed(10_000));
    }

    #[test]
    fn past_samples_weigh_half_as_much_as_the_last() {
        let mut trend = Trend::new();
        // Means of 257.5 and 2575 bytes.
        for (sizes, small_max) in [([10, 10, 10, 1000], 257), ([100, 100, 100, 10_000], 1416)] {
            for at in 0..SAMPLE_LEN as usize {
                trend.record(sizes[at % 4], false);
            }
            assert_eq!(trend.regime(), Regime::Spread { small_max });
        }
    }

    #[test]
    fn repeats_are_noted_up_to_the_last_of_a_sample_while_sizes_repeat() {
        let mut trend = Trend::new();
        for _ in 1..SAMPLE_LEN {
            assert!(trend.record_repeat(10));
        }
        assert!(!trend.record_repeat(10), "the last one is judged");
        trend.record(10, true);
        assert!(trend.record_repeat(10));
        for _ in 0..2 * SAMPLE_LEN {
            trend.record(10, false);
        }
        assert_eq!(trend.regime(), Regime::Varied);
        assert!(!trend.record_repeat(10));
    }

    #[test]
    fn repetition_ends_at_a_fiftieth_and_begins_above_a_twentieth() {
        let mut trend = Trend::new();
        // Of 256 requests, how many find a hole of their size.
        for (exact, is_repeating) in [
            (6, true),
            (5, false),
            (6, false),
            (12, false),
            (13, true),
            (6, true),
        ] {
            for at in 0..SAMPLE_LEN {
                trend.record(1000, at < exact);
            }
            assert_eq!(trend.regime() == Regime::Repeating, is_repeating, "{exact}");
        }
    }

    #[test]
    fn a_judgement_stands_until_a_sample_is_clearly_different() {
        let mut trend = Trend::new();
        let mut feed = |sizes: [u64; 4], samples: u32| {
            for at in 0..samples * SAMPLE_LEN {
                trend.record(sizes[at as usize % 4], false);
            }
            matches!(trend.regime(), Regime::Spread { .. })
        };
        // Squared coefficients of variation: 0.85, 1.1, 0.85, 0.6.
        assert!(!feed([10, 10, 10, 64], 8));
        assert!(feed([10, 10, 10, 86], 8));
        assert!(feed([10, 10, 10, 64], 8));
        assert!(!feed([10, 10, 10, 46], 8));
    }
}
