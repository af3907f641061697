//! Who copies the bytes of objects that move.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use mc_segment::{BytesError, PlacedBuffer};
use thiserror::Error;

/// Copies bytes between places of a store.
///
/// The store calls it for memory that this process does not have; for its own
/// it has a copier built in. No lock is held during a call, which may wait for a
/// transport. Other threads read and put meanwhile.
pub trait Copier: fmt::Debug + Send + Sync {
    /// Copies `len` bytes, from the byte `offset` of one buffer on, to the same
    /// offset of another of the same size.
    ///
    /// Once it has returned, readers of the new place find the bytes there.
    ///
    /// # Errors
    ///
    /// [`CopyFailed`]; the object stays where it is, as after a panic.
    fn copy(
        &self,
        from: &PlacedBuffer,
        to: &mut PlacedBuffer,
        offset: u64,
        len: u64,
    ) -> Result<(), CopyFailed>;

    /// Returns the bytes that are copied in one call, at least 1: so few that
    /// it takes some hundred microseconds, since a lease that is taken meanwhile
    /// ends the move after the call.
    fn slice_bytes(&self) -> u64 {
        1 << 20
    }
}

/// Bytes were not copied; the copier knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bytes were not copied")]
pub struct CopyFailed;

/// Copies within memory that this process reads and writes.
#[derive(Debug)]
pub(crate) struct LocalCopier;

impl Copier for LocalCopier {
    fn copy(
        &self,
        from: &PlacedBuffer,
        to: &mut PlacedBuffer,
        offset: u64,
        len: u64,
    ) -> Result<(), CopyFailed> {
        copy_local(from, to, offset, len).map_err(|_| CopyFailed)
    }
}

fn copy_local(
    from: &PlacedBuffer,
    to: &mut PlacedBuffer,
    offset: u64,
    len: u64,
) -> Result<(), BytesError> {
    let range = || Some(usize::try_from(offset).ok()?..usize::try_from(offset + len).ok()?);
    if from.extents().len() == 1
        && let Ok(lent) = from.bytes(0)
        && let Some(bytes) = range().and_then(|range| lent.get(range))
    {
        return to.write_at(offset, bytes);
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    from.read_at(offset, &mut bytes)?;
    to.write_at(offset, &bytes)
}

/// Copies a buffer slice by slice, as long as `goes_on`; a copier that panics
/// has failed.
pub(crate) fn copy_in_slices(
    copier: &dyn Copier,
    from: &PlacedBuffer,
    to: &mut PlacedBuffer,
    mut goes_on: impl FnMut() -> bool,
) -> Result<(), CopyFailed> {
    let slice = copier.slice_bytes().max(1);
    let mut offset = 0;
    while offset < from.size() {
        if !goes_on() {
            return Err(CopyFailed);
        }
        let len = slice.min(from.size() - offset);
        // What it may have broken is in a place that nobody is told of.
        let copied = catch_unwind(AssertUnwindSafe(|| copier.copy(from, to, offset, len)));
        copied.unwrap_or(Err(CopyFailed))?;
        offset += len;
    }
    Ok(())
}
