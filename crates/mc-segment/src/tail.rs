//! The tail of a segment while it is emptied, and afterwards.
//!
//! What comes free in it is held, so that nothing is placed there any more; once
//! all of it is held, the allocators give it up in one step.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, atomic::Ordering},
};

use mc_offset::{CapacityError, Handle};

use crate::{
    block::Block,
    chunk::{BlockCursor, Chunk},
    descriptor::Extent,
    error::SegmentResizeError,
    id::SegmentId,
    mounted::Mounted,
};

/// Blocks that are copied under the lock of a registration at once.
const PAGE_BLOCKS: usize = 1024;

/// The bytes of a segment behind an end that it is to have.
///
/// Dropping it opens to placement again what was not
/// [given up](crate::SegmentPool::shrink). Until then, [sums](crate::SpaceStats)
/// have what is held as live.
#[derive(Debug)]
#[must_use = "dropping the tail opens it to placement again"]
pub struct SegmentTail {
    mounted: Arc<Mounted>,
    /// Bytes of the segment that stay, and those that it had.
    capacity: u64,
    capacity_before: u64,
    /// What is held, by address, with the number of its chunk.
    held: BTreeMap<u64, (u32, Handle)>,
}

impl SegmentTail {
    /// Begins to hold the tail; nobody else may do so meanwhile.
    pub(crate) fn new(mounted: Arc<Mounted>, capacity: u64) -> Result<Self, SegmentResizeError> {
        let id = mounted.info().id;
        if mounted.resizing.swap(true, Ordering::AcqRel) {
            return Err(SegmentResizeError::Busy { id });
        }
        let granules = mem::take(&mut *mounted.granules());
        let tail = Self {
            capacity,
            capacity_before: mounted.capacity(),
            held: granules,
            mounted,
        };
        let before = tail.capacity_before;
        if capacity == 0 || capacity >= before {
            return Err(SegmentResizeError::NotSmaller {
                id,
                asked: capacity,
                capacity: before,
            });
        }
        check_granular(&tail.mounted, capacity)?;
        Ok(tail)
    }

    /// Returns the segment.
    #[must_use]
    pub fn segment_id(&self) -> SegmentId {
        self.mounted.info().id
    }

    /// Says whether the tail is one of this very segment.
    pub(crate) fn is_of(&self, mounted: &Arc<Mounted>) -> bool {
        Arc::ptr_eq(&self.mounted, mounted)
    }

    /// Returns the address at which the tail begins.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.mounted.info().base + self.capacity
    }

    /// Takes what is free in the tail, so that nothing is placed there any
    /// more, and returns the blocks that are in the way, the one that reaches
    /// into the tail included.
    ///
    /// Takes time linear in the blocks of the segment; the lock of a
    /// registration is held for a thousand of them at most.
    pub fn take_holes(&mut self) -> Vec<Block> {
        let mut in_the_way = Vec::new();
        let mounted = Arc::clone(&self.mounted);
        let start = self.address();
        for chunk in mounted.chunks().iter().filter(|chunk| start < chunk.end()) {
            let mut cursor = Some(BlockCursor::at_start(chunk.number));
            while let Some(from) = cursor {
                let (blocks, next) = chunk.page(&from, PAGE_BLOCKS);
                let mut behind = blocks;
                behind.retain(|block| start < block.address + block.size);
                for block in behind {
                    if block.is_hole {
                        let Block { address, size, .. } = block;
                        self.take_hole(chunk, Extent { address, size });
                    } else if !self.held.contains_key(&block.address) {
                        in_the_way.push(block);
                    }
                }
                cursor = next;
            }
        }
        in_the_way
    }

    /// Takes a place that has come free, as far as it is in the tail.
    pub fn take(&mut self, place: Extent) {
        let mounted = Arc::clone(&self.mounted);
        if let Some(chunk) = mounted.chunk_of(place.address)
            && self.address() < place.address + place.size
        {
            self.take_hole(chunk, place);
        }
    }

    fn take_hole(&mut self, chunk: &Chunk, hole: Extent) {
        let mounted = Arc::clone(&self.mounted);
        let info = mounted.info();
        let granule = info.options.granule;
        // Of a place that was let go: all of its last granule.
        let end = (hole.address + hole.size - chunk.base).next_multiple_of(granule);
        let start = hole.address.max(self.address()) - chunk.base;
        let mut start = start.next_multiple_of(granule);
        // Kept when the rest is given up.
        if self.is_all_behind(chunk) && start == 0 && self.hold(chunk, 0, granule) {
            start = granule;
        }
        // A fit that rounds up leaves a rest, which is held by itself.
        while let size @ 1.. = info.largest_extent(end.saturating_sub(start), granule)
            && self.hold(chunk, start, size)
        {
            start += size;
        }
    }

    /// Holds bytes of a chunk; returns whether they were free.
    fn hold(&mut self, chunk: &Chunk, offset: u64, size: u64) -> bool {
        let Ok(handle) = chunk.allocator.allocate_at(offset, size) else {
            return false;
        };
        self.held
            .insert(chunk.base + offset, (chunk.number, handle));
        true
    }

    /// Returns whether nothing of a chunk is before the tail: it keeps a
    /// granule, as an allocator has no range of no bytes.
    fn is_all_behind(&self, chunk: &Chunk) -> bool {
        self.address() <= chunk.base
    }

    /// Takes the tail from the allocators, all of it or, if something was
    /// placed there, nothing that another call would not take.
    pub(crate) fn give_up(&mut self) -> Result<(), SegmentResizeError> {
        let mounted = Arc::clone(&self.mounted);
        let (id, start) = (self.segment_id(), self.address());
        for chunk in mounted.chunks().iter().rev() {
            if chunk.end() <= start {
                break;
            }
            let kept = kept(&mounted, chunk, self.capacity);
            // Given up before.
            if chunk.allocator.capacity() == kept {
                continue;
            }
            let is_all_behind = self.is_all_behind(chunk);
            if is_all_behind && !self.held.contains_key(&chunk.base) {
                self.hold(chunk, 0, kept);
            }
            let held = mem::take(&mut self.held).into_iter();
            let (freed, held): (BTreeMap<_, _>, _) = held.partition(|(address, (number, _))| {
                *number == chunk.number && !(is_all_behind && *address == chunk.base)
            });
            self.held = held;
            let mut freed: Vec<Handle> = freed.into_values().map(|(_, handle)| handle).collect();
            let shrunk = chunk.allocator.shrink_with(kept, &mut freed);
            let back = freed
                .into_iter()
                .map(|handle| (chunk.base + handle.offset(), (chunk.number, handle)));
            self.held.extend(back);
            shrunk.map_err(|source| match source {
                CapacityError::Occupied { by, .. } => SegmentResizeError::Occupied {
                    id,
                    address: chunk.base + by.offset(),
                    size: by.size(),
                },
                source => SegmentResizeError::Capacity { id, source },
            })?;
            if is_all_behind && !self.held.contains_key(&chunk.base) {
                return Err(SegmentResizeError::Occupied {
                    id,
                    address: chunk.base,
                    size: kept,
                });
            }
        }
        let granules = mem::take(&mut self.held);
        mounted.granules().extend(granules);
        mounted.set_capacity(self.capacity);
        self.capacity_before = self.capacity;
        Ok(())
    }

    /// Gives the pages behind the end back to the system, as far as the memory
    /// is a pool's; returns their bytes.
    pub(crate) fn release_memory(&self) -> u64 {
        let info = self.mounted.info();
        let Some((_access, memory)) = self.mounted.access() else {
            return 0;
        };
        memory.release(self.capacity, info.size - self.capacity)
    }
}

impl Drop for SegmentTail {
    fn drop(&mut self) {
        let end_before = self.mounted.info().base + self.capacity_before;
        // Registrations that were behind the end before keep their granules.
        let granules = self.held.split_off(&end_before);
        self.held.clear();
        self.mounted.granules().extend(granules);
        // It fails if the heap is full, and then the segment stays smaller.
        let _ = grow(&self.mounted, self.capacity_before);
        self.mounted.resizing.store(false, Ordering::Release);
    }
}

/// Refuses an end within a granule: what lies there could neither stay nor be held.
pub(crate) fn check_granular(mounted: &Mounted, capacity: u64) -> Result<(), SegmentResizeError> {
    let granule_bytes = mounted.info().options.granule;
    if capacity.is_multiple_of(granule_bytes) {
        return Ok(());
    }
    Err(SegmentResizeError::Capacity {
        id: mounted.info().id,
        source: CapacityError::NotGranular {
            asked: capacity,
            granule_bytes,
        },
    })
}

/// Moves the ends of the chunks up to where they are in a segment of so many
/// bytes; the caller alone resizes it.
pub(crate) fn grow(mounted: &Mounted, capacity: u64) -> Result<(), CapacityError> {
    for chunk in mounted.chunks() {
        let kept = kept(mounted, chunk, capacity);
        if kept > chunk.allocator.capacity() {
            chunk.allocator.grow(kept)?;
        }
        if chunk.base < mounted.info().base + capacity {
            mounted.granules().remove(&chunk.base);
        }
    }
    mounted.set_capacity(capacity);
    Ok(())
}

/// Returns the bytes of a chunk in a segment of so many bytes, at least a
/// granule.
fn kept(mounted: &Mounted, chunk: &Chunk, capacity: u64) -> u64 {
    let info = mounted.info();
    let end = info.base + capacity;
    let granule = info.options.granule;
    end.saturating_sub(chunk.base).clamp(granule, chunk.size)
}
