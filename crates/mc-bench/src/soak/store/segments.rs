//! Segments that are mounted, drained and unmounted while a store uses them, and their memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
use mc_segment::{
    BytesError, Fit, Memory, Mounting, PlacedBuffer, RegistrationLimit, Segment, SegmentId,
    SegmentInfo, SegmentPool,
};
use mc_store::{ObjectStore, copy_bytes};
use rand::RngExt;

use super::Generator;

/// Segments of a round at most.
const SEGMENTS_MAX: u64 = 6;

/// Bytes of a page of the memory here.
const PAGE_BYTES: u64 = 4096;

/// The segments of a round.
pub(super) struct Segments {
    /// Changed by one thread at a time, so that a segment is still empty when it is unmounted as such.
    mounts: Mutex<Mounts>,
    /// Whether the bytes are in this process.
    are_local: bool,
    /// Whether segments are unmounted with objects in them.
    pub(super) lose_objects: bool,
}

/// What was mounted so far.
struct Mounts {
    /// What is known about each range, with the id of its last mount.
    infos: Vec<SegmentInfo>,
    memories: HashMap<SegmentId, Memory>,
}

impl Segments {
    /// Draws segments and mounts all of them.
    pub(super) fn mount_some(pool: &SegmentPool, generator: &mut Generator) -> Self {
        let count = generator.random_range(1..=SEGMENTS_MAX);
        let segments = Self {
            mounts: Mutex::new(Mounts {
                infos: (1..=count).map(|number| info(number, generator)).collect(),
                memories: HashMap::new(),
            }),
            are_local: generator.random_ratio(3, 4),
            lose_objects: generator.random(),
        };
        let mut mounts = segments.mounts();
        for at in 0..mounts.infos.len() {
            segments.mount(pool, &mut mounts, at, generator);
        }
        drop(mounts);
        segments
    }

    /// Mounts, drains, opens or unmounts a segment.
    pub(super) fn disturb(&self, store: &ObjectStore, generator: &mut Generator) {
        let mut mounts = self.mounts();
        let pool = store.pool();
        let at = generator.random_range(0..mounts.infos.len());
        let id = mounts.infos[at].id;
        match generator.random_range(0..8) {
            0..3 => self.mount(pool, &mut mounts, at, generator),
            3 | 4 => {
                let _ = pool.resume(id);
            }
            5 if self.lose_objects => unmount(pool, id),
            _ => {
                if pool.drain(id).is_ok() {
                    let copied = store.move_out(id, |from, to| self.copy(from, to));
                    assert!(copied.is_ok(), "{copied:?}");
                }
                if pool.finish_drain(id).is_ok() && generator.random() {
                    unmount(pool, id);
                }
            }
        }
    }

    /// Gives a segment another end.
    pub(super) fn resize(&self, store: &ObjectStore, generator: &mut Generator) {
        let mounts = self.mounts();
        let info = &mounts.infos[generator.random_range(0..mounts.infos.len())];
        let granule = info.options.granule;
        let capacity = generator.random_range(1..=info.size / granule) * granule;
        // It may be in use, or have that end already.
        let _ = store.shrink(info.id, capacity);
        let _ = store.grow(info.id, info.size);
    }

    /// Adds a replica to an object, where its terms allow.
    pub(super) fn replicate(&self, store: &ObjectStore, key: &[u8]) {
        let added = store.add_replica(key, |from, to| self.copy(from, to));
        // Another thread may unmount the segment of either.
        assert!(
            matches!(added, Ok(_) | Err(BytesError::Unmounted { .. })),
            "{added:?}"
        );
    }

    /// Mounts a range under a new id unless it is mounted.
    fn mount(&self, pool: &SegmentPool, mounts: &mut Mounts, at: usize, generator: &mut Generator) {
        let Mounts { infos, memories } = mounts;
        let info = &mut infos[at];
        if pool.state(info.id).is_none() {
            info.id = SegmentId(memories.len() as u128);
        }
        let memory = if self.are_local {
            memory(info.size, generator)
        } else {
            Memory::Remote
        };
        let mounting = pool.mount(Segment::local(info.clone(), memory.clone()));
        if mounting.expect("its fields agree") == Mounting::Mounted {
            memories.insert(info.id, memory);
        }
    }

    /// Copies a replica; where the bytes are elsewhere, so is the copy.
    fn copy(&self, from: &PlacedBuffer, to: &mut PlacedBuffer) -> Result<(), BytesError> {
        if !self.are_local {
            return Ok(());
        }
        copy_bytes(from, to)
    }

    /// Writes all bytes of a replica, unless they are elsewhere or its segment is gone.
    pub(super) fn write(&self, replica: &mut PlacedBuffer, bytes: &[u8]) {
        if self.are_local
            && let Err(error) = replica.write_at(0, bytes)
        {
            assert!(!replica.is_readable(), "{replica:?}: {error}");
        }
    }

    /// Returns all bytes of a replica, unless they are elsewhere or its segment is gone.
    pub(super) fn read(&self, replica: &PlacedBuffer) -> Option<Vec<u8>> {
        if !self.are_local {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(replica.size()).expect("objects are small")];
        match replica.read_at(0, &mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) => {
                assert!(!replica.is_readable(), "{replica:?}: {error}");
                None
            }
        }
    }

    fn mounts(&self) -> MutexGuard<'_, Mounts> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unmounts a segment, if it is there.
fn unmount(pool: &SegmentPool, id: SegmentId) {
    if pool.begin_unmount(id).is_ok() {
        let finished = pool.finish_unmount_within(id, Duration::from_secs(60));
        finished.expect("it was begun here");
    }
}

/// Draws what is known about the segment with a number, from 1 on.
fn info(number: u64, generator: &mut Generator) -> SegmentInfo {
    let granule = 1 << generator.random_range(0..=8);
    let size_log2 = generator.random_range(16..=20);
    let size = generator
        .random_range(1..=1_u64 << size_log2)
        .next_multiple_of(granule);
    let base = (number << 32) + granule * generator.random_range(0..100);
    // Sometimes two segments share a name.
    let name = format!("segment-{}", generator.random_range(number..=number + 1));
    let mut info = SegmentInfo::new(SegmentId(u128::MAX), name, base, size);
    info.host = format!("host-{}", generator.random_range(0..2));
    info.options.granule = granule;
    let fits = [Fit::BinCeil, Fit::GOOD, Fit::Adaptive];
    info.options.fit = fits[generator.random_range(0..fits.len())];
    info.options.max_allocations = generator.random_ratio(1, 8).then_some(50);
    if generator.random_ratio(1, 4) {
        // Registrations end where pages of the memory do.
        info.base = number << 32;
        let max_bytes = size / generator.random_range(2..=4);
        info.options.registration = Some(RegistrationLimit {
            max_bytes: max_bytes.max(1).next_multiple_of(PAGE_BYTES),
            align: granule,
        });
    }
    info
}

/// Returns fresh memory of this process or of a file.
fn memory(size: u64, generator: &mut Generator) -> Memory {
    if generator.random() {
        let pool = PoolOptions::new(size).pages(PagePolicy::Off).map();
        Memory::pool(PoolBytes::new(pool.expect("a MiB can be had")))
    } else {
        let file = tempfile::tempfile().expect("a file can be had");
        file.set_len(size).expect("a MiB can be had");
        Memory::file(file)
    }
}
