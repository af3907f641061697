//! Population while the pool is in use already.
//!
//! The pool is populated from its start on, a window at a time, each with all workers; what is before the
//! window is ready. Whoever touches a byte behind it gets its page at that moment, as in a lazy pool.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use nix::sched::CpuSet;

use crate::{error::PoolError, mapping::Extent, region::Region};

use super::{Plan, PopulateError, Rest, Run, workers};

/// A window is long beside the start of its threads, and short beside a pool.
const WINDOW_BYTES: usize = 256 << 20;

/// How far a population in the background has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes from the start on that have their memory. Stored with `Release` by the population after
    /// they have, read with `Acquire`.
    ready_bytes: AtomicUsize,
    /// Set when the population has ended.
    outcome: OnceLock<Result<(), Arc<PoolError>>>,
}

impl Progress {
    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready_bytes.load(Ordering::Acquire)
    }

    /// Waits until the population has ended.
    pub(crate) fn wait(&self) -> Result<(), Arc<PoolError>> {
        self.outcome.wait().clone()
    }

    /// Notes the end; why it failed is logged, as perhaps nobody asks.
    pub(crate) fn end(&self, outcome: Result<(), PoolError>) {
        if let Err(error) = &outcome {
            tracing::warn!(%error, "a memory pool was not populated to its end");
        }
        // There is one population, and it ends once.
        let _ = self.outcome.set(outcome.map_err(Arc::new));
    }
}

/// Populates an extent window by window until all of it is ready or `is_over`.
pub(crate) fn populate(
    extent: &Extent,
    is_over: &AtomicBool,
    regions: &[(Region, Option<CpuSet>)],
    plan: Plan,
    progress: &Progress,
) -> Result<(), PopulateError> {
    let window_bytes = WINDOW_BYTES.next_multiple_of(plan.granule_bytes);
    let worker_count = plan.workers;
    let run = Run::new(extent.len(), plan, Some(is_over));
    let mut start = 0;
    while start < extent.len() && !is_over.load(Ordering::Relaxed) {
        let end = extent.len().min(start.saturating_add(window_bytes));
        let parts: Vec<(Region, Option<CpuSet>)> = regions
            .iter()
            .filter_map(|(region, cpus)| Some((region.within(start..end)?, *cpus)))
            .collect();
        let rests: Vec<_> = parts
            .iter()
            .map(|(part, _)| Mutex::new(Rest::Advise(extent, part.range.clone())))
            .collect();
        run.go(&workers(&parts, &rests, worker_count))?;
        progress.ready_bytes.store(end, Ordering::Release);
        start = end;
    }
    Ok(())
}
