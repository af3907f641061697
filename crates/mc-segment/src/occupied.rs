//! The bytes of this process that segments have, whatever pool mounts them.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{error::MountError, id::SegmentId, segment::SegmentInfo};

/// Which memory, where in it the bytes begin, and the number of who has them.
type Place = (usize, u64, u64);

/// Who has bytes, and how many. Held for a look-up in the tree, under the registry of a pool;
/// nothing is waited for under it.
static TAKEN: Mutex<BTreeMap<Place, (SegmentId, u64)>> = Mutex::new(BTreeMap::new());

/// Bytes of a memory that no other segment has as long as this is there.
#[derive(Debug)]
pub(crate) struct Occupied(Place);

impl Occupied {
    /// Takes the bytes of a segment that begins somewhere in a memory of this process, where nobody
    /// has one of them but its older incarnation. Takes time logarithmic in all segments.
    pub(crate) fn take(
        info: &SegmentInfo,
        (memory, start): (usize, u64),
        older: Option<&Self>,
    ) -> Result<Self, MountError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let end = start.saturating_add(info.size);
        let mut taken = taken();
        let below = taken.range((memory, 0, 0)..(memory, end, 0)).rev();
        let others = below.filter(|(place, _)| older.is_none_or(|older| older.0 != **place));
        // Those of others are disjoint, but for one that is about to replace another.
        let mut last = others.take(2);
        let shared = last.find(|((_, at, _), (_, size))| at.saturating_add(*size) > start);
        if let Some((&(_, other_start, _), &(other, other_size))) = shared {
            return Err(MountError::SharedMemory {
                id: info.id,
                start,
                size: info.size,
                other,
                other_start,
                other_size,
            });
        }
        // Only unique, so `Relaxed`.
        let place = (memory, start, NUMBERS.fetch_add(1, Ordering::Relaxed));
        taken.insert(place, (info.id, info.size));
        Ok(Self(place))
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        taken().remove(&self.0);
    }
}

fn taken() -> MutexGuard<'static, BTreeMap<Place, (SegmentId, u64)>> {
    // Every change is one insertion or removal, so poison is no error.
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}
