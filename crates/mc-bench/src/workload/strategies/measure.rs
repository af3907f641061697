//! The clock of the scenarios and what they report.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mc_segment::{PlacedBuffer, PoolStats, SegmentId};

use crate::churn::Checksum;
use crate::record::Run;

/// Longest time of a put that the histogram tells apart from longer ones, in nanoseconds.
const TIME_MAX: u64 = 60_000_000_000;

/// Times of puts. The percentiles are those of one histogram: the least time that so large a share
/// of the puts did not exceed, to three digits.
pub(super) struct Clock {
    times: Histogram<u64>,
    elapsed: Duration,
}

/// Empty puts by which the clock is timed itself.
const CLOCK_ROUNDS: u32 = 1_000;

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
    /// What the scenario reports beside.
    pub(super) extra: Vec<(&'static str, f64)>,
    pub(super) checksum: Checksum,
}

impl Clock {
    pub(super) fn new() -> Self {
        let times = Histogram::new_with_bounds(1, TIME_MAX, 3);
        Self {
            times: times.expect("three digits are allowed"),
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
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(TIME_MAX);
        self.times.saturating_record(nanoseconds);
        result
    }
}

/// Returns the median time of a put that does nothing, in nanoseconds.
fn clock_ns() -> u64 {
    let mut clock = Clock::new();
    for _ in 0..CLOCK_ROUNDS {
        clock.time(|| black_box(0));
    }
    clock.times.value_at_quantile(0.50)
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
            extra: Vec::new(),
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

    pub(super) fn record(&self, run: Run, seed: u64) -> Run {
        let puts = self.clock.times.len();
        let seconds = self.clock.elapsed.as_secs_f64();
        let run = run
            .with("ops", puts)
            .with("seed", seed)
            .with("ops_per_second", puts as f64 / seconds)
            .with("ns_per_op", seconds * 1e9 / puts as f64)
            .with("p50_ns", self.clock.times.value_at_quantile(0.50))
            .with("p99_ns", self.clock.times.value_at_quantile(0.99))
            .with("clock_p50_ns", clock_ns())
            .with("utilization_mean", self.utilization_mean)
            .with("utilization_stddev", self.utilization_stddev)
            .with("fragmentation_mean", self.fragmentation_mean)
            .with("refused", self.refused)
            .with("partial", self.partial)
            .with("evicted", self.evicted)
            .with("wrongly_refused", self.wrongly_refused);
        let extra = self.extra.iter();
        extra
            .fold(run, |run, &(name, value)| run.with(name, value))
            .with("checksum", self.checksum.to_string())
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
