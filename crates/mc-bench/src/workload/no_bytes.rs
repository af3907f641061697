//! A copier for stores in which nothing is behind the places.

use mc_segment::PlacedBuffer;
use mc_store::{Copier, CopyFailed};

/// Copies nothing: there are no bytes.
#[derive(Debug)]
pub(super) struct NoBytes;

impl Copier for NoBytes {
    fn copy(
        &self,
        _from: &PlacedBuffer,
        _to: &mut PlacedBuffer,
        _offset: u64,
        _len: u64,
    ) -> Result<(), CopyFailed> {
        Ok(())
    }

    fn slice_bytes(&self) -> u64 {
        u64::MAX
    }
}
