//! Times of a row: the median of its repeats, what lies between them, and the processor time beside it.

use std::time::{Duration, Instant};

use crate::probe::thread_time;
use crate::record::record;

/// Repeats of a row. Odd, so that the median is one of them.
pub const REPEATS: usize = 3;

record! {
    /// Time of an operation: medians over the repeats.
    pub struct Timing {
        /// Wall time.
        Timed ns_per_op: f64 = "ns/op";
        /// Half of what lies between the fastest and the slowest repeat; null for one.
        Timed ns_per_op_spread: Option<f64>;
        /// Processor time of the threads that ran it.
        Timed cpu_ns_per_op: Option<f64> = "CPU ns";
        /// How many there were.
        Timed repeats: u64;
    }
}

record! {
    /// What all threads do in a second: the median over the repeats.
    pub struct Rate {
        /// Operations.
        Timed ops_per_second: f64 = "op/s";
        /// Half of what lies between the slowest and the fastest repeat; null for one.
        Timed ops_per_second_spread: Option<f64>;
    }
}

/// One repeat of a timed section, or a part of it.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time of the threads that ran it, if it was taken.
    pub processor: Option<Duration>,
    /// Operations.
    pub ops: u64,
}

impl Took {
    /// Adds what followed.
    pub(crate) fn add(&mut self, other: Self) {
        self.wall += other.wall;
        let both = self.processor.zip(other.processor);
        self.processor = both.map(|(one, other)| one + other);
        self.ops += other.ops;
    }
}

/// A timed section that runs.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    start: Instant,
    used: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let used = thread_time();
        let start = Instant::now();
        Self { start, used }
    }

    /// Returns what the calling thread took for so many operations.
    pub(crate) fn stop(self, ops: u64) -> Took {
        let wall = self.start.elapsed();
        let processor = Some(thread_time() - self.used);
        Took {
            wall,
            processor,
            ops,
        }
    }
}

/// Does something for each item of a timed section, and returns what its parts took.
pub(crate) fn in_parts<T: Copy>(items: &[T], mut each: impl FnMut(T)) -> Vec<Took> {
    let parts = items.chunks(items.len().div_ceil(REPEATS).max(1));
    let took = parts.map(|part| {
        let watch = Stopwatch::start();
        part.iter().for_each(|&item| each(item));
        watch.stop(part.len() as u64)
    });
    took.collect()
}

impl Timing {
    /// Returns the times of repeats.
    ///
    /// # Panics
    ///
    /// Panics without repeats.
    #[must_use]
    pub fn of(repeats: &[Took]) -> Self {
        let by_op = |time: Duration, took: &Took| time.as_nanos() as f64 / took.ops.max(1) as f64;
        let walls = repeats.iter().map(|took| by_op(took.wall, took));
        let (ns_per_op, ns_per_op_spread) = middle(walls);
        let used = repeats
            .iter()
            .map(|took| Some(by_op(took.processor?, took)));
        let used: Option<Vec<f64>> = used.collect();
        Self {
            ns_per_op,
            ns_per_op_spread,
            cpu_ns_per_op: used.map(|used| middle(used.into_iter()).0),
            repeats: repeats.len() as u64,
        }
    }
}

impl Rate {
    /// Returns what so many threads do together whose repeats these are, each counted as one thread's.
    ///
    /// # Panics
    ///
    /// Panics without repeats.
    #[must_use]
    pub fn of(repeats: &[Took], threads: u64) -> Self {
        let rates = repeats.iter().map(|took| {
            let ops = took.ops * threads;
            ops as f64 / took.wall.as_secs_f64().max(1e-9)
        });
        let (ops_per_second, ops_per_second_spread) = middle(rates);
        Self {
            ops_per_second,
            ops_per_second_spread,
        }
    }
}

/// Returns the median of numbers, the smaller of the middle two, and half their range if there are several.
pub(crate) fn middle(numbers: impl Iterator<Item = f64>) -> (f64, Option<f64>) {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        panic!("a median needs at least one number");
    };
    let spread = (sorted.len() > 1).then_some((last - first) / 2.0);
    (sorted[(sorted.len() - 1) / 2], spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(nanoseconds: u64) -> Took {
        Took {
            wall: Duration::from_nanos(nanoseconds),
            processor: Some(Duration::from_nanos(nanoseconds / 2)),
            ops: 10,
        }
    }

    #[test]
    fn medians_ignore_one_outlier_and_the_spread_shows_it() {
        let timing = Timing::of(&[took(50), took(9_000), took(60)]);
        assert_eq!(
            (timing.ns_per_op, timing.ns_per_op_spread),
            (6.0, Some(447.5))
        );
        assert_eq!((timing.cpu_ns_per_op, timing.repeats), (Some(3.0), 3));
        assert_eq!(Rate::of(&[took(1_000), took(1_000)], 4).ops_per_second, 4e7);
    }

    #[test]
    fn one_repeat_has_no_spread() {
        assert_eq!(Timing::of(&[took(50)]).ns_per_op_spread, None);
        assert_eq!(Rate::of(&[took(50)], 1).ops_per_second_spread, None);
    }
}
