//! A pool to plain data and back.

use std::sync::Arc;

use super::{Registry, SegmentPool, admit::check_disjoint};
use crate::{
    error::RestoreError,
    memory::Memory,
    mounted::Mounted,
    segment::{Segment, SegmentInfo},
    snapshot::{PoolSnapshot, SNAPSHOT_VERSION, SegmentSnapshot},
};

impl SegmentPool {
    /// Returns the pool as plain data, segments of every state included.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        let registry = self.registry();
        let segments = registry.values().map(|mounted| SegmentSnapshot {
            info: mounted.info().clone(),
            state: mounted.state(),
        });
        PoolSnapshot {
            version: SNAPSHOT_VERSION,
            options: *self.options(),
            segments: segments.collect(),
        }
    }

    /// Makes the pool of a snapshot, its segments in their states and empty;
    /// `memory` is asked for the bytes of each.
    ///
    /// [Adopt](Self::adopt) the buffers before the pool is shared.
    ///
    /// # Errors
    ///
    /// A [`RestoreError`] that tells the position of the segment at fault.
    pub fn restore(
        snapshot: &PoolSnapshot,
        mut memory: impl FnMut(&SegmentInfo) -> Memory,
    ) -> Result<Self, RestoreError> {
        let version = snapshot.version;
        if version != SNAPSHOT_VERSION {
            return Err(RestoreError::UnknownVersion {
                version,
                supported: SNAPSHOT_VERSION,
            });
        }
        let pool = Self::new(snapshot.options);
        let mut segments = Registry::new();
        for (position, saved) in snapshot.segments.iter().enumerate() {
            let id = saved.info.id;
            if segments.contains_key(&id) {
                return Err(RestoreError::Duplicate { position, id });
            }
            let failed = |source| RestoreError::Segment { position, source };
            let segment = Segment::local(saved.info.clone(), memory(&saved.info));
            check_disjoint(&segments, &segment).map_err(failed)?;
            let mounted = Mounted::new(segment, &pool.shared.placed).map_err(failed)?;
            mounted.set_state(saved.state);
            segments.insert(id, Arc::new(mounted));
        }
        {
            let mut registry = pool.registry();
            *registry = segments;
            pool.publish(&registry);
        }
        Ok(pool)
    }
}
