//! Parallel population: backing a mapping with memory before anyone uses it.
//!
//! One system call on one core zeroes a few gigabytes per second; terabyte pools need all cores.
//! Every worker exists before the first page is touched, because starting a thread takes the lock on
//! the address space that faulting pages contend for. Workers take one step of a region after the
//! other, so that one that has to share its core leaves more to the others.

pub(crate) mod background;

use std::{
    mem,
    num::NonZeroUsize,
    ops::Range,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
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
    error::PoolError,
    mapping::{Extent, Mapping, base_page_bytes},
    memory::Admission,
    region::Region,
};

pub(crate) use self::background::Progress;

/// A worker takes this much at a time; in between it reports progress and looks at the clock. A few
/// milliseconds of zeroing, beside which taking a step is nothing.
const STEP_BYTES: usize = 16 << 20;
/// Zeroing this much takes tens of milliseconds, beside which starting a thread is little.
const WORKER_BYTES_MIN: usize = 64 << 20;
/// The workers share one memory bus and one address space; QEMU stops at the same number.
const WORKERS_AUTO_MAX: usize = 16;
/// Started at most, however many are asked for: more than would ever be of use.
const WORKERS_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Why population stopped.
#[derive(Debug)]
pub(crate) enum PopulateError {
    Spawn {
        worker: usize,
        source: std::io::Error,
    },
    Fault(Errno),
    /// What is still to come has no room any more.
    Refused(Box<PoolError>),
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
        if mapping.extent().populate(0..0).is_ok() {
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
    /// Steps are multiples of it.
    pub(crate) granule_bytes: usize,
    pub(crate) workers: NonZeroUsize,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) method: Method,
    /// Takes the memory, where it is not the mapping that took it.
    pub(crate) admission: Option<Admission>,
}

/// What is left of one region, for all of its workers.
enum Rest<'a> {
    Advise(&'a Extent, Range<usize>),
    Touch(&'a mut [u8]),
}

/// One worker: the region it takes steps from, and the CPUs it runs on where they are named.
#[derive(Clone, Copy)]
struct Worker<'a> {
    rest: &'a Mutex<Rest<'a>>,
    cpus: Option<&'a CpuSet>,
}

/// What all workers of one population see.
struct Run<'a> {
    step_bytes: usize,
    page_bytes: usize,
    total_bytes: u64,
    deadline: Option<Instant>,
    /// Locked by a worker before each step, and for as long as the population waits for its turn.
    admission: Option<Mutex<Admission>>,
    /// Set when nobody needs the rest any more. Relaxed: it orders nothing.
    is_over: Option<&'a AtomicBool>,
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
    plan: Plan,
) -> Result<(), PopulateError> {
    let (method, worker_count) = (plan.method, plan.workers);
    let run = Run::new(mapping.len(), plan, None);
    let rests = rests(mapping, regions, method);
    run.go(&workers(regions, &rests, worker_count))
}

/// Backs a range of whole pages with memory, once `admit` has admitted the bytes that have none yet.
pub(crate) fn range(
    extent: &Extent,
    range: Range<usize>,
    admit: impl FnOnce(u64) -> Result<Option<Admission>, PoolError>,
) -> Result<(), PopulateError> {
    let steps = || {
        let starts = range.clone().step_by(STEP_BYTES);
        starts.map(|start| start..range.end.min(start + STEP_BYTES))
    };
    let missing = |step: Range<usize>| {
        let pages = extent.missing_pages(step).map_err(PopulateError::Fault)?;
        Ok::<_, PopulateError>(pages as u64 * base_page_bytes() as u64)
    };
    let refused = |error| PopulateError::Refused(Box::new(error));
    let missing_bytes = steps().map(missing).sum::<Result<u64, _>>()?;
    let mut admission = admit(missing_bytes).map_err(refused)?;
    for step in steps() {
        if let Some(admission) = &mut admission {
            let missing_bytes = missing(step.clone())?;
            admission.admit(missing_bytes, || false).map_err(refused)?;
        }
        extent.populate(step).map_err(PopulateError::Fault)?;
    }
    Ok(())
}

/// Returns every region as it is before population.
fn rests<'a>(
    mapping: &'a mut Mapping,
    regions: &[(Region, Option<CpuSet>)],
    method: Method,
) -> Vec<Mutex<Rest<'a>>> {
    let ranges = regions.iter().map(|(region, _)| region.range.clone());
    match method {
        Method::Advise => {
            let extent = mapping.extent();
            ranges
                .map(|range| Mutex::new(Rest::Advise(extent, range)))
                .collect()
        }
        Method::Touch => {
            // The ranges are consecutive and cover the mapping.
            let mut rest = mapping.as_mut_slice();
            ranges
                .map(|range| {
                    let region = rest.split_off_mut(..range.len());
                    Mutex::new(Rest::Touch(region.unwrap_or_default()))
                })
                .collect()
        }
    }
}

/// Gives every region its workers: at least one each, the remainder to the first regions.
fn workers<'a>(
    regions: &'a [(Region, Option<CpuSet>)],
    rests: &'a [Mutex<Rest<'a>>],
    workers: NonZeroUsize,
) -> Vec<Worker<'a>> {
    let workers = workers.min(WORKERS_MAX);
    let (each, more) = (workers.get() / regions.len(), workers.get() % regions.len());
    regions
        .iter()
        .zip(rests)
        .enumerate()
        .flat_map(|(index, ((_, cpus), rest))| {
            let cpus = cpus.as_ref();
            let count = (each + usize::from(index < more)).max(1);
            std::iter::repeat_n(Worker { rest, cpus }, count)
        })
        .collect()
}

impl<'a> Rest<'a> {
    /// Takes the next step; `None` when nothing is left.
    fn take_step(&mut self, step_bytes: usize) -> Option<Self> {
        match self {
            Self::Advise(extent, rest) => {
                let end = rest.end.min(rest.start.saturating_add(step_bytes));
                let step = mem::replace(&mut rest.start, end)..end;
                (!step.is_empty()).then_some(Self::Advise(extent, step))
            }
            Self::Touch(rest) => {
                let step = rest.split_off_mut(..step_bytes.min(rest.len()))?;
                (!step.is_empty()).then_some(Self::Touch(step))
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Advise(_, range) => range.len(),
            Self::Touch(bytes) => bytes.len(),
        }
    }

    /// Backs all of it with memory.
    fn populate(self, page_bytes: usize) -> Result<(), PopulateError> {
        match self {
            Self::Advise(extent, range) => extent.populate(range).map_err(PopulateError::Fault),
            Self::Touch(bytes) => {
                for byte in bytes.iter_mut().step_by(page_bytes) {
                    // The memory is fresh, so zero is what it holds.
                    *byte = 0;
                }
                Ok(())
            }
        }
    }
}

impl<'a> Run<'a> {
    fn new(total_bytes: usize, plan: Plan, is_over: Option<&'a AtomicBool>) -> Self {
        Self {
            step_bytes: STEP_BYTES.next_multiple_of(plan.granule_bytes),
            page_bytes: plan.page_bytes,
            total_bytes: total_bytes as u64,
            deadline: plan
                .time_limit
                .and_then(|limit| Instant::now().checked_add(limit)),
            admission: plan.admission.map(Mutex::new),
            is_over,
            populated_bytes: AtomicU64::new(0),
        }
    }

    fn go(&self, workers: &[Worker<'_>]) -> Result<(), PopulateError> {
        match workers {
            // The caller's own thread keeps its CPUs, so it serves only where none are named.
            [worker] if worker.cpus.is_none() => self.populate(worker.rest),
            workers => self.populate_in_parallel(workers),
        }
    }

    fn populate_in_parallel(&self, workers: &[Worker<'_>]) -> Result<(), PopulateError> {
        // Held for writing until all workers exist; a worker starts when it can read `true`.
        let gate = RwLock::new(false);
        thread::scope(|scope| {
            let mut is_open = gate.write().unwrap_or_else(PoisonError::into_inner);
            let mut threads = Vec::with_capacity(workers.len());
            for (worker, &Worker { rest, cpus }) in workers.iter().enumerate() {
                let gate = &gate;
                let spawned = thread::Builder::new()
                    .name(format!("mc-populate-{worker}"))
                    .spawn_scoped(scope, move || {
                        let is_open = *gate.read().unwrap_or_else(PoisonError::into_inner);
                        if is_open {
                            start_apart(worker, cpus);
                            self.populate(rest)
                        } else {
                            Ok(())
                        }
                    });
                match spawned {
                    Ok(spawned) => threads.push(spawned),
                    Err(source) => return Err(PopulateError::Spawn { worker, source }),
                }
            }
            *is_open = true;
            drop(is_open);
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or(Err(PopulateError::Fault(Errno::EFAULT)))
            })
        })
    }

    /// Takes steps until nothing of the region is left.
    fn populate(&self, region: &Mutex<Rest<'_>>) -> Result<(), PopulateError> {
        loop {
            let is_over = || {
                self.is_over
                    .is_some_and(|is_over| is_over.load(Ordering::Relaxed))
            };
            if is_over() {
                return Ok(());
            }
            // A statement of its own, so that the region is not locked while the step is populated.
            let step = lock(region).take_step(self.step_bytes);
            let Some(step) = step else {
                return Ok(());
            };
            let step_bytes = step.len();
            if let Some(admission) = &self.admission {
                let admitted = lock(admission).admit(step_bytes as u64, is_over);
                admitted.map_err(|error| PopulateError::Refused(Box::new(error)))?;
            }
            step.populate(self.page_bytes)?;
            self.note_step(step_bytes)?;
        }
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

/// Locks what the workers share. None panics while it holds a lock, so it is whole in any case.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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
    use crate::{numa::NumaPolicy, procfs};

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
            granule_bytes: page_bytes,
            workers: NonZeroUsize::new(workers).unwrap(),
            time_limit: None,
            method,
            admission: None,
        };
        populate(&mut mapping, &regions, plan).unwrap();
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
            admission: None,
            is_over: None,
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
