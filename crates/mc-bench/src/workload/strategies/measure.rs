//! The clock of the scenarios and what they report.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mc_segment::{PlacedBuffer, PoolStats, SegmentId};

use crate::churn::Checksum;
use crate::probe::{histogram, nanoseconds};
use crate::record::record;
use crate::row::check_agreement;
use crate::timing::{Rate, Timing, Took};

record! {
    /// One strategy on one row.
    pub(super) struct Strategies {
        Row subject: String = "subject"; // The strategy, with the fit inside.
        Row scenario: String = "scenario"; // What happens to the pool.
        Decided strategy: String; // Name of the strategy alone.
        Row segments: u64 = "segments"; // Segments.
        Row replicas: u64 = "replicas"; // Copies of each object.
        Row alloc_size: Option<u64>; // Bytes of an object, if all have one size.
        Row pattern: Option<String> = "pattern"; // The mix of sizes of a churn.
        Row eviction: Option<String> = "eviction"; // Who leaves in a churn.
        Decided seed: u64; // What requests are drawn from.
        + measured: Measured; // What came of it.
    }
}

record! {
    /// What came of the puts of a row.
    pub(super) struct Measured {
        Decided ops: u64; // Timed puts.
        Timed p50_ns: u64; // Half of the puts take at most so long.
        Timed p99_ns: u64 = "p99 ns"; // 99 of 100.
        Decided utilization_mean: f64 = "mean"; // Mean over the samples of live bytes over capacity.
        Decided utilization_stddev: f64; // Standard deviation over the segments of their utilization at the end.
        Decided fragmentation_mean: f64; // Mean over the samples of the share of free bytes outside the largest hole of their segment.
        Decided refused: u64 = "refused"; // Puts without a single replica.
        Decided partial: u64; // Puts with fewer replicas than asked for.
        Decided evicted: u64; // Objects evicted.
        Decided wrongly_refused: u64; // Refusals although one segment had a hole of the size.
        Decided converged_at: Option<f64>; // Share of the puts after which segments that joined were even for good; 1 if they never were.
        Decided new_segments_load: Option<f64>; // How many times their share of the capacity they were given of the first tenth of the puts.
        Decided checksum: String; // Digest of all placements.
        + rate: Rate; // Puts of one thread.
        + time: Timing; // Time of a put, the clock included.
    }
}

/// Times of puts. The percentiles are those of one histogram: the least time that so large a share
/// of the puts did not exceed, to three digits.
pub(super) struct Clock {
    times: Histogram<u64>,
    elapsed: Duration,
}

/// Result of a row.
pub(super) struct Outcome {
    pub(super) clock: Clock,
    /// Puts without a single replica.
    pub(super) refused: u64,
    /// Puts with fewer replicas than asked for.
    pub(super) partial: u64,
    /// Objects evicted.
    pub(super) evicted: u64,
    /// Puts, and attempts before the timed ones, refused although one segment had a hole of the size.
    pub(super) wrongly_refused: u64,
    /// Mean over the samples of live bytes over capacity.
    pub(super) utilization_mean: f64,
    /// Standard deviation over the segments of their utilization at the end.
    pub(super) utilization_stddev: f64,
    /// Mean over the samples of the share of free bytes outside the largest hole of their segment.
    pub(super) fragmentation_mean: f64,
    /// Of segments that joined: when they were even, and how much they were given at first.
    pub(super) joined: Option<[f64; 2]>,
    pub(super) checksum: Checksum,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            times: histogram(),
            elapsed: Duration::ZERO,
        }
    }

    /// Runs one put.
    #[inline]
    pub(super) fn time<T>(&mut self, put: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = put();
        let elapsed = start.elapsed();
        self.elapsed += elapsed;
        self.times.saturating_record(nanoseconds(elapsed));
        result
    }

    /// Returns what the puts took.
    fn took(&self) -> Took {
        Took {
            wall: self.elapsed,
            // Asking for it would take as long as a put.
            processor: None,
            ops: self.times.len(),
        }
    }
}

impl Outcome {
    pub(super) fn new() -> Self {
        Self {
            clock: Clock::new(),
            refused: 0,
            partial: 0,
            evicted: 0,
            wrongly_refused: 0,
            utilization_mean: 0.0,
            utilization_stddev: 0.0,
            fragmentation_mean: 0.0,
            joined: None,
            checksum: Checksum::new(),
        }
    }

    /// Takes note of what became of a put.
    pub(super) fn count(&mut self, placed: &[PlacedBuffer], replicas: u32) {
        self.refused += u64::from(placed.is_empty());
        self.partial += u64::from(!placed.is_empty() && placed.len() < replicas as usize);
        for buffer in placed {
            let SegmentId(id) = buffer.segment_id();
            self.checksum.add(u64::try_from(id).unwrap_or(u64::MAX));
            self.checksum.add(buffer.address());
        }
    }

    /// Returns the report of equal rounds.
    pub(super) fn report(rounds: &[Self]) -> Measured {
        let first = &rounds[0];
        check_agreement("a strategy", rounds.iter().map(|one| one.checksum));
        let took: Vec<Took> = rounds.iter().map(|round| round.clock.took()).collect();
        let mut times = histogram();
        for round in rounds {
            times += &round.clock.times;
        }
        Measured {
            ops: first.clock.times.len(),
            rate: Rate::of(&took, 1),
            time: Timing::of(&took),
            p50_ns: times.value_at_quantile(0.50),
            p99_ns: times.value_at_quantile(0.99),
            utilization_mean: first.utilization_mean,
            utilization_stddev: first.utilization_stddev,
            fragmentation_mean: first.fragmentation_mean,
            refused: first.refused,
            partial: first.partial,
            evicted: first.evicted,
            wrongly_refused: first.wrongly_refused,
            converged_at: first.joined.map(|[converged_at, _]| converged_at),
            new_segments_load: first.joined.map(|[_, load]| load),
            checksum: first.checksum.to_string(),
        }
    }
}

/// Returns the standard deviation over the segments of their utilization.
pub(super) fn stddev_of(stats: &PoolStats) -> f64 {
    let segments = stats.segments.iter();
    stddev(segments.map(|segment| segment.space.utilization()))
}

/// Returns the standard deviation of the utilizations of segments.
pub(super) fn stddev(utilizations: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let count = utilizations.len() as f64;
    let mean = utilizations.clone().sum::<f64>() / count;
    let variance = utilizations.map(|one| (one - mean).powi(2)).sum::<f64>() / count;
    variance.sqrt()
}

/// Means of what is sampled while a scenario runs.
#[derive(Default)]
pub(super) struct Samples {
    count: f64,
    utilization: f64,
    fragmentation: f64,
}

impl Samples {
    pub(super) fn take(&mut self, stats: &PoolStats) {
        self.count += 1.0;
        self.utilization += stats.total.utilization();
        self.fragmentation += stats.total.fragmentation();
    }

    /// Writes the means, and how even the segments are at the end.
    pub(super) fn finish(&self, outcome: &mut Outcome, last: &PoolStats) {
        outcome.utilization_mean = self.utilization / self.count;
        outcome.fragmentation_mean = self.fragmentation / self.count;
        outcome.utilization_stddev = stddev_of(last);
    }
}
