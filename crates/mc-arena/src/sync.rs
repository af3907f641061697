//! The synchronisation primitives of the lock-free parts, switched between std and loom.
//!
//! `cursor.rs` and `publish.rs` import their atomics and locks from here and from nowhere else, so
//! that the models in `tests/loom.rs` explore the very code that ships.

#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

#[cfg(loom)]
pub(crate) use loom::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::yield_now as spin_loop,
};

/// Stand-in for `std::sync::OnceLock`, which loom does not offer.
///
/// The value sits in the real one; the flag is what loom explores. It carries the release/acquire
/// edge that std documents between `set` and `get`.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    /// True implies that `value` is set. Written once by `set` (Release), read by `get` (Acquire).
    is_set: AtomicBool,
}

#[cfg(loom)]
impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            is_set: AtomicBool::new(false),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.is_set
            .load(Ordering::Acquire)
            .then(|| self.value.get())
            .flatten()
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }
}
