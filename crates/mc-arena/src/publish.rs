//! A value published once to the whole process, whose making may fail and be tried again.
//!
//! `std::sync::OnceLock` alone cannot do that: its fallible initialiser is not stable. Used by
//! `buffers.rs` for the process-wide arena and modelled in `tests/loom.rs`.
#![cfg_attr(
    not(loom),
    expect(
        unreachable_pub,
        reason = "exported under cfg(loom), to the models in tests/loom.rs"
    )
)]

use crate::sync::{Mutex, OnceLock};

/// Holds nothing until one initialiser succeeds, then that value for good.
#[derive(Debug)]
pub struct PublishOnce<T> {
    /// Set at most once, under `making`. Readers take no lock: `OnceLock` pairs its release on set
    /// with an acquire on get.
    value: OnceLock<T>,
    /// Held while an initialiser runs, so that at most one runs at a time.
    making: Mutex<()>,
}

impl<T> PublishOnce<T> {
    /// Returns a cell without a value.
    #[must_use]
    pub fn new() -> Self {
        Self {
            value: OnceLock::new(),
            making: Mutex::new(()),
        }
    }

    /// Returns the value if an initialiser has succeeded.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value, running `make` first if none has been published.
    ///
    /// Callers that arrive while `make` runs wait for it; if it fails, the next of them tries its own.
    ///
    /// # Errors
    ///
    /// Whatever `make` returns. Nothing is published then, and a later call tries again.
    pub fn get_or_try_make<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        // A panic in an earlier `make` published nothing, so a poisoned lock protects a sound state.
        let _making = self
            .making
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let made = make()?;
        let is_first = self.value.set(made).is_ok();
        debug_assert!(is_first, "only the holder of the lock sets the value");
        Ok(self
            .value
            .get()
            .unwrap_or_else(|| unreachable!("the value was set above")))
    }
}

impl<T> Default for PublishOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}
