//! Order statistics of samples: the lower-tail percentiles of utilization.

/// Utilization over the samples of one run.
///
/// Percentiles are lower tail, as published: `p99` is the value that 99 % of the samples reach or
/// exceed, the element at index ⌊n · 0.01⌋ of the samples in ascending order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilization {
    /// Smallest sample.
    pub min: f64,
    /// Exceeded by 99 % of the samples.
    pub p99: f64,
    /// Exceeded by 90 % of the samples.
    pub p90: f64,
    /// Median.
    pub p50: f64,
    /// Largest sample.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
}

impl Utilization {
    /// Returns the statistics of samples of live bytes in a pool, or nothing without samples.
    #[must_use]
    pub fn of(live_bytes: &[u64], pool_bytes: u64) -> Option<Self> {
        let mut sorted = live_bytes.to_vec();
        sorted.sort_unstable();
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let share = |live_bytes: u64| live_bytes as f64 / pool_bytes as f64;
        let sum: u128 = sorted.iter().map(|&live| u128::from(live)).sum();
        let at = |hundredths| share(lower_tail(&sorted, hundredths));
        Some(Self {
            min: share(min),
            p99: at(1),
            p90: at(10),
            p50: at(50),
            max: share(max),
            mean: sum as f64 / sorted.len() as f64 / pool_bytes as f64,
        })
    }
}

/// Returns the geometric mean of positive numbers, or nothing without numbers.
#[must_use]
pub fn geometric_mean(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut count, mut logarithms) = (0_u32, 0.0);
    for number in numbers {
        count += 1;
        logarithms += number.ln();
    }
    (count > 0).then(|| (logarithms / f64::from(count)).exp())
}

/// Returns the element at index ⌊n · hundredths / 100⌋, or the last for all hundredths.
fn lower_tail(sorted: &[u64], hundredths: u32) -> u64 {
    let index = sorted.len() * hundredths as usize / 100;
    sorted[index.min(sorted.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(samples: &[u64], min_p99_p90_p50_max: [f64; 5], mean: f64) {
        let statistics = Utilization::of(samples, 1_000).unwrap();
        let Utilization {
            min,
            p99,
            p90,
            p50,
            max,
            ..
        } = statistics;
        assert_eq!([min, p99, p90, p50, max], min_p99_p90_p50_max);
        assert!(
            (statistics.mean - mean).abs() < 1e-12,
            "mean {}",
            statistics.mean
        );
    }

    #[test]
    fn percentiles_are_lower_tail_at_the_floor_of_the_index() {
        let hundred: Vec<u64> = (0..100).collect();
        let two_hundred: Vec<u64> = (0..200).collect();
        check(&[7], [0.007; 5], 0.007);
        check(&[3, 1], [0.001, 0.001, 0.001, 0.003, 0.003], 0.002);
        check(&[1, 2, 3], [0.001, 0.001, 0.001, 0.002, 0.003], 0.002);
        check(&hundred, [0.0, 0.001, 0.010, 0.050, 0.099], 0.0495);
        check(&two_hundred, [0.0, 0.002, 0.020, 0.100, 0.199], 0.0995);
    }

    #[test]
    fn no_samples_give_no_statistics() {
        assert_eq!(Utilization::of(&[], 1_000), None);
    }

    #[test]
    fn geometric_mean_multiplies_ratios() {
        assert!((geometric_mean([0.5, 2.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean([]), None);
    }
}
