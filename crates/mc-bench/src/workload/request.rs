//! What is asked of a workload, and whether it can be run.

use mc_arena::PoolError;

use crate::record::SkippedRun;
use crate::timing::REPEATS;

use super::replay::{self, ReplayError, ReplayOptions};
use super::{Sizes, Skipped, WORKLOADS, Workload, by_name};

/// Seed of a run that does not name one.
pub const SEED: u64 = 42;

/// Name that stands for every workload.
pub const ALL: &str = "all";

/// Largest number of timed operations: their sizes and samples are kept in memory.
pub const OPS_MAX: u64 = 100_000_000;

/// What to run, already checked against the workload by [`select`].
#[derive(Clone, Debug)]
pub struct Request {
    /// Names of the subjects to measure.
    pub subjects: Vec<&'static str>,
    /// Sizes to run; empty for those of the workload.
    pub sizes: Vec<u64>,
    /// Timed operations; nothing for the number of the workload.
    pub ops: Option<u64>,
    /// Seed of the requests and of the victims.
    pub seed: u64,
    /// How much to run.
    pub effort: Effort,
    /// What the replay of a trace is asked for.
    pub replay: ReplayOptions,
    /// Moments of each run that are kept, for workloads that have any.
    pub moments: usize,
}

/// How much of a workload to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// The published number of operations, and short rounds repeated.
    Full,
    /// Enough operations for a meaningful utilization, once.
    Quick,
}

impl Effort {
    /// Returns what a full run has, or what a quick one has instead.
    pub(super) fn choose<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// Why a request cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No workload has this name.
    #[error("unknown workload \"{name}\"; accepted: list, {accepted}, all")]
    UnknownWorkload {
        /// The name as given.
        name: String,
        /// The names of the workloads, separated by commas.
        accepted: String,
    },
    /// No subject has this name.
    #[error("unknown subject \"{name}\"; accepted: {accepted}")]
    UnknownSubject {
        /// The name as given.
        name: String,
        /// The names it takes, separated by commas.
        accepted: String,
    },
    /// The workload leaves the subject out.
    #[error("{workload} does not run \"{subject}\": {reason}; accepted: {accepted}")]
    SkippedSubject {
        /// The workload.
        workload: &'static str,
        /// The subject.
        subject: &'static str,
        /// Why it is left out.
        reason: &'static str,
        /// The names it takes, separated by commas.
        accepted: String,
    },
    /// The workload defines its own sizes.
    #[error("{workload} takes no --size: its sizes are fixed")]
    FixedSizes {
        /// The workload.
        workload: &'static str,
    },
    /// An object of the size does not fit the pool.
    #[error("--size {size_bytes} is out of range; accepted by {workload}: 1 to {size_bytes_max}")]
    SizeOutOfRange {
        /// The workload.
        workload: &'static str,
        /// The size as given.
        size_bytes: u64,
        /// The largest size that fits.
        size_bytes_max: u64,
    },
    /// The number of operations is not one the harness can hold in memory.
    #[error("--ops {ops} is out of range; accepted: 1 to {ops_max}")]
    OpsOutOfRange {
        /// The number as given.
        ops: u64,
        /// The largest number accepted.
        ops_max: u64,
    },
    /// The pool is not in the state that a scenario starts from.
    #[error(
        "{scenario} cannot start: {free_bytes} B are free, {largest_hole_bytes} B of them in one \
         hole, which does not fit requests of {request_bytes} B"
    )]
    Precondition {
        /// The scenario.
        scenario: &'static str,
        /// Free bytes after its preparation.
        free_bytes: u64,
        /// Bytes of the largest hole.
        largest_hole_bytes: u64,
        /// The largest size that the scenario asks for.
        request_bytes: u64,
    },
    /// A trace cannot be replayed as asked.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The system does not give the memory that is to be measured.
    #[error("{workload} cannot have its memory")]
    Memory {
        /// The workload.
        workload: &'static str,
        /// Why not, and what to do.
        source: Box<PoolError>,
    },
    /// A process that measures one subject apart from the others gave no figures.
    #[error(
        "{workload} cannot measure the memory of \"{subject}\": {reason}; it runs in the mc-bench \
         command, which starts itself again"
    )]
    Apart {
        /// The workload.
        workload: &'static str,
        /// The subject.
        subject: &'static str,
        /// What went wrong.
        reason: String,
    },
}

impl RequestError {
    pub(super) fn memory(workload: &'static str, source: PoolError) -> Self {
        let source = Box::new(source);
        Self::Memory { workload, source }
    }
}

impl Default for Request {
    fn default() -> Self {
        Self {
            subjects: Vec::new(),
            sizes: Vec::new(),
            ops: None,
            seed: SEED,
            effort: Effort::Full,
            replay: ReplayOptions::default(),
            moments: 0,
        }
    }
}

impl Request {
    /// Returns how often the rows of this request are repeated at most.
    #[must_use]
    pub fn repeats_max(&self) -> usize {
        self.effort.choose(REPEATS, 1)
    }

    /// Returns the timed operations: as many as are asked for, or what the workload has for its efforts.
    pub(super) fn ops_or(&self, full: u64, quick: u64) -> u64 {
        self.ops.unwrap_or(self.effort.choose(full, quick))
    }
}

/// What a command runs.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The workloads with what each is asked for.
    pub requests: Vec<(&'static Workload, Request)>,
    /// Pairs of workload and subject that are left out.
    pub skipped: Vec<SkippedRun>,
}

/// Returns the workloads of a name, which is that of one workload or `all`.
///
/// # Errors
///
/// Returns the names that are accepted.
pub fn named(name: &str) -> Result<Vec<&'static Workload>, RequestError> {
    if name == ALL {
        return Ok(WORKLOADS.iter().collect());
    }
    by_name(name).map(|workload| vec![workload]).ok_or_else(|| {
        let known: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        RequestError::UnknownWorkload {
            name: name.to_owned(),
            accepted: known.join(", "),
        }
    })
}

/// Returns the requests that the workloads get, and what they leave out.
///
/// No names stand for every subject of a workload. One workload has to take each name and the
/// sizes as they are. Of several, each takes the names and sizes that concern it, and each name has
/// to concern one of them.
///
/// # Errors
///
/// Returns which name, size or number is not accepted.
pub fn select(
    workloads: &[&'static Workload],
    names: &[String],
    request: &Request,
) -> Result<Selection, RequestError> {
    check_ops(request.ops)?;
    if let [workload] = workloads {
        check_sizes(workload, request)?;
        check_replay(workload, request)?;
        names
            .iter()
            .try_for_each(|name| check_skipped(workload, name))?;
    }
    if workloads
        .iter()
        .any(|workload| workload.name == replay::NAME)
    {
        request.replay.validate()?;
    }
    names
        .iter()
        .try_for_each(|name| check_known(workloads, name))?;

    let mut selection = Selection::default();
    let is_asked = |known: &str| names.is_empty() || names.iter().any(|name| name == known);
    for &workload in workloads {
        let mut left_out: Vec<Skipped> = workload.left_out(request.effort).collect();
        left_out.retain(|skipped| skipped.subject.split('/').next().is_some_and(is_asked));
        let mut subjects: Vec<&str> = workload
            .accepted()
            .filter(|known| is_asked(known))
            .collect();
        subjects.retain(|name| left_out.iter().all(|skipped| skipped.subject != *name));
        let skipped_run = |Skipped { subject, reason }| SkippedRun {
            workload: workload.name.to_owned(),
            subject: subject.to_owned(),
            reason: reason.to_owned(),
        };
        selection
            .skipped
            .extend(left_out.into_iter().map(skipped_run));
        if !subjects.is_empty() {
            let mut request = request.clone();
            request.subjects = subjects;
            if workload.sizes == Sizes::Fixed {
                request.sizes.clear();
            }
            check_sizes(workload, &request)?;
            selection.requests.push((workload, request));
        }
    }
    Ok(selection)
}

fn check_ops(ops: Option<u64>) -> Result<(), RequestError> {
    let ops_max = OPS_MAX;
    match ops {
        Some(ops) if ops == 0 || ops > ops_max => Err(RequestError::OpsOutOfRange { ops, ops_max }),
        Some(_) | None => Ok(()),
    }
}

/// Checks that a workload takes the sizes of a request.
pub(super) fn check_sizes(workload: &Workload, request: &Request) -> Result<(), RequestError> {
    if request.sizes.is_empty() {
        return Ok(());
    }
    let Sizes::Chosen { bytes_max } = workload.sizes else {
        let workload = workload.name;
        return Err(RequestError::FixedSizes { workload });
    };
    let out_of_range = |size: &&u64| !(1..=bytes_max).contains(*size);
    match request.sizes.iter().find(out_of_range) {
        Some(&size_bytes) => Err(RequestError::SizeOutOfRange {
            workload: workload.name,
            size_bytes,
            size_bytes_max: bytes_max,
        }),
        None => Ok(()),
    }
}

fn check_replay(workload: &Workload, request: &Request) -> Result<(), RequestError> {
    match request.replay.first_given() {
        Some(option) if workload.name != replay::NAME => {
            let workload = workload.name;
            Err(ReplayError::NoReplay { workload, option }.into())
        }
        _ => Ok(()),
    }
}

fn check_skipped(workload: &'static Workload, name: &str) -> Result<(), RequestError> {
    let mut skipped = workload.skipped.iter();
    match skipped.find(|skipped| skipped.subject == name) {
        None => Ok(()),
        Some(&Skipped { subject, reason }) => Err(RequestError::SkippedSubject {
            workload: workload.name,
            subject,
            reason,
            accepted: accepted_by(&[workload]),
        }),
    }
}

fn check_known(workloads: &[&'static Workload], name: &str) -> Result<(), RequestError> {
    let takes = |workload: &&Workload| workload.accepted().any(|known| known == name);
    if workloads.iter().any(takes) {
        return Ok(());
    }
    Err(RequestError::UnknownSubject {
        name: name.to_owned(),
        accepted: accepted_by(workloads),
    })
}

/// Returns the names that at least one of the workloads takes, separated by commas.
fn accepted_by(workloads: &[&'static Workload]) -> String {
    let mut names = Vec::new();
    for name in workloads.iter().flat_map(|workload| workload.accepted()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}
