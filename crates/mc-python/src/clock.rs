//! The class `ManualClock`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mc_store::Clock;
use pyo3::{prelude::*, pyclass};

use crate::arguments;

/// Time that stands still until it is told to go on, for tests.
///
/// >>> import mc_alloc
/// >>> clock = mc_alloc.ManualClock()
/// >>> clock.advance(1.5)
/// >>> clock.now()
/// 1.5
#[pyclass(frozen, module = "mc_alloc")]
#[derive(Debug, Default)]
pub(crate) struct ManualClock {
    /// Nanoseconds that have passed; they order nothing, so `Relaxed`.
    passed: Arc<AtomicU64>,
}

#[pymethods]
impl ManualClock {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Lets time pass, up to the last moment that the clock can show, some 584 years on.
    fn advance(&self, seconds: f64) -> PyResult<()> {
        let time = arguments::seconds("seconds", seconds)?;
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let later = |passed: u64| Some(passed.saturating_add(nanoseconds));
        // It always has a later time, so it is never refused.
        let _ = self
            .passed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        Ok(())
    }

    /// Returns the seconds that have passed.
    fn now(&self) -> f64 {
        Duration::from_nanos(self.passed.load(Ordering::Relaxed)).as_secs_f64()
    }
}

impl ManualClock {
    pub(crate) fn clock(&self) -> Clock {
        let passed = Arc::clone(&self.passed);
        Clock::new(move || Duration::from_nanos(passed.load(Ordering::Relaxed)))
    }
}
