//! A part of a segment within which objects are contiguous: its allocator, and
//! the owners of what is placed in it.

mod look;

use std::ops::Range;

use mc_offset::{AllocError, Options, SharedAllocator};
use smallvec::SmallVec;

use crate::{
    error::MountError,
    memory::Memory,
    owners::Owners,
    pieces::Pieces,
    registration::{RegistrationError, check_pages, registration_chunks},
    segment::SegmentInfo,
};

pub use self::look::{BlockCursor, BlockPage};

/// The chunks of a segment in address order; at least one, and nearly always
/// only that.
pub(crate) type Chunks = SmallVec<[Chunk; 1]>;

/// A part of a segment that one registration covers.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Place among the chunks of the segment.
    pub(crate) number: u32,
    pub(crate) base: u64,
    /// Bytes that it was made with, the most that its allocator may have.
    pub(crate) size: u64,
    pub(crate) allocator: SharedAllocator,
    pub(crate) owners: Owners,
}

impl Chunk {
    pub(crate) fn end(&self) -> u64 {
        self.base + self.allocator.capacity()
    }

    /// Returns whether the empty chunk could take `size` bytes in one piece at
    /// a multiple of `align`.
    #[inline]
    pub(crate) fn could_take(&self, size: u64, align: u64) -> bool {
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
        Ok(handle) => Ok(Pieces::One(handle)),
        Err(refusal @ AllocError::NoHole { .. }) if max_extents > 1 => {
            let handles = allocator.allocate_extents(size, max_extents, align)?;
            Pieces::from_vec(handles).ok_or(refusal)
        }
        Err(refusal) => Err(refusal),
    }
}

/// Makes the chunks of a segment, in address order; nothing is placed.
pub(crate) fn chunks(info: &SegmentInfo, memory: &Memory) -> Result<Chunks, MountError> {
    let id = info.id;
    let ranges = ranges(info, memory).map_err(|source| MountError::Registration { id, source })?;
    let chunk = |(number, range): (u32, Range<u64>)| {
        let options = Options {
            granule: info.options.granule,
            fit: info.options.fit,
            max_allocations: info.options.max_allocations,
            ..Options::new(range.end - range.start)
        };
        let refused = |source| MountError::Options { id, source };
        let allocator = SharedAllocator::with_options(options).map_err(refused)?;
        allocator.set_base(range.start).map_err(refused)?;
        Ok(Chunk {
            number,
            base: range.start,
            size: range.end - range.start,
            allocator,
            owners: Owners::default(),
        })
    };
    (0..).zip(ranges).map(chunk).collect()
}

/// Returns the address ranges of the chunks.
fn ranges(info: &SegmentInfo, memory: &Memory) -> Result<Vec<Range<u64>>, RegistrationError> {
    let Some(limit) = info.options.registration else {
        let whole = info.base..info.base + info.size;
        return Ok(Vec::from([whole]));
    };
    let ranges = registration_chunks(info.base, info.size, limit)?;
    if let Some((start, page_bytes)) = memory.pages() {
        check_pages(&ranges, limit, start, page_bytes)?;
    }
    Ok(ranges)
}

/// Places in the first chunk that has room; those that seem to have a hole
/// come before those that freed blocks may still help.
pub(crate) fn allocate_in_any(
    chunks: &[Chunk],
    size: u64,
    align: u64,
    max_extents: u32,
) -> Result<Pieces, AllocError> {
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
                Ok(pieces) => return Ok(pieces),
                Err(error) => refusal = error,
            }
        }
    }
    Err(refusal)
}
