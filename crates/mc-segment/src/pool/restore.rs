//! A pool to plain data and back.

use std::sync::Arc;

use super::SegmentPool;
use crate::{
    error::PoolRestoreError,
    growing::UnknownFields,
    memory::Memory,
    mounted::Mounted,
    segment::{Segment, SegmentInfo},
    snapshot::{PoolSnapshot, SNAPSHOT_VERSION, SegmentSnapshot},
};

impl SegmentPool {
    /// Returns the pool as plain data, segments of every state included.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        let all = self.all();
        let segments = all.iter().map(|mounted| SegmentSnapshot {
            info: mounted.info().clone(),
            state: mounted.state(),
            unknown: UnknownFields::default(),
        });
        PoolSnapshot {
            version: SNAPSHOT_VERSION,
            options: *self.options(),
            segments: segments.collect(),
            unknown: UnknownFields::default(),
        }
    }

    /// Makes the pool of a snapshot, its segments in their states and empty;
    /// `memory` is asked for the bytes of each.
    ///
    /// [Adopt](Self::adopt) the buffers before the pool is shared.
    ///
    /// # Errors
    ///
    /// A [`PoolRestoreError`] that tells the position of the segment at fault.
    pub fn restore(
        snapshot: &PoolSnapshot,
        mut memory: impl FnMut(&SegmentInfo) -> Memory,
    ) -> Result<Self, PoolRestoreError> {
        let version = snapshot.version;
        if version != SNAPSHOT_VERSION {
            return Err(PoolRestoreError::UnknownVersion {
                version,
                supported: SNAPSHOT_VERSION,
            });
        }
        let pool = Self::new(snapshot.options);
        for (position, saved) in snapshot.segments.iter().enumerate() {
            let id = saved.info.id;
            let failed = |source| PoolRestoreError::Segment { position, source };
            // Asked for without the lock, as it is the caller's.
            let segment = Segment::local(saved.info.clone(), memory(&saved.info));
            let mounted = Mounted::new(segment, &pool.shared.commons).map_err(failed)?;
            let mounted = Arc::new(mounted);
            let mut registry = pool.registry();
            if registry.get(id).is_some() {
                return Err(PoolRestoreError::Duplicate { position, id });
            }
            registry.check_disjoint(&mounted).map_err(failed)?;
            mounted.set_state(saved.state);
            registry.insert(Arc::clone(&mounted));
            pool.publish(&mounted);
        }
        Ok(pool)
    }
}
