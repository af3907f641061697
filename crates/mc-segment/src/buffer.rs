//! A placed buffer: space in a segment that is freed when it is dropped.

use std::{fmt, sync::Arc};

use mc_offset::Handle;

use crate::{
    descriptor::{BufferDescriptor, Extent},
    mounted::{Mounted, Pieces},
    segment::{SegmentId, SegmentInfo},
};

/// Space in a segment, freed on drop from any thread.
///
/// A buffer may outlive its segment and the pool: it is not readable then, and
/// dropping it is harmless.
#[must_use = "dropping the buffer frees it"]
pub struct PlacedBuffer {
    /// Dropped before the segment that it is in.
    pieces: Pieces,
    /// The chunk of the segment that all pieces are in.
    chunk: u32,
    mounted: Arc<Mounted>,
}

impl PlacedBuffer {
    #[inline]
    pub(crate) fn new(mounted: &Arc<Mounted>, chunk: u32, pieces: Pieces) -> Self {
        debug_assert!(!pieces.is_empty(), "a buffer has a piece");
        Self {
            pieces,
            chunk,
            mounted: Arc::clone(mounted),
        }
    }

    /// Returns the segment that the buffer is in.
    #[must_use]
    pub fn segment_id(&self) -> SegmentId {
        self.mounted.info().id
    }

    /// Returns what is known about that segment.
    #[must_use]
    pub fn segment(&self) -> &SegmentInfo {
        self.mounted.info()
    }

    /// Returns the address of the first byte.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address_of(&self.pieces[0])
    }

    /// Returns the bytes in all pieces: the size asked for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.pieces.iter().map(Handle::size).sum()
    }

    /// Returns the pieces in the order of the bytes; nearly always one.
    pub fn extents(&self) -> impl ExactSizeIterator<Item = Extent> {
        self.pieces.iter().map(|piece| Extent {
            address: self.address_of(piece),
            size: piece.size(),
        })
    }

    /// Returns whether the segment is mounted and its unmount has not begun.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.mounted.state().is_readable()
    }

    /// Returns the buffer as plain data.
    #[must_use]
    pub fn descriptor(&self) -> BufferDescriptor {
        let info = self.mounted.info();
        BufferDescriptor {
            segment: info.id,
            address: self.address(),
            size: self.size(),
            protocol: info.protocol.clone(),
            endpoint: info.endpoint.clone(),
            extents: self.extents().collect(),
        }
    }

    pub(crate) fn mounted(&self) -> &Mounted {
        &self.mounted
    }

    pub(crate) fn chunk(&self) -> usize {
        self.chunk as usize
    }

    pub(crate) fn pieces(&self) -> &[Handle] {
        &self.pieces
    }

    fn address_of(&self, piece: &Handle) -> u64 {
        self.mounted.chunks()[self.chunk()].base + piece.offset()
    }
}

impl fmt::Debug for PlacedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlacedBuffer")
            .field("segment", &self.segment_id())
            .field("extents", &self.extents().collect::<Vec<_>>())
            .finish()
    }
}
