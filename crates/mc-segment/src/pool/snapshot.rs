//! A pool without its buffers, as plain data.

use serde::{Deserialize, Serialize};

use super::{PoolOptions, SegmentPool};
use crate::{
    error::MountError,
    memory::Memory,
    placement::Strategy,
    segment::{Segment, SegmentInfo},
    state::SegmentState,
};

/// The options of a pool, and its segments with their states.
///
/// Buffers are not part of it: their owners keep
/// [descriptors](crate::BufferDescriptor) of them, and
/// [adopt](SegmentPool::adopt) those.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSnapshot {
    /// Which segment is given a request.
    pub strategy: Strategy,
    /// What random choices follow from.
    pub seed: u64,
    /// The segments in the order of their ids.
    pub segments: Vec<SegmentSnapshot>,
}

/// A segment of a [`PoolSnapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSnapshot {
    /// All that is known about it.
    pub info: SegmentInfo,
    /// The state it was in.
    pub state: SegmentState,
}

impl SegmentPool {
    /// Returns options, segments and states of one moment.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        let PoolOptions { strategy, seed } = self.shared.options;
        let segment = |mounted: &super::Mounted| SegmentSnapshot {
            info: mounted.info().clone(),
            state: mounted.state(),
        };
        let registry = self.registry();
        PoolSnapshot {
            strategy,
            seed,
            segments: registry.values().map(|mounted| segment(mounted)).collect(),
        }
    }

    /// Makes a pool of a snapshot; every segment is in its state, with the
    /// memory that `memory` returns for it, and nothing is placed.
    ///
    /// # Errors
    ///
    /// The first [`MountError`].
    pub fn restore(
        snapshot: PoolSnapshot,
        mut memory: impl FnMut(&SegmentInfo) -> Memory,
    ) -> Result<Self, MountError> {
        let PoolSnapshot {
            strategy,
            seed,
            segments,
        } = snapshot;
        let pool = Self::new(PoolOptions { strategy, seed });
        for SegmentSnapshot { info, state } in segments {
            let (id, memory) = (info.id, memory(&info));
            pool.mount(Segment::local(info, memory))?;
            if let Some(mounted) = pool.mounted(id) {
                mounted.set_state(state);
            }
        }
        pool.publish(&pool.registry());
        Ok(pool)
    }
}
