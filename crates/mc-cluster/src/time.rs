//! Times that no option and no message can make overflow, and the clock of a
//! scene that is simulated.

#[cfg(any(test, feature = "simulation"))]
use std::cell::Cell;
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

#[cfg(any(test, feature = "simulation"))]
thread_local! {
    /// When the scene of this thread began, if it plays one.
    static SCENE_START: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Begins the clock of the scene that this thread plays, or ends it with `None`.
#[cfg(any(test, feature = "simulation"))]
pub(crate) fn set_scene_start(start: Option<Instant>) {
    SCENE_START.set(start);
}

/// Returns what has passed in the scene of this thread, if it plays one.
#[cfg(any(test, feature = "simulation"))]
pub(crate) fn passed_in_scene() -> Option<Duration> {
    SCENE_START.get().map(|start| start.elapsed())
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
