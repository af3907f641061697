//! A mounted segment: its allocators, its state, and what they count.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
};

use mc_offset::{AllocError, Handle};

use crate::{
    chunk::{Chunk, Chunks, allocate_in_any, allocate_pieces, chunks},
    error::MountError,
    gate::{Access, Gate},
    memory::Memory,
    names::Names,
    occupied::Occupied,
    pieces::Pieces,
    placed::{PlacedBytes, PlacedSum, SEGMENT_BYTES_MAX},
    segment::{Segment, SegmentInfo},
    state::SegmentState,
    stats::{RefusalCounters, SegmentStats, SegmentView, SpaceStats},
};

/// What the segments of a pool have in common.
#[derive(Debug, Default)]
pub(crate) struct Commons {
    pub(crate) placed: Arc<PlacedSum>,
    pub(crate) names: Names,
    /// Segments made so far. The read-modify-write alone makes numbers unique,
    /// so `Relaxed`.
    made: AtomicU64,
}

/// A segment that a pool has, and that its buffers keep alive.
#[derive(Debug)]
pub(crate) struct Mounted {
    info: SegmentInfo,
    /// No other segment of the pool has the same, nor had.
    number: u64,
    /// The name, one and the same for all segments of the pool that share it.
    name: Arc<str>,
    /// The host, likewise.
    host: Arc<str>,
    /// The endpoint, likewise.
    endpoint: Arc<str>,
    /// The registration chunks in address order, or one for all of it.
    chunks: Chunks,
    /// The number of a [`SegmentState`]. Stored with `Release` under the lock of
    /// the pool's registry, read with `Acquire` with or without it. Whether
    /// something is still placed the word of `placed` decides; whether it is
    /// adopted, that lock.
    state: AtomicU8,
    /// Whether the segment was mounted, or opened again, when others were in use
    /// and has yet to catch up with them. A hint to one strategy, so `Relaxed`.
    is_fresh: AtomicBool,
    pub(crate) placed: PlacedBytes,
    pub(crate) refusals: RefusalCounters,
    /// The bytes that it has: those it was mounted with unless it shrank.
    /// Written by the one who resizes it; whoever places learns from the
    /// allocators, and reads shares here, so `Relaxed`.
    capacity: AtomicU64,
    /// Whether somebody moves the end. Set with `AcqRel` and cleared with
    /// `Release`, so that one follows the other.
    pub(crate) resizing: AtomicBool,
    /// The granules that registrations behind the end keep, by address: an
    /// allocator has no range of no bytes.
    granules: Mutex<BTreeMap<u64, (u32, Handle)>>,
    /// What accesses to the memory pass; closed iff the buffers are invalid.
    pub(crate) gate: Gate,
    /// That nobody else has the bytes of the memory, which it must not outlive.
    occupied: Mutex<Option<Occupied>>,
    /// Remote once the unmount is finished, so that the memory can be released
    /// while buffers are still held.
    memory: Mutex<Memory>,
}

impl Mounted {
    /// Makes the allocators of a segment; nothing is placed.
    pub(crate) fn new(segment: Segment, commons: &Commons) -> Result<Self, MountError> {
        let Segment { info, memory } = segment;
        let (id, base, size) = (info.id, info.base, info.size);
        if size > SEGMENT_BYTES_MAX {
            return Err(MountError::TooLarge {
                id,
                size,
                size_max: SEGMENT_BYTES_MAX,
            });
        }
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
            chunks: chunks(&info, &memory)?,
            name: commons.names.unique(&info.name),
            host: commons.names.unique(&info.host),
            endpoint: commons.names.unique(&info.endpoint),
            capacity: AtomicU64::new(info.size),
            resizing: AtomicBool::new(false),
            granules: Mutex::default(),
            info,
            number: commons.made.fetch_add(1, Ordering::Relaxed),
            state: AtomicU8::new(SegmentState::Ok as u8),
            is_fresh: AtomicBool::new(false),
            placed: PlacedBytes::new(&commons.placed),
            refusals: RefusalCounters::default(),
            gate: Gate::new(),
            occupied: Mutex::default(),
            memory: Mutex::new(memory),
        })
    }

    #[inline]
    pub(crate) fn info(&self) -> &SegmentInfo {
        &self.info
    }

    #[inline]
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the host, if it is known.
    #[inline]
    pub(crate) fn host(&self) -> Option<&Arc<str>> {
        (!self.host.is_empty()).then_some(&self.host)
    }

    pub(crate) fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    /// Returns the bytes that the segment has now.
    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Takes note of the bytes that the segment has; for the one who resizes it.
    pub(crate) fn set_capacity(&self, capacity: u64) {
        self.capacity.store(capacity, Ordering::Relaxed);
    }

    /// Returns the granules that registrations behind the end keep.
    pub(crate) fn granules(&self) -> MutexGuard<'_, BTreeMap<u64, (u32, Handle)>> {
        self.granules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Returns the bytes of the largest hole in a chunk that has as many
    /// allocations as it may; `None` if it may have more.
    pub(crate) fn hole_below_limit(&self, chunk: &Chunk) -> Option<u64> {
        let limit = self.info().options.max_allocations?;
        chunk.allocator.inspect(|core| {
            let is_at_limit = core.allocation_count() == limit;
            is_at_limit.then(|| core.largest_hole_below_limit())
        })
    }

    #[inline]
    pub(crate) fn state(&self) -> SegmentState {
        SegmentState::from_index(self.state.load(Ordering::Acquire))
    }

    /// Stores a state; the caller holds the lock of the registry.
    pub(crate) fn set_state(&self, state: SegmentState) {
        self.state.store(state as u8, Ordering::Release);
        if state.is_placeable() {
            self.placed.open();
        } else {
            self.placed.close();
        }
        if !state.is_readable() {
            self.gate.close();
        }
    }

    /// Begins an access to the memory, unless the buffers are invalid.
    pub(crate) fn access(&self) -> Option<(Access<'_>, Memory)> {
        let access = self.gate.enter()?;
        Some((access, self.memory()))
    }

    /// Returns the memory, which is remote once it has been given up.
    pub(crate) fn memory(&self) -> Memory {
        let memory = self.memory.lock();
        memory.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the bytes of the memory, if this process has it and nobody else has them
    /// but an older incarnation.
    pub(crate) fn occupy(&self, older: Option<&Self>) -> Result<(), MountError> {
        if let Some(origin) = self.memory().origin() {
            let older = older.map(Self::occupied);
            let older = older.as_ref().and_then(|older| older.as_ref());
            *self.occupied() = Some(Occupied::take(&self.info, origin, older)?);
        }
        Ok(())
    }

    fn occupied(&self) -> MutexGuard<'_, Option<Occupied>> {
        self.occupied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up the memory; the gate is closed and nobody inside.
    pub(crate) fn release_memory(&self) {
        debug_assert_eq!(self.gate.accesses(), 0, "the memory is in use");
        *self.occupied() = None;
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Memory::Remote;
    }

    /// Finds a place for `size` bytes in at most `max_extents` pieces of one
    /// chunk.
    #[inline]
    pub(crate) fn allocate(
        &self,
        size: u64,
        align: u64,
        max_extents: u32,
    ) -> Result<Pieces, AllocError> {
        match &*self.chunks {
            [chunk] => allocate_pieces(&chunk.allocator, size, align, max_extents),
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

    /// Returns whether a greater share of the bytes is free than of another's,
    /// as of a moment ago.
    #[inline]
    pub(crate) fn is_emptier_than(&self, other: &Self) -> bool {
        let share = |one: &Self| (one.recent_free_bytes(), one.capacity());
        is_greater_share(share(self), share(other))
    }

    /// Returns what can be read without a lock.
    pub(crate) fn view(&self) -> SegmentView {
        SegmentView {
            id: self.info.id,
            epoch: self.info.epoch,
            mount_number: self.number,
            name: Arc::clone(&self.name),
            host: Arc::clone(&self.host),
            state: self.state(),
            capacity: self.capacity(),
            free_bytes: self.recent_free_bytes(),
            largest_hole: self.recent_largest_hole(),
            placed_bytes: self.placed.bytes(),
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
            let mut report = chunk.allocator.report();
            // What a registration behind the end keeps is nobody's.
            if self.granules().contains_key(&chunk.base) {
                report.capacity -= report.charged_bytes;
                (report.live_bytes, report.charged_bytes) = (0, 0);
                report.allocation_count = 0;
            }
            space.add_report(&report);
        }
        SegmentStats {
            id: self.info.id,
            name: Arc::clone(&self.name),
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

    /// Returns the chunk that holds an address, if one does.
    pub(crate) fn chunk_of(&self, address: u64) -> Option<&Chunk> {
        let after = self.chunks.partition_point(|chunk| chunk.base <= address);
        let chunk = &self.chunks[after.checked_sub(1)?];
        (address < chunk.end()).then_some(chunk)
    }
}

/// Returns whether the first part is a greater share of its whole than the
/// second, for pairs of part and whole.
#[inline]
pub(crate) fn is_greater_share(a: (u64, u64), b: (u64, u64)) -> bool {
    u128::from(a.0) * u128::from(b.1) > u128::from(b.0) * u128::from(a.1)
}
