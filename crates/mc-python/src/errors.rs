//! Errors of the crates below as the exceptions of `mc_alloc`.
//!
//! The exceptions are classes in Python, in `mc_alloc/_errors.py`, whose constructors take the numbers.

use std::error::Error as StdError;

use mc_arena::{ClaimError, OtherProcess as OtherProcessError, PoolError, Process};
use mc_offset::{AllocError, PlaceError, Report};
use mc_segment::{BytesError, MountError, PlacementError, SegmentPool};
use mc_store::{
    AddReplicaError, CommitError, PutError, ReadError, RemoveError, TenantError, WriteError,
};
use pyo3::{PyErr, PyResult};

use self::exceptions::{
    Error, Exists, InvalidArgument, Leased, LimitReached, NoSpace, Occupied, OtherProcess, Pinned,
    QuotaExceeded, Unreadable,
};

/// The classes, looked up when the first of each is raised.
mod exceptions {
    use pyo3::import_exception;

    import_exception!(mc_alloc._errors, Error);
    import_exception!(mc_alloc._errors, InvalidArgument);
    import_exception!(mc_alloc._errors, NoSpace);
    import_exception!(mc_alloc._errors, LimitReached);
    import_exception!(mc_alloc._errors, Occupied);
    import_exception!(mc_alloc._errors, Exists);
    import_exception!(mc_alloc._errors, Leased);
    import_exception!(mc_alloc._errors, Pinned);
    import_exception!(mc_alloc._errors, QuotaExceeded);
    import_exception!(mc_alloc._errors, Unreadable);
    import_exception!(mc_alloc._errors, OtherProcess);
}

/// Returns the process that calls.
pub(crate) fn this_process() -> PyResult<Process> {
    Process::current().map_err(error)
}

pub(crate) fn error<E: StdError + 'static>(cause: E) -> PyErr {
    Error::new_err(text(&cause))
}

pub(crate) fn message(text: impl Into<String>) -> PyErr {
    Error::new_err(text.into())
}

/// Refuses an argument, which the text names with what is accepted.
pub(crate) fn invalid(text: impl Into<String>) -> PyErr {
    InvalidArgument::new_err(text.into())
}

/// Refuses an argument in the words of a crate below.
pub(crate) fn refused<E: StdError + 'static>(cause: E) -> PyErr {
    invalid(text(&cause))
}

#[cold]
pub(crate) fn other_process(error: OtherProcessError) -> PyErr {
    OtherProcess::new_err((error.to_string(), error.owner_pid, error.this_pid))
}

pub(crate) fn no_space(asked: u64, free: u64, largest_hole: u64) -> PyErr {
    NoSpace::new_err((asked, free, largest_hole))
}

#[cold]
pub(crate) fn allocate(cause: AllocError, asked: u64, report: impl FnOnce() -> Report) -> PyErr {
    match cause {
        AllocError::NoHole {
            asked,
            free,
            largest_hole,
        } => no_space(asked, free, largest_hole),
        AllocError::TooLarge { .. } => {
            let report = report();
            no_space(asked, report.free_bytes, report.largest_hole)
        }
        AllocError::LimitReached { limit } => {
            let report = report();
            LimitReached::new_err((asked, report.free_bytes, report.largest_hole, limit))
        }
        AllocError::ZeroSize | AllocError::ZeroExtents | AllocError::AlignNotPowerOfTwo { .. } => {
            refused(cause)
        }
        cause => error(cause),
    }
}

#[cold]
pub(crate) fn place(cause: PlaceError, asked: u64, report: impl FnOnce() -> Report) -> PyErr {
    match cause {
        PlaceError::Refused(cause) => allocate(cause, asked, report),
        PlaceError::Occupied { by } => {
            let report = report();
            let (free, largest_hole) = (report.free_bytes, report.largest_hole);
            Occupied::new_err((asked, free, largest_hole, by.offset(), by.size()))
        }
        cause => refused(cause),
    }
}

pub(crate) fn pool(cause: PoolError) -> PyErr {
    match cause {
        PoolError::OtherProcess(cause) => other_process(cause),
        PoolError::ZeroSize | PoolError::SizeOverflow { .. } => refused(cause),
        cause => error(cause),
    }
}

#[cold]
pub(crate) fn slice(cause: mc_arena::SliceError) -> PyErr {
    match cause {
        mc_arena::SliceError::Full {
            asked_bytes,
            left_bytes,
            ..
        } => no_space(asked_bytes as u64, left_bytes, left_bytes),
        mc_arena::SliceError::OtherProcess(cause) => other_process(cause),
        cause => refused(cause),
    }
}

pub(crate) fn mount(cause: MountError) -> PyErr {
    match cause {
        MountError::Busy { .. } | MountError::Leaving { .. } | MountError::OlderEpoch { .. } => {
            error(cause)
        }
        cause => refused(cause),
    }
}

#[cold]
pub(crate) fn put(cause: PutError, key: &[u8], pool: &SegmentPool) -> PyErr {
    match cause {
        PutError::Exists => Exists::new_err((key.to_vec(), false)),
        PutError::InFlight => Exists::new_err((key.to_vec(), true)),
        PutError::ObjectTooLarge { .. }
        | PutError::KeyTooLong { .. }
        | PutError::EmptyPart { .. }
        | PutError::PartsTooLarge { .. } => refused(cause),
        PutError::QuotaExceeded {
            tenant,
            asked,
            used,
            most,
            ..
        } => QuotaExceeded::new_err((tenant.to_string(), asked, used, most)),
        PutError::Place(place) | PutError::NoRoom { place, .. } => placement(place, cause, pool),
        cause => error(cause),
    }
}

fn placement(place: PlacementError, cause: PutError, pool: &SegmentPool) -> PyErr {
    match place {
        PlacementError::NoSpace {
            asked,
            free_bytes,
            largest_hole,
            ..
        } => no_space(asked, free_bytes, largest_hole),
        PlacementError::NoSegment { asked, .. } | PlacementError::TooFewNames { asked, .. } => {
            let segments = pool.segments();
            let free = segments.iter().map(|segment| segment.free_bytes);
            let holes = segments.iter().map(|segment| segment.largest_hole);
            no_space(asked, free.sum(), holes.max().unwrap_or(0))
        }
        _ => refused(cause),
    }
}

pub(crate) fn tenant(cause: TenantError) -> PyErr {
    match cause {
        TenantError::Journal => error(cause),
        cause => refused(cause),
    }
}

pub(crate) fn commit(cause: CommitError) -> PyErr {
    match cause {
        CommitError::Unreadable => Unreadable::new_err((cause.to_string(), None::<u128>)),
        cause => error(cause),
    }
}

/// Returns the exception, or `None` if nothing is stored under the key.
pub(crate) fn remove(cause: RemoveError, key: &[u8]) -> Option<PyErr> {
    match cause {
        RemoveError::NotStored => None,
        RemoveError::Pinned => Some(Pinned::new_err((key.to_vec(),))),
        RemoveError::Leased => Some(Leased::new_err((key.to_vec(),))),
        cause => Some(error(cause)),
    }
}

/// Returns the exception, or `None` if nothing is stored under the key.
pub(crate) fn add_replica(cause: AddReplicaError, key: &[u8], pool: &SegmentPool) -> Option<PyErr> {
    match cause {
        AddReplicaError::NotStored => None,
        AddReplicaError::NoRoom(cause) => Some(put(cause, key, pool)),
        cause => Some(error(cause)),
    }
}

pub(crate) fn read(cause: ReadError) -> PyErr {
    match cause {
        ReadError::Bytes(cause) => bytes(cause),
        cause => Unreadable::new_err((text(&cause), None::<u128>)),
    }
}

pub(crate) fn write(cause: WriteError) -> PyErr {
    match cause {
        WriteError::Bytes(cause) => bytes(cause),
        cause => error(cause),
    }
}

pub(crate) fn bytes(cause: BytesError) -> PyErr {
    match cause {
        BytesError::Unmounted { id } | BytesError::Remote { id } => {
            Unreadable::new_err((text(&cause), Some(id.0)))
        }
        BytesError::OutOfBuffer { .. } => refused(cause),
        BytesError::InUse(ClaimError::OtherProcess(cause)) => other_process(cause),
        cause => error(cause),
    }
}

/// Returns what an error says, and what those behind it say.
fn text(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
