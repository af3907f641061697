//! A mounted segment: its allocators, its state, and what they count.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use mc_offset::{AllocError, Handle, Options, SharedAllocator};
use smallvec::{SmallVec, smallvec};

use crate::{
    error::MountError,
    memory::Memory,
    registration::registration_chunks,
    segment::{Segment, SegmentInfo},
    state::SegmentState,
    stats::{RefusalCounters, SegmentStats, SegmentView, SpaceStats},
};

/// The pieces of one buffer in the order of its bytes; nearly always one.
pub(crate) type Pieces = SmallVec<[Handle; 1]>;

/// A segment that a pool has, and that its buffers keep alive.
#[derive(Debug)]
pub(crate) struct Mounted {
    info: SegmentInfo,
    /// The registration chunks in address order, or one for all of it.
    chunks: Box<[Chunk]>,
    /// The number of a [`SegmentState`]. Stored under the lock of the pool's
    /// registry; `SeqCst` on both sides, so that a placement that read the
    /// state after it allocated, or the one who closes the segment and looks at
    /// it afterwards, sees the other.
    state: AtomicU8,
    /// Whether the segment was mounted, or opened again, when others were in use
    /// and has yet to catch up with them. A hint to one strategy, so `Relaxed`.
    is_fresh: AtomicBool,
    pub(crate) refusals: RefusalCounters,
    /// Remote once the unmount is finished, so that the memory can be released
    /// while buffers are still held.
    memory: Mutex<Memory>,
}

/// A part of a segment within which objects are contiguous.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Place among the chunks of the segment.
    pub(crate) number: u32,
    pub(crate) base: u64,
    pub(crate) allocator: SharedAllocator,
}

impl Mounted {
    /// Makes the allocators of a segment; nothing is placed.
    pub(crate) fn new(segment: Segment) -> Result<Self, MountError> {
        let Segment { info, memory } = segment;
        let (id, base, size) = (info.id, info.base, info.size);
        if base.checked_add(size).is_none() {
            return Err(MountError::Overflow { id, base, size });
        }
        let granule = info.options.granule;
        if granule.is_power_of_two() && !base.is_multiple_of(granule) {
            return Err(MountError::BaseNotGranular {
                id,
                base,
                granule_bytes: granule,
            });
        }
        if let Some(memory_bytes) = memory.fixed_len()
            && memory_bytes < size
        {
            return Err(MountError::MemoryTooShort {
                id,
                size,
                memory_bytes,
            });
        }
        Ok(Self {
            chunks: chunks(&info)?,
            info,
            state: AtomicU8::new(SegmentState::Ok as u8),
            is_fresh: AtomicBool::new(false),
            refusals: RefusalCounters::default(),
            memory: Mutex::new(memory),
        })
    }

    #[inline]
    pub(crate) fn info(&self) -> &SegmentInfo {
        &self.info
    }

    #[inline]
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    #[inline]
    pub(crate) fn state(&self) -> SegmentState {
        SegmentState::from_index(self.state.load(Ordering::SeqCst))
    }

    /// Stores a state; the caller holds the lock of the registry.
    pub(crate) fn set_state(&self, state: SegmentState) {
        self.state.store(state as u8, Ordering::SeqCst);
    }

    /// Returns the memory, which is remote once it has been given up.
    pub(crate) fn memory(&self) -> Memory {
        let memory = self.memory.lock();
        memory.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives up the memory; whoever reads or writes it at the moment keeps it
    /// until then.
    pub(crate) fn release_memory(&self) {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Memory::Remote;
    }

    /// Finds a place for `size` bytes in at most `max_extents` pieces of one
    /// chunk; returns the chunk's number and the pieces.
    #[inline]
    pub(crate) fn allocate(
        &self,
        size: u64,
        align: u64,
        max_extents: u32,
    ) -> Result<(u32, Pieces), AllocError> {
        match &*self.chunks {
            [chunk] => {
                let pieces = allocate_pieces(&chunk.allocator, size, align, max_extents)?;
                Ok((0, pieces))
            }
            chunks => allocate_in_any(chunks, size, align, max_extents),
        }
    }

    /// Returns whether the empty segment could take `size` bytes in one piece
    /// at a multiple of `align`.
    #[inline]
    pub(crate) fn could_take(&self, size: u64, align: u64) -> bool {
        self.chunks
            .iter()
            .any(|chunk| chunk.could_take(size, align))
    }

    /// Returns the bytes of the largest hole of a moment ago; see
    /// [`SharedAllocator::recent_largest_hole`].
    #[inline]
    pub(crate) fn recent_largest_hole(&self) -> u64 {
        let holes = self.chunks.iter();
        let holes = holes.map(|chunk| chunk.allocator.recent_largest_hole());
        holes.max().unwrap_or(0)
    }

    /// Returns the free bytes of a moment ago; see
    /// [`SharedAllocator::recent_free_bytes`].
    #[inline]
    pub(crate) fn recent_free_bytes(&self) -> u64 {
        let free = self.chunks.iter();
        free.map(|chunk| chunk.allocator.recent_free_bytes()).sum()
    }

    /// Returns what can be read without a lock.
    pub(crate) fn view(&self) -> SegmentView {
        SegmentView {
            id: self.info.id,
            name: self.info.name.clone(),
            host: self.info.host.clone(),
            state: self.state(),
            capacity: self.info.size,
            free_bytes: self.recent_free_bytes(),
            largest_hole: self.recent_largest_hole(),
        }
    }

    /// Returns the bytes of the largest chunk.
    pub(crate) fn largest_chunk(&self) -> u64 {
        let chunks = self.chunks.iter();
        chunks
            .map(|chunk| chunk.allocator.capacity())
            .max()
            .unwrap_or(0)
    }

    /// Returns the sums of the segment; takes the lock of each chunk in turn.
    pub(crate) fn stats(&self) -> SegmentStats {
        let mut space = SpaceStats::default();
        for chunk in &self.chunks {
            space.add_report(&chunk.allocator.report());
        }
        SegmentStats {
            id: self.info.id,
            name: self.info.name.clone(),
            state: self.state(),
            space,
            refusals: self.refusals.read(),
        }
    }

    #[inline]
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_fresh.load(Ordering::Relaxed)
    }

    /// Takes note that the segment has to catch up with others.
    pub(crate) fn freshen(&self) {
        self.is_fresh.store(true, Ordering::Relaxed);
    }

    /// Takes note that the segment has caught up.
    pub(crate) fn settle(&self) {
        self.is_fresh.store(false, Ordering::Relaxed);
    }

    /// Returns the number of the chunk that holds an address, if one does.
    pub(crate) fn chunk_of(&self, address: u64) -> Option<usize> {
        let after = self.chunks.partition_point(|chunk| chunk.base <= address);
        let at = after.checked_sub(1)?;
        (address < self.chunks[at].end()).then_some(at)
    }
}

impl Chunk {
    pub(crate) fn end(&self) -> u64 {
        self.base + self.allocator.capacity()
    }

    #[inline]
    fn could_take(&self, size: u64, align: u64) -> bool {
        size <= self.allocator.capacity() && self.base & (align - 1) == 0
    }
}

/// Finds a place for `size` bytes in one piece, or else in a few.
#[inline]
pub(crate) fn allocate_pieces(
    allocator: &SharedAllocator,
    size: u64,
    align: u64,
    max_extents: u32,
) -> Result<Pieces, AllocError> {
    let whole = if align == 1 {
        allocator.allocate(size)
    } else {
        allocator.allocate_aligned(size, align)
    };
    match whole {
        Ok(handle) => Ok(smallvec![handle]),
        Err(AllocError::NoHole { .. }) if max_extents > 1 => {
            let pieces = allocator.allocate_extents(size, max_extents, align)?;
            Ok(Pieces::from_vec(pieces))
        }
        Err(refusal) => Err(refusal),
    }
}

fn chunks(info: &SegmentInfo) -> Result<Box<[Chunk]>, MountError> {
    let id = info.id;
    let whole = info.base..info.base + info.size;
    let ranges = match info.options.registration {
        None => Ok(Vec::from([whole])),
        Some(limit) => registration_chunks(info.base, info.size, limit),
    };
    let ranges = ranges.map_err(|source| MountError::Registration { id, source })?;
    let chunk = |(number, range): (u32, Range<u64>)| {
        let options = Options {
            granule: info.options.granule,
            fit: info.options.fit,
            max_allocations: info.options.max_allocations,
            ..Options::new(range.end - range.start)
        };
        let allocator = SharedAllocator::with_options(options)
            .map_err(|source| MountError::Options { id, source })?;
        Ok(Chunk {
            number,
            base: range.start,
            allocator,
        })
    };
    (0..).zip(ranges).map(chunk).collect()
}

/// Places in the first chunk that has room; those that seem to have a hole
/// come before those that freed blocks may still help.
fn allocate_in_any(
    chunks: &[Chunk],
    size: u64,
    align: u64,
    max_extents: u32,
) -> Result<(u32, Pieces), AllocError> {
    let mut refusal = AllocError::TooLarge {
        asked: size,
        capacity: chunks
            .iter()
            .map(|chunk| chunk.allocator.capacity())
            .max()
            .unwrap_or(0),
    };
    let seems_to_fit = |chunk: &Chunk| size <= chunk.allocator.recent_largest_hole();
    for has_to_seem in [true, false] {
        for chunk in chunks {
            if has_to_seem && !seems_to_fit(chunk) || !chunk.could_take(size, align) {
                continue;
            }
            match allocate_pieces(&chunk.allocator, size, align, max_extents) {
                Ok(pieces) => return Ok((chunk.number, pieces)),
                Err(error) => refusal = error,
            }
        }
    }
    Err(refusal)
}
