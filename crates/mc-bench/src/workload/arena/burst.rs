//! A burst: threads that start together and time the same number of allocations each.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::timing::Took;
use crate::workload::threads::{timed, together, took};

/// What every thread of a burst does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    /// Size of each allocation.
    pub(super) size_bytes: usize,
    /// Threads, each pinned to a core; they share cores where there are fewer.
    pub(super) threads: usize,
    /// Allocations of each thread.
    pub(super) ops: usize,
}

/// An allocator as one thread's timed loop sees it.
///
/// The loop is generic over it and keeps it in a local variable, so that a call costs what the
/// allocator costs.
pub(super) trait Hand {
    /// Allocates and returns the address, which the loop does not follow.
    fn allocate(&mut self, size_bytes: usize) -> *const u8;
}

impl Burst {
    /// Runs the burst, each thread on a hand of its own, and returns what it took: from the moment when
    /// the first thread goes to the last allocation of the last, and the processor time of a thread.
    ///
    /// Threads go when all have arrived; making and dropping the hands is outside the time.
    pub(super) fn run<H: Hand>(&self, hand: impl Fn() -> H + Sync) -> Took {
        let start = Start::new(self.threads);
        // By value: the loop must not read them from memory after every allocation.
        let (ops, size_bytes) = (self.ops, self.size_bytes);
        let spans = together(vec![(); self.threads], |_, (), _| {
            let mine = hand();
            start.arrive_and_wait();
            // By value in and out: it is a local variable of the loop, and dropped after the time.
            let (span, _mine) = timed(move || {
                let mut mine = mine;
                for _ in 0..ops {
                    black_box(mine.allocate(size_bytes));
                }
                mine
            });
            span
        });
        let whole = took(spans.iter().copied(), ops as u64);
        let threads = u32::try_from(self.threads).unwrap_or(1);
        Took {
            // Of one thread, as the time is.
            processor: whole.processor.map(|used| used / threads),
            ..whole
        }
    }
}

/// Lets threads go within a cache miss of each other; waking them from a blocking barrier takes longer
/// than a burst of large slices.
struct Start {
    /// Threads that have not arrived yet. Each thread subtracts one. Relaxed, because nothing is
    /// handed over: the value only says when to go.
    missing: AtomicUsize,
    /// Whether waiting threads may keep their cores, having one each.
    is_spinning: bool,
}

impl Start {
    fn new(threads: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            missing: AtomicUsize::new(threads),
            is_spinning: threads <= cores,
        }
    }

    fn arrive_and_wait(&self) {
        self.missing.fetch_sub(1, Ordering::Relaxed);
        while self.missing.load(Ordering::Relaxed) > 0 {
            if self.is_spinning {
                spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}
