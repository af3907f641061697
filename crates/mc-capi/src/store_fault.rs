//! What calls of a store can fail of, and the status of each.

use std::io;

use mc_arena::ClaimError;
use mc_offset::OptionsError;
use mc_segment::{BytesError, MountError, PlacementError, SegmentResizeError, TransitionError};
use mc_store::{
    AddReplicaError, CommitError, CopyFailed, PutError, ReadError, RemoveError, ShrinkError,
    StoreOpenError, StoreOptionsError, TenantError, WriteError,
    journal::{JournalError, OpenError},
};

use crate::{figures::Figures, status::Status};

/// Why a call of a store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFault {
    #[error("the function that copies bytes has failed")]
    CopyFailed,
    #[error("the system gives no thread")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Put(#[from] PutError),
    #[error(transparent)]
    AddReplica(#[from] AddReplicaError),
    #[error(transparent)]
    Place(#[from] PlacementError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Remove(#[from] RemoveError),
    #[error(transparent)]
    Tenant(#[from] TenantError),
    #[error(transparent)]
    Options(#[from] StoreOptionsError),
    #[error(transparent)]
    Open(#[from] StoreOpenError),
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error(transparent)]
    Transition(#[from] TransitionError),
    #[error(transparent)]
    Shrink(#[from] ShrinkError),
    #[error(transparent)]
    Resize(#[from] SegmentResizeError),
    #[error(transparent)]
    Bytes(#[from] BytesError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl StoreFault {
    /// Returns what the caller is told.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::CopyFailed => Status::CopyFailed,
            Self::Thread(_) => Status::System,
            Self::Put(error) => put(error),
            Self::AddReplica(error) => add_replica(error),
            Self::Place(error) => placement(error),
            Self::Commit(error) => commit(*error),
            Self::Write(WriteError::Expired) => Status::Expired,
            Self::Write(WriteError::Bytes(error))
            | Self::Read(ReadError::Bytes(error))
            | Self::Bytes(error) => bytes(error),
            Self::Write(_) => Status::Internal,
            Self::Read(_) => Status::Corrupt,
            Self::Remove(error) => remove(*error),
            Self::Tenant(TenantError::Journal) | Self::Journal(_) => Status::Journal,
            Self::Tenant(_) | Self::Options(_) => Status::InvalidArgument,
            Self::Open(error) => open(error),
            Self::Mount(error) => mount(error),
            Self::Transition(error) => transition(error),
            Self::Shrink(ShrinkError::Resize(error)) | Self::Resize(error) => resize(error),
            Self::Shrink(_) => Status::Busy,
        }
    }

    /// Returns the numbers of a refusal.
    pub(crate) fn figures(&self) -> Figures {
        match self {
            Self::Place(error) => placement_figures(*error),
            Self::Put(error) | Self::AddReplica(AddReplicaError::NoRoom(error)) => {
                put_figures(error)
            }
            _ => Figures::default(),
        }
    }
}

impl From<CopyFailed> for StoreFault {
    fn from(_: CopyFailed) -> Self {
        Self::CopyFailed
    }
}

fn put(error: &PutError) -> Status {
    match error {
        PutError::Exists => Status::Exists,
        PutError::InFlight => Status::InFlight,
        PutError::ObjectTooLarge { .. }
        | PutError::PartsTooLarge { .. }
        | PutError::KeyTooLong { .. } => Status::TooLarge,
        PutError::EmptyPart { .. } => Status::InvalidArgument,
        PutError::Place(error) | PutError::NoRoom { place: error, .. } => placement(error),
        PutError::QuotaExceeded { .. } => Status::QuotaExceeded,
        PutError::Journal => Status::Journal,
        _ => Status::Internal,
    }
}

fn put_figures(error: &PutError) -> Figures {
    match *error {
        PutError::Place(error) | PutError::NoRoom { place: error, .. } => placement_figures(error),
        PutError::QuotaExceeded {
            asked, used, most, ..
        } => Figures {
            asked,
            used,
            most,
            ..Figures::default()
        },
        _ => Figures::default(),
    }
}

fn add_replica(error: &AddReplicaError) -> Status {
    match error {
        AddReplicaError::NotStored => Status::NotStored,
        AddReplicaError::Changed => Status::Busy,
        AddReplicaError::Journal => Status::Journal,
        AddReplicaError::NoRoom(error) => put(error),
        _ => Status::Internal,
    }
}

fn placement(error: &PlacementError) -> Status {
    match error {
        PlacementError::NoSegment { .. } | PlacementError::TooFewNames { .. } => Status::TooLarge,
        PlacementError::NoSpace { .. } => Status::NoSpace,
        _ => Status::InvalidArgument,
    }
}

fn placement_figures(error: PlacementError) -> Figures {
    match error {
        PlacementError::NoSpace {
            asked,
            free_bytes,
            largest_hole,
            ..
        } => Figures {
            asked,
            free: free_bytes,
            largest_hole,
            ..Figures::default()
        },
        PlacementError::NoSegment { asked, .. } | PlacementError::TooFewNames { asked, .. } => {
            Figures {
                asked,
                ..Figures::default()
            }
        }
        _ => Figures::default(),
    }
}

fn commit(error: CommitError) -> Status {
    match error {
        CommitError::Expired => Status::Expired,
        CommitError::Unreadable => Status::Unreadable,
        CommitError::Journal => Status::Journal,
        _ => Status::Internal,
    }
}

fn bytes(error: &BytesError) -> Status {
    match error {
        BytesError::Unmounted { .. } | BytesError::Remote { .. } | BytesError::NotMapped { .. } => {
            Status::Unreadable
        }
        BytesError::OutOfBuffer { .. } | BytesError::NoExtent { .. } => Status::InvalidArgument,
        BytesError::InUse(ClaimError::OtherProcess(_)) => Status::OtherProcess,
        BytesError::InUse(ClaimError::Truncated { .. }) => Status::Unreadable,
        BytesError::InUse(_) => Status::Busy,
        BytesError::File { .. } => Status::System,
        _ => Status::Internal,
    }
}

fn remove(error: RemoveError) -> Status {
    match error {
        RemoveError::NotStored => Status::NotStored,
        RemoveError::Pinned => Status::Pinned,
        RemoveError::Leased => Status::Leased,
        _ => Status::Internal,
    }
}

fn open(error: &StoreOpenError) -> Status {
    match error {
        StoreOpenError::Journal(OpenError::InUse { .. }) => Status::Busy,
        StoreOpenError::Journal(OpenError::Version { .. }) => Status::InvalidState,
        StoreOpenError::Journal(_) => Status::System,
        StoreOpenError::Options(_) => Status::InvalidArgument,
        StoreOpenError::Mount { source, .. } => mount(source),
        StoreOpenError::State { source, .. } => transition(source),
        _ => Status::Internal,
    }
}

fn mount(error: &MountError) -> Status {
    match error {
        MountError::Options {
            source: OptionsError::OutOfMemory,
            ..
        } => Status::OutOfMemory,
        MountError::Overlap { .. } | MountError::SharedMemory { .. } => Status::Occupied,
        MountError::OlderEpoch { .. } | MountError::Leaving { .. } => Status::WrongState,
        MountError::Busy { .. } => Status::Busy,
        _ => Status::InvalidArgument,
    }
}

fn transition(error: &TransitionError) -> Status {
    match error {
        TransitionError::NotMounted { .. } => Status::NotMounted,
        TransitionError::Refused { .. } => Status::WrongState,
        TransitionError::Busy { .. } | TransitionError::NotEmpty { .. } => Status::Busy,
        _ => Status::Internal,
    }
}

fn resize(error: &SegmentResizeError) -> Status {
    match error {
        SegmentResizeError::NotMounted { .. } => Status::NotMounted,
        SegmentResizeError::Busy { .. } | SegmentResizeError::Occupied { .. } => Status::Busy,
        _ => Status::InvalidArgument,
    }
}
