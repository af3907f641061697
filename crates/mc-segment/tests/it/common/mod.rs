//! Pools and segments for tests.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use mc_segment::{Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions, Strategy};

/// Returns an empty pool.
pub(crate) fn pool(strategy: Strategy, seed: u64) -> SegmentPool {
    SegmentPool::new(SegmentPoolOptions { strategy, seed })
}

/// Returns a segment with a range and a name of its own on no host.
pub(crate) fn info(id: u128, size: u64) -> SegmentInfo {
    let base = u64::try_from(id).unwrap() << 32;
    SegmentInfo::new(SegmentId(id), format!("segment-{id}"), base, size)
}

/// Mounts remote segments with the ids from 1 on.
pub(crate) fn mount_sizes(pool: &SegmentPool, sizes: &[u64]) {
    for (id, &size) in (1..).zip(sizes) {
        pool.mount(Segment::remote(info(id, size))).unwrap();
    }
}
