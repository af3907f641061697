//! Time as leases count it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// A source of time: how long ago some fixed moment was.
///
/// A store counts only what its clock goes forward. One that is set back
/// neither prolongs a lease nor ends it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// Returns the monotonic clock of the system.
    #[must_use]
    pub fn system() -> Self {
        let start = Instant::now();
        Self::new(move || start.elapsed())
    }

    /// Makes a clock of a function, such as one that tests turn by hand.
    pub fn new(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&(self.0)()).finish()
    }
}

/// The time that has passed on a clock, without its steps back.
#[derive(Debug)]
pub(super) struct Stopwatch {
    clock: Clock,
    last_reading: Duration,
    elapsed: Duration,
}

impl Stopwatch {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            last_reading: (clock.0)(),
            clock,
            elapsed: Duration::ZERO,
        }
    }

    /// Returns what has passed since it was made; never less than before.
    pub(super) fn elapsed(&mut self) -> Duration {
        let reading = (self.clock.0)();
        let forward = reading.saturating_sub(self.last_reading);
        self.last_reading = reading;
        self.elapsed = self.elapsed.saturating_add(forward);
        self.elapsed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn steps_back_count_for_nothing() {
        let seconds = Arc::new(AtomicU64::new(100));
        let read = Arc::clone(&seconds);
        let clock = Clock::new(move || Duration::from_secs(read.load(Ordering::Relaxed)));
        let mut watch = Stopwatch::new(clock);
        for (reading, elapsed) in [
            (100, 0),
            (107, 7),
            (20, 7),
            (23, 10),
            (0, 10),
            (u64::MAX, u64::MAX),
        ] {
            seconds.store(reading, Ordering::Relaxed);
            assert_eq!(watch.elapsed().as_secs(), elapsed, "at {reading}");
        }
        seconds.store(0, Ordering::Relaxed);
        watch.elapsed();
        seconds.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(watch.elapsed(), Duration::MAX);
    }
}
