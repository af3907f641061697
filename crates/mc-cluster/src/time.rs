//! Times that no option and no message can make overflow.

use std::time::Duration;

use tokio::time::Instant;

/// What counts as never: about thirty years.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Returns the moment a time after another; one that no clock can hold never
/// comes.
pub(crate) fn after(moment: Instant, time: Duration) -> Instant {
    moment
        .checked_add(time)
        .unwrap_or_else(|| moment + time.min(NEVER))
}

/// Returns a time in milliseconds, as the wire has it.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_overflows_nothing() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(after(now, second), now + second);
        assert_eq!(after(now, Duration::MAX), now + NEVER);
        assert_eq!(millis(second), 1000);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
