//! How many records a call reads, for tests of the bounds that calls promise.
//!
//! A step is one hole looked at, one node walked over, or one node of a tree
//! visited. Outside of this crate's own tests nothing is counted.

#[cfg(test)]
extern crate std;

#[cfg(test)]
std::thread_local! {
    static TAKEN: core::cell::Cell<u64> = const { core::cell::Cell::new(0) };
}

/// Counts steps of the calling thread.
#[inline(always)]
pub(crate) fn note(steps: u64) {
    #[cfg(test)]
    TAKEN.set(TAKEN.get() + steps);
    #[cfg(not(test))]
    let _ = steps;
}

/// Returns the steps that a call takes.
#[cfg(test)]
pub(crate) fn of<R>(call: impl FnOnce() -> R) -> (R, u64) {
    let before = TAKEN.get();
    let result = call();
    (result, TAKEN.get() - before)
}
