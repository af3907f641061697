//! How long something is tried, and how often.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use crate::time::after;

/// The time that an operation has, and the pauses between its tries.
#[derive(Debug)]
pub(crate) struct Patience {
    end: Instant,
    pause: Duration,
    random: StdRng,
}

/// The first pause, and the longest.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A rate that every network reaches.
const BYTES_PER_MILLISECOND: u64 = 50_000;

impl Patience {
    pub(crate) fn new(time: Duration, seed: u64) -> Self {
        Self {
            end: after(Instant::now(), time),
            pause: PAUSE,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Returns the time that a call has which moves bytes.
    pub(crate) fn for_bytes(call_time: Duration, bytes: usize) -> Duration {
        let moving = Duration::from_millis(bytes as u64 / BYTES_PER_MILLISECOND);
        call_time.saturating_add(moving)
    }

    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Waits before the next try, each time about twice as long, and not at the
    /// same moment as others who failed together; returns whether there is a
    /// next try.
    pub(crate) async fn wait(&mut self) -> bool {
        let most = self.pause;
        self.pause = (most * 2).min(PAUSE_MAX);
        let pause = most.mul_f64(self.random.random_range(0.5..1.0));
        if pause >= self.left() {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}
