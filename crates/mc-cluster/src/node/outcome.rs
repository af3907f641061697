//! What the store answers, as the wire says it.

use mc_segment::PlacedBuffer;
use mc_store::{CommitError, PutError, RemoveError};

use crate::wire::{Extent, Outcome};

pub(crate) fn of_put(error: &PutError) -> Outcome {
    match error {
        PutError::Exists => Outcome::Exists,
        PutError::InFlight => Outcome::InFlight,
        PutError::ObjectTooLarge { .. } | PutError::KeyTooLong { .. } => Outcome::TooLarge,
        PutError::NoRoom { .. } => Outcome::NoRoom,
        PutError::Place(_) => Outcome::Impossible,
        _ => Outcome::Failed,
    }
}

pub(crate) fn of_commit(error: &CommitError) -> Outcome {
    match error {
        CommitError::Expired => Outcome::Expired,
        _ => Outcome::Failed,
    }
}

pub(crate) fn of_remove(error: RemoveError) -> Outcome {
    match error {
        RemoveError::NotStored => Outcome::Unknown,
        RemoveError::Leased => Outcome::Leased,
        RemoveError::Pinned => Outcome::Pinned,
        _ => Outcome::Failed,
    }
}

pub(crate) fn extents(replica: &PlacedBuffer) -> Vec<Extent> {
    let extents = replica.extents();
    let told = extents.map(|extent| Extent {
        address: extent.address,
        bytes: extent.size,
    });
    told.collect()
}
