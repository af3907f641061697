//! Time as leases and deadlines count it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};
use parking_lot::Mutex;

/// A source of time: how long ago some fixed moment was.
///
/// A store counts only what its clock goes forward, and at most a year from
/// one reading to the next. A clock that is set back neither prolongs a lease
/// nor ends it; one that jumps ends leases and harms nothing else. It is read
/// while no lock is held, so it may call the store, and may panic: the call
/// that read it has then changed nothing.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System {
        start: Instant,
        /// The same in microseconds on the clock that the coarse one follows: not a reading
        /// of that, which would be some milliseconds ahead from then on and end leases early.
        coarse_start: u64,
    },
    Function(Arc<dyn Fn() -> Duration + Send + Sync>),
}

/// The most that counts as passed between two readings.
const STEP_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Clock {
    /// Returns the monotonic clock of the system.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System {
            start: Instant::now(),
            // A microsecond for what both readings are rounded by.
            coarse_start: 1 + micros_on(ClockId::CLOCK_MONOTONIC),
        })
    }

    /// Makes a clock of a function, such as one that tests turn by hand.
    pub fn new(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Source::Function(Arc::new(read)))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System { .. } => "Clock::system",
            Source::Function(_) => "Clock::new",
        })
    }
}

/// A moment on the stopwatch of a store: microseconds since it was made. They
/// last for half a million years, so a sum that saturates is never reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(micros(time)))
    }

    /// Returns what has passed since an earlier moment.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Hundredths of a second on the stopwatch, which wrap after 497 days. What lies more
/// than half of that back is taken to lie ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u32);

impl From<Moment> for Tick {
    #[expect(clippy::cast_possible_truncation, reason = "ticks wrap")]
    fn from(moment: Moment) -> Self {
        Self((moment.0 / 10_000) as u32)
    }
}

impl Tick {
    /// Returns the ticks since an earlier one: none if that was told by a clock
    /// that is ahead of this one's.
    pub(crate) fn since(self, earlier: Self) -> Self {
        let passed = self.0.wrapping_sub(earlier.0);
        Self(if passed > u32::MAX / 2 { 0 } else { passed })
    }
}

/// The time that has passed on a clock, without its steps back.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    clock: Clock,
    /// What the clock showed when the stopwatch was made.
    start: Duration,
    /// The last reading of a function and what had passed by then. Its lock is
    /// never held while the function runs.
    passed: Mutex<(Duration, Moment)>,
}

impl Stopwatch {
    pub(crate) fn new(clock: Clock) -> Self {
        let start = match &clock.0 {
            Source::System { .. } => Duration::ZERO,
            Source::Function(read) => read(),
        };
        Self {
            clock,
            start,
            passed: Mutex::new((start, Moment::default())),
        }
    }

    /// Returns the reading that the clock had at a moment, had it never been set
    /// back.
    pub(crate) fn reading(&self, moment: Moment) -> Duration {
        self.start.saturating_add(moment.since(Moment::default()))
    }

    /// Returns the moment of a reading.
    pub(crate) fn moment(&self, reading: Duration) -> Moment {
        Moment::default().after(reading.saturating_sub(self.start))
    }

    /// Returns the moment; never an earlier one than before.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        match &self.clock.0 {
            Source::System { start, .. } => Moment(micros(start.elapsed())),
            Source::Function(read) => self.advance(read()),
        }
    }

    /// As [`now`](Self::now), up to some milliseconds late and never ahead: the clock
    /// of the system costs a fraction of the other one, for what is told in hundredths
    /// of a second and for deadlines.
    #[inline]
    pub(crate) fn now_coarsely(&self) -> Moment {
        match &self.clock.0 {
            Source::System { coarse_start, .. } => {
                let coarse = micros_on(ClockId::CLOCK_MONOTONIC_COARSE);
                Moment(coarse.saturating_sub(*coarse_start))
            }
            Source::Function(read) => self.advance(read()),
        }
    }

    fn advance(&self, reading: Duration) -> Moment {
        let mut passed = self.passed.lock();
        let (last, moment) = *passed;
        let forward = reading.saturating_sub(last).min(STEP_MAX);
        *passed = (reading, moment.after(forward));
        passed.1
    }
}

/// Returns the microseconds on the monotonic clock, or on the coarse one, which is what that
/// was at the last tick of the kernel.
#[inline]
#[expect(
    clippy::cast_sign_loss,
    reason = "it counts from the start of the machine"
)]
fn micros_on(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let time = time.expect("the kernel has had both since 2.6.32");
    time.tv_sec() as u64 * 1_000_000 + time.tv_nsec() as u64 / 1_000
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const YEAR: u64 = STEP_MAX.as_secs();

    #[test]
    fn the_coarse_clock_is_never_ahead() {
        for round in 0..50 {
            // Stopwatches that are made at all times between two ticks of the kernel.
            let pause = Duration::from_micros(round * 97);
            let begun = Instant::now();
            while begun.elapsed() < pause {}
            let watch = Stopwatch::new(Clock::system());
            while begun.elapsed() < pause + Duration::from_millis(11) {
                let coarse = watch.now_coarsely();
                let now = watch.now();
                assert!(coarse <= now, "{coarse:?} at {now:?}");
            }
        }
    }

    #[test]
    fn steps_back_count_for_nothing_and_jumps_for_a_year() {
        let seconds = Arc::new(AtomicU64::new(100));
        let read = Arc::clone(&seconds);
        let watch = Stopwatch::new(Clock::new(move || {
            Duration::from_secs(read.load(Ordering::Relaxed))
        }));
        for (reading, elapsed) in [
            (100, 0),
            (107, 7),
            (20, 7),
            (23, 10),
            (0, 10),
            (u64::MAX, 10 + YEAR),
            (50, 10 + YEAR),
            (53, 13 + YEAR),
            (u64::MAX, 13 + 2 * YEAR),
        ] {
            seconds.store(reading, Ordering::Relaxed);
            assert_eq!(watch.now().0, elapsed * 1_000_000, "at {reading}");
        }
    }
}
