//! The atomics of the lock-free parts, and what tells threads apart.
//!
//! Everything lock-free in this crate takes its atomics from here, so that a build with
//! `--cfg loom` runs the same code under loom's scheduler.

#[cfg(all(feature = "std", not(loom)))]
pub(crate) use core::sync::atomic::AtomicBool;
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
#[cfg(all(feature = "std", loom))]
pub(crate) use loom::sync::atomic::AtomicBool;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
#[cfg(all(feature = "std", loom))]
pub(crate) use loom::{
    sync::{Mutex, MutexGuard},
    thread::yield_now,
};
#[cfg(all(feature = "std", not(loom)))]
pub(crate) use std::{
    sync::{Mutex, MutexGuard},
    thread::yield_now,
};

/// Returns a number that differs between most threads and seldom changes within one.
///
/// It is taken from the address of a local variable: every thread has a stack of its own, and this
/// works without `std`. The answer only spreads threads out; nothing may depend on it being unique.
#[cfg(not(loom))]
#[inline]
pub(crate) fn thread_hint() -> u32 {
    /// Call chains within one window of this many bytes of stack get the same number.
    const STACK_WINDOW_BITS: u32 = 16;
    /// 2^32 divided by the golden ratio: multiples of it spread evenly over the 32-bit numbers.
    const GOLDEN: u32 = 0x9E37_79B9;

    let local = 0_u8;
    let window = core::ptr::from_ref(&local).addr() >> STACK_WINDOW_BITS;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits tell stacks apart"
    )]
    let low = window as u32;
    low.wrapping_mul(GOLDEN)
}

/// Returns the same number for every thread: loom replays schedules, which addresses would change,
/// and threads that start at one place interfere the most.
#[cfg(loom)]
pub(crate) fn thread_hint() -> u32 {
    0
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use alloc::{collections::BTreeSet, vec::Vec};
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn threads_that_run_at_the_same_time_have_different_hints() {
        let barrier = Barrier::new(8);
        let hints: BTreeSet<u32> = thread::scope(|scope| {
            let hint = || {
                barrier.wait();
                let hint = thread_hint();
                // No stack is used again before all hints are taken.
                barrier.wait();
                hint
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(hint)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(hints.len(), 8);
    }

    #[test]
    fn calls_of_any_depth_have_one_hint_unless_they_leave_a_window() {
        #[inline(never)]
        fn note_hints(depth: u32, hints: &mut BTreeSet<u32>) {
            hints.insert(thread_hint());
            if depth > 0 {
                note_hints(depth - 1, hints);
            }
        }

        // They take less stack than a window has, but may begin near its end.
        let mut hints = BTreeSet::new();
        note_hints(50, &mut hints);
        assert!(hints.len() <= 2, "{hints:?}");
    }
}
