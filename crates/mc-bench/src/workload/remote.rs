//! Memory of other hosts, for stores in which nothing is behind the places.

use mc_segment::{PlacedBuffer, Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
use mc_store::{Copier, CopyFailed};

/// The segment of [`pool`].
pub(super) const SEGMENT: SegmentId = SegmentId(1);

/// Returns a pool with one segment of so many bytes.
pub(super) fn pool(bytes: u64) -> SegmentPool {
    let pool = SegmentPool::new(SegmentPoolOptions::default());
    let mounted = pool.mount(Segment::remote(SegmentInfo::new(SEGMENT, "all", 0, bytes)));
    mounted.expect("a segment with bytes can be mounted");
    pool
}

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
