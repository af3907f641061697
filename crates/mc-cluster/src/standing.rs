//! Until when a node may take puts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use tonic::{Status, metadata::MetadataValue};

/// A moment on a clock that also runs while the process or the machine is
/// stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// Until when a node may take puts: for ever, or as long as its membership is
/// sure to last.
#[derive(Debug)]
pub(crate) struct Standing {
    /// A [`Moment`]; written by whoever renews the membership, read by calls. A
    /// call that reads an older one refuses what it need not, so `Relaxed`.
    until: AtomicU64,
    /// The [`Moment`] from which on puts were taken without a break, if they are
    /// taken; written with `until`. It says where else to look, so `Relaxed`.
    since: AtomicU64,
}

/// Says in a refusal that the node answers all calls but those of puts.
const TAKES_NO_PUTS: &str = "mc-takes-no-puts";

/// Returns the refusal of a put by a node that may not take any: to a client
/// that knows no better, it does not answer.
pub(crate) fn refusal() -> Status {
    let mut status = Status::unavailable("the node takes no puts at the moment");
    let said = MetadataValue::from_static("1");
    status.metadata_mut().insert(TAKES_NO_PUTS, said);
    status
}

/// Says whether a node refused puts alone.
pub(crate) fn is_refusal(status: &Status) -> bool {
    status.metadata().contains_key(TAKES_NO_PUTS)
}

impl Moment {
    pub(crate) const NEVER: Self = Self(0);
    pub(crate) const FOR_EVER: Self = Self(u64::MAX);

    pub(crate) fn now() -> Self {
        #[cfg(any(test, feature = "simulation"))]
        if let Some(passed) = crate::time::passed_in_scene() {
            return Self(micros(passed));
        }
        // The clock is there on every Linux, and reading it needs nothing.
        let passed = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
        Self(micros(passed.unwrap_or(Duration::MAX)))
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(micros(time)))
    }
}

impl Standing {
    pub(crate) fn new(until: Moment) -> Self {
        Self {
            until: AtomicU64::new(until.0),
            since: AtomicU64::new(Moment::now().0),
        }
    }

    pub(crate) fn set(&self, until: Moment) {
        if !self.takes_puts() {
            self.since.store(Moment::now().0, Ordering::Relaxed);
        }
        self.until.store(until.0, Ordering::Relaxed);
    }

    /// Takes note of a membership for a time that was asked for at a moment.
    ///
    /// Whoever granted it counts all of that time from a later moment; a tenth is
    /// left for clocks that are not alike.
    pub(crate) fn renewed(&self, asked: Moment, granted: Duration) {
        self.set(asked.after(granted.mul_f64(0.9)));
    }

    pub(crate) fn takes_puts(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until == Moment::FOR_EVER.0 || Moment::now().0 < until
    }

    /// Returns for how long puts were taken without a break; nothing if they are
    /// not.
    pub(crate) fn settled(&self) -> Duration {
        let since = self.since.load(Ordering::Relaxed);
        match self.takes_puts() {
            true => Duration::from_micros(Moment::now().0.saturating_sub(since)),
            false => Duration::ZERO,
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_are_taken_until_the_moment_that_was_set() {
        let standing = Standing::new(Moment::NEVER);
        assert!(!standing.takes_puts());
        standing.set(Moment::now().after(Duration::from_millis(30)));
        assert!(standing.takes_puts());
        std::thread::sleep(Duration::from_millis(31));
        assert!(!standing.takes_puts());
        standing.set(Moment::FOR_EVER);
        assert!(standing.takes_puts());
    }

    #[test]
    fn a_break_ends_what_was_settled_and_a_renewal_does_not() {
        let (pause, soon) = (Duration::from_millis(20), Duration::from_millis(500));
        let standing = Standing::new(Moment::NEVER);
        std::thread::sleep(pause);
        assert_eq!(standing.settled(), Duration::ZERO);
        standing.set(Moment::now().after(soon));
        assert!(standing.settled() < pause, "{:?}", standing.settled());
        std::thread::sleep(pause);
        standing.set(Moment::now().after(soon));
        assert!(standing.settled() >= pause);
        standing.set(Moment::NEVER);
        assert_eq!(standing.settled(), Duration::ZERO);
        standing.set(Moment::FOR_EVER);
        assert!(standing.settled() < pause, "{:?}", standing.settled());
    }
}
