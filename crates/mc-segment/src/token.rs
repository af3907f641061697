//! The name of a buffer, which does not keep it from being freed.

use mc_offset::{Allocation, Handle};
use smallvec::SmallVec;

use crate::{chunk::Chunk, descriptor::Extent, id::SegmentId, pieces::Pieces};

/// Names a [`PlacedBuffer`](crate::PlacedBuffer) as long as there is one, without
/// keeping it: plain data.
///
/// Once the buffer is dropped, the token names nothing, whoever has its place.
#[derive(Clone, Debug)]
pub struct BufferToken {
    segment: SegmentId,
    chunk: u32,
    base: u64,
    pieces: SmallVec<[Allocation; 1]>,
}

impl BufferToken {
    pub(crate) fn new(segment: SegmentId, chunk: &Chunk, pieces: &Pieces) -> Self {
        Self {
            segment,
            chunk: chunk.number,
            base: chunk.base,
            pieces: pieces.iter().map(Handle::allocation).collect(),
        }
    }

    /// Returns the segment that the buffer is in, or was.
    #[must_use]
    pub fn segment_id(&self) -> SegmentId {
        self.segment
    }

    /// Returns the bytes in all pieces: the size asked for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.pieces.iter().map(Allocation::size).sum()
    }

    /// Returns the pieces in the order of the bytes; nearly always one.
    pub fn extents(&self) -> impl ExactSizeIterator<Item = Extent> {
        self.pieces.iter().map(|piece| Extent {
            address: self.base + piece.offset(),
            size: piece.size(),
        })
    }

    /// Returns the pieces, if they are in a chunk of their segment.
    pub(crate) fn pieces_in(&self, chunk: &Chunk) -> &[Allocation] {
        match self.chunk == chunk.number {
            true => &self.pieces,
            false => &[],
        }
    }
}
