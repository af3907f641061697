//! Parallel population: backing a mapping with memory before anyone uses it.
//!
//! One system call on one core zeroes a few gigabytes per second; terabyte pools need all cores.
//! Every worker exists before the first page is touched, because starting a thread takes the lock on
//! the address space that faulting pages contend for.

use std::{
    num::NonZeroUsize,
    ops::Range,
    sync::{
        RwLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    mapping::Mapping,
    numa::{Region, split_pages},
};

/// Between two steps of this size a worker reports progress and looks at the clock.
const STEP_BYTES: usize = 64 << 20;
/// Zeroing this much takes tens of milliseconds, beside which starting a thread is little.
const WORKER_BYTES_MIN: usize = 64 << 20;
/// The workers share one memory bus and one address space; QEMU stops at the same number.
const WORKERS_AUTO_MAX: usize = 16;

/// Why population stopped.
#[derive(Debug)]
pub(crate) enum PopulateError {
    Spawn {
        worker: usize,
        source: std::io::Error,
    },
    Fault(Errno),
    TimeUp {
        populated_bytes: u64,
    },
}

/// How pages are brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// `MADV_POPULATE_WRITE`: errors instead of signals.
    Advise,
    /// Writing to every page, for kernels before 5.14.
    Touch,
}

impl Method {
    /// Returns the best method the running kernel has.
    pub(crate) fn detect(mapping: &Mapping) -> Self {
        // Advice about no bytes succeeds iff the kernel knows it (madvise(2)).
        if mapping.populate(0..0).is_ok() {
            Self::Advise
        } else {
            Self::Touch
        }
    }
}

/// How a population runs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) page_bytes: usize,
    pub(crate) workers: NonZeroUsize,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) method: Method,
}

/// One worker's part of the mapping.
struct Share<'a> {
    work: Work<'a>,
    cpus: Option<&'a CpuSet>,
}

enum Work<'a> {
    Advise(&'a Mapping, Range<usize>),
    Touch(&'a mut [u8]),
}

/// What all workers of one population see.
struct Run {
    step_bytes: usize,
    page_bytes: usize,
    total_bytes: u64,
    deadline: Option<Instant>,
    /// Bytes backed so far. Added to by every worker after a step; Relaxed, it orders nothing.
    populated_bytes: AtomicU64,
}

/// Returns the number of workers for a pool when none was given.
pub(crate) fn workers_auto(len: usize) -> NonZeroUsize {
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = cpus.min(WORKERS_AUTO_MAX).min(len / WORKER_BYTES_MIN);
    NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN)
}

/// Backs all regions of a mapping with memory, each by threads on its own CPUs where it names any.
pub(crate) fn populate(
    mapping: &mut Mapping,
    regions: &[(Region, Option<CpuSet>)],
    plan: &Plan,
) -> Result<(), PopulateError> {
    let run = Run {
        step_bytes: STEP_BYTES.next_multiple_of(plan.page_bytes),
        page_bytes: plan.page_bytes,
        total_bytes: mapping.len() as u64,
        deadline: plan.time_limit.map(|limit| Instant::now() + limit),
        populated_bytes: AtomicU64::new(0),
    };
    let ranges = worker_ranges(regions, plan);
    let mut shares = shares(mapping, ranges, plan.method);
    match shares.as_mut_slice() {
        // The caller's own thread keeps its CPUs, so it serves only where none are named.
        [share] if share.cpus.is_none() => run.populate(share),
        shares => run.populate_in_parallel(shares),
    }
}

/// Divides every region among its workers: at least one each, the remainder to the first regions.
fn worker_ranges<'a>(
    regions: &'a [(Region, Option<CpuSet>)],
    plan: &Plan,
) -> Vec<(Range<usize>, Option<&'a CpuSet>)> {
    let (each, rest) = (
        plan.workers.get() / regions.len(),
        plan.workers.get() % regions.len(),
    );
    regions
        .iter()
        .enumerate()
        .flat_map(|(index, (region, cpus))| {
            let workers = (each + usize::from(index < rest)).max(1);
            split_pages(&region.range, plan.page_bytes, workers)
                .into_iter()
                .map(|range| (range, cpus.as_ref()))
        })
        .collect()
}

fn shares<'a>(
    mapping: &'a mut Mapping,
    ranges: Vec<(Range<usize>, Option<&'a CpuSet>)>,
    method: Method,
) -> Vec<Share<'a>> {
    match method {
        Method::Advise => {
            let mapping = &*mapping;
            ranges
                .into_iter()
                .map(|(range, cpus)| Share {
                    work: Work::Advise(mapping, range),
                    cpus,
                })
                .collect()
        }
        Method::Touch => {
            // The ranges are consecutive and cover the mapping.
            let mut rest = mapping.as_mut_slice();
            let mut shares = Vec::with_capacity(ranges.len());
            for (range, cpus) in ranges {
                let (bytes, after) = rest.split_at_mut(range.len());
                rest = after;
                shares.push(Share {
                    work: Work::Touch(bytes),
                    cpus,
                });
            }
            shares
        }
    }
}

impl Run {
    fn populate_in_parallel(&self, shares: &mut [Share<'_>]) -> Result<(), PopulateError> {
        // Held for writing until all workers exist; a worker starts when it can read `true`.
        let gate = RwLock::new(false);
        thread::scope(|scope| {
            let mut is_open = gate
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut workers = Vec::with_capacity(shares.len());
            for (worker, share) in shares.iter_mut().enumerate() {
                let gate = &gate;
                let spawned = thread::Builder::new()
                    .name(format!("mc-populate-{worker}"))
                    .spawn_scoped(scope, move || {
                        let is_open = *gate
                            .read()
                            .unwrap_or_else(std::sync::PoisonError::into_inner);
                        if is_open {
                            start_apart(worker, share.cpus);
                            self.populate(share)
                        } else {
                            Ok(())
                        }
                    });
                match spawned {
                    Ok(spawned) => workers.push(spawned),
                    Err(source) => return Err(PopulateError::Spawn { worker, source }),
                }
            }
            *is_open = true;
            drop(is_open);
            workers.into_iter().try_for_each(|worker| {
                worker
                    .join()
                    .unwrap_or(Err(PopulateError::Fault(Errno::EFAULT)))
            })
        })
    }

    fn populate(&self, share: &mut Share<'_>) -> Result<(), PopulateError> {
        match &mut share.work {
            Work::Advise(mapping, range) => {
                for start in range.clone().step_by(self.step_bytes) {
                    let end = range.end.min(start + self.step_bytes);
                    mapping.populate(start..end).map_err(PopulateError::Fault)?;
                    self.note_step(end - start)?;
                }
            }
            Work::Touch(bytes) => {
                for step in bytes.chunks_mut(self.step_bytes) {
                    for byte in step.iter_mut().step_by(self.page_bytes) {
                        // The memory is fresh, so zero is what it holds.
                        *byte = 0;
                    }
                    self.note_step(step.len())?;
                }
            }
        }
        Ok(())
    }

    fn note_step(&self, step_bytes: usize) -> Result<(), PopulateError> {
        let step_bytes = step_bytes as u64;
        let populated_bytes = self
            .populated_bytes
            .fetch_add(step_bytes, Ordering::Relaxed)
            + step_bytes;
        tracing::debug!(
            populated_bytes,
            total_bytes = self.total_bytes,
            "populating the pool"
        );
        let is_late = self
            .deadline
            .is_some_and(|deadline| Instant::now() > deadline);
        if is_late && populated_bytes < self.total_bytes {
            return Err(PopulateError::TimeUp { populated_bytes });
        }
        Ok(())
    }
}

/// Moves the calling worker to a CPU that the other workers do not start on, then lets it go wherever
/// the scheduler wants it within `cpus`, or within what its process may use.
///
/// Threads that wait for the same gate are woken on the few CPUs that were idle when they were made;
/// on a machine with idle CPUs the scheduler was seen to leave two of them on one CPU for as long as
/// 1 GiB took.
fn start_apart(worker: usize, cpus: Option<&CpuSet>) {
    let this_thread = Pid::from_raw(0);
    let moved = cpus
        .map_or_else(|| sched_getaffinity(this_thread), |cpus| Ok(*cpus))
        .and_then(|allowed| {
            sched_setaffinity(this_thread, &nth_cpu(&allowed, worker)?)?;
            sched_setaffinity(this_thread, &allowed)
        });
    if let Err(errno) = moved {
        tracing::warn!(%errno, worker, "population worker could not move to a CPU of its own");
    }
}

/// Returns the set of one CPU, the `n`th of `allowed` counted round and round.
fn nth_cpu(allowed: &CpuSet, n: usize) -> Result<CpuSet, Errno> {
    let is_allowed = |cpu: &usize| allowed.is_set(*cpu) == Ok(true);
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(is_allowed).collect();
    let cpu = n.checked_rem(cpus.len()).map(|index| cpus[index]);
    let mut only = CpuSet::new();
    only.set(cpu.ok_or(Errno::EINVAL)?)?;
    Ok(only)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::{mapping::base_page_bytes, numa::NumaPolicy, procfs};

    fn resident_bytes(mapping: &Mapping) -> u64 {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        procfs::smaps_range(&text, &mapping.addresses())
            .unwrap()
            .resident_bytes
    }

    #[track_caller]
    fn check_populates(method: Method, workers: usize, pages: usize) {
        let page_bytes = base_page_bytes();
        let len = pages * page_bytes;
        let mut mapping = Mapping::private(NonZeroUsize::new(len).unwrap(), page_bytes).unwrap();
        mapping.advise(crate::mapping::Advice::DontFork).unwrap();
        let regions: Vec<_> = NumaPolicy::System
            .regions(len, page_bytes)
            .into_iter()
            .map(|region| (region, None))
            .collect();
        let plan = Plan {
            page_bytes,
            workers: NonZeroUsize::new(workers).unwrap(),
            time_limit: None,
            method,
        };
        populate(&mut mapping, &regions, &plan).unwrap();
        assert_eq!(
            resident_bytes(&mapping),
            len as u64,
            "{method:?} with {workers} workers"
        );
        assert!(mapping.as_mut_slice().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn every_page_becomes_resident() {
        for method in [Method::Advise, Method::Touch] {
            for (workers, pages) in [(1, 7), (2, 7), (3, 100), (8, 3)] {
                check_populates(method, workers, pages);
            }
        }
    }

    #[test]
    fn workers_start_on_cpus_in_turn() {
        let mut allowed = CpuSet::new();
        for cpu in [1, 4, 6] {
            allowed.set(cpu).unwrap();
        }
        for (worker, cpu) in [(0, 1), (1, 4), (2, 6), (3, 1)] {
            let mut only = CpuSet::new();
            only.set(cpu).unwrap();
            assert_eq!(nth_cpu(&allowed, worker), Ok(only), "worker {worker}");
        }
        assert_eq!(nth_cpu(&CpuSet::new(), 0), Err(Errno::EINVAL));
    }

    #[test]
    fn a_time_limit_that_passes_is_reported_with_progress() {
        let run = Run {
            step_bytes: 1,
            page_bytes: 1,
            total_bytes: 2,
            deadline: Some(Instant::now() - Duration::from_millis(1)),
            populated_bytes: AtomicU64::new(0),
        };
        assert!(matches!(
            run.note_step(1),
            Err(PopulateError::TimeUp { populated_bytes: 1 })
        ));
        assert!(
            run.note_step(1).is_ok(),
            "a finished population is never late"
        );
    }

    #[test]
    fn small_pools_get_one_worker() {
        assert_eq!(workers_auto(1 << 20), NonZeroUsize::MIN);
        assert!(workers_auto(1 << 40).get() <= WORKERS_AUTO_MAX);
    }
}
