//! What surrounds each operation of a loop: nothing, or a clock.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::time::{ClockId, clock_gettime};

/// Longest time that the histograms tell from longer ones.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// Decimal digits of a time that the histograms keep.
const LATENCY_DIGITS: u8 = 3;

/// What surrounds each operation.
pub(crate) trait Probe {
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R;
}

/// Times nothing.
pub(crate) struct Unclocked;

/// Reads the clock before and after each operation.
pub(crate) struct Clocked(pub(crate) Histogram<u64>);

impl Probe for Unclocked {
    #[inline]
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        operation()
    }
}

impl Probe for Clocked {
    #[inline]
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = operation();
        self.0.saturating_record(nanoseconds(start.elapsed()));
        result
    }
}

/// Returns a histogram of nanoseconds without entries.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, nanoseconds(LATENCY_MAX), LATENCY_DIGITS)
        .expect("the bounds are in order")
}

/// Returns a time in nanoseconds.
#[inline]
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the processor time that the calling thread has used so far.
///
/// # Panics
///
/// Panics where the system does not count it; Linux does.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.expect("the system counts the time of threads").into()
}
