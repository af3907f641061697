//! Small numbers for the threads that are alive.
//!
//! A number is free again when its thread has ended, so that few threads have
//! small numbers, however many there were before.

#[cfg(not(loom))]
use std::cell::Cell;

/// Returns the calling thread's number; no other live thread has it, unless
/// one of them is ending.
#[cfg(not(loom))]
#[inline]
pub(super) fn thread_number() -> usize {
    match NUMBER.get() {
        NO_NUMBER => first_number(),
        number => number,
    }
}

/// Leases a number for the thread. One that is just ending has 0: numbers
/// spread threads over magazines, and nothing depends on their being unique.
#[cfg(not(loom))]
#[cold]
fn first_number() -> usize {
    let number = LEASE.try_with(|lease| lease.0).unwrap_or(0);
    NUMBER.set(number);
    number
}

#[cfg(loom)]
pub(super) fn thread_number() -> usize {
    NUMBER.with(|&number| number)
}

/// Returns an address that no other live thread returns, and never 0.
#[cfg(not(loom))]
pub(super) fn thread_address() -> usize {
    NUMBER.with(|number| core::ptr::from_ref(number).addr())
}

#[cfg(loom)]
pub(super) fn thread_address() -> usize {
    thread_number() + 1
}

#[cfg(not(loom))]
const NO_NUMBER: usize = usize::MAX;

#[cfg(not(loom))]
std::thread_local! {
    /// The number of `LEASE`, which needs no destructor and hence no check.
    static NUMBER: Cell<usize> = const { Cell::new(NO_NUMBER) };
    static LEASE: Lease = Lease::take();
}

#[cfg(loom)]
loom::lazy_static! {
    static ref NEXT: crate::sync::AtomicUsize = crate::sync::AtomicUsize::new(0);
}

#[cfg(loom)]
loom::thread_local! {
    static NUMBER: usize = NEXT.fetch_add(1, crate::sync::Ordering::Relaxed);
}

/// A number that the thread gives back when it ends.
#[cfg(not(loom))]
struct Lease(usize);

#[cfg(not(loom))]
mod numbers {
    use alloc::collections::BTreeSet;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// Numbers given out so far, and those of them that are free again.
    pub(super) struct Numbers {
        end: usize,
        free: BTreeSet<usize>,
    }

    impl Numbers {
        pub(super) fn take(&mut self) -> usize {
            self.free.pop_first().unwrap_or_else(|| {
                self.end += 1;
                self.end - 1
            })
        }

        pub(super) fn give_back(&mut self, number: usize) {
            self.free.insert(number);
        }
    }

    #[cfg(test)]
    #[test]
    fn the_lowest_number_that_is_free_is_taken() {
        let mut numbers = Numbers {
            end: 0,
            free: BTreeSet::new(),
        };
        assert_eq!([(); 4].map(|()| numbers.take()), [0, 1, 2, 3]);
        numbers.give_back(2);
        numbers.give_back(0);
        assert_eq!([(); 3].map(|()| numbers.take()), [0, 2, 4]);
    }

    static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers {
        end: 0,
        free: BTreeSet::new(),
    });

    pub(super) fn lock() -> MutexGuard<'static, Numbers> {
        NUMBERS.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(not(loom))]
impl Lease {
    fn take() -> Self {
        Self(numbers::lock().take())
    }
}

#[cfg(not(loom))]
impl Drop for Lease {
    fn drop(&mut self) {
        numbers::lock().give_back(self.0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn numbers_of_threads_that_ended_are_used_again() {
        let mine = thread_number();
        assert_eq!(thread_number(), mine);
        let highest = (0..100)
            .map(|_| thread::spawn(thread_number).join().unwrap())
            .max();
        // Other tests run beside this one, but not a hundred of them.
        assert!(highest.unwrap() < 100);
    }
}
