//! A placed buffer: space in a segment that is freed when it is dropped.

use std::{
    fmt,
    num::NonZeroU32,
    ops::{Deref, DerefMut, Range},
    sync::Arc,
};

use mc_offset::Handle;

use crate::{
    block::Block,
    chunk::Chunk,
    descriptor::{BufferDescriptor, Extent},
    error::BytesError,
    gate::Access,
    id::SegmentId,
    memory::{Memory, MemoryError},
    mounted::Mounted,
    pieces::Pieces,
    segment::SegmentInfo,
    state::SegmentState,
    token::BufferToken,
};

/// Space in a segment, freed on drop from any thread.
///
/// A buffer may outlive its segment: it is not readable then, and dropping it is
/// harmless. One that outlives the pool keeps its segment in the state that it
/// had, and the memory.
#[must_use = "dropping the buffer frees it"]
pub struct PlacedBuffer {
    /// Dropped before the segment that it is in.
    pieces: Pieces,
    mounted: Arc<Mounted>,
}

const _: () = assert!(
    size_of::<PlacedBuffer>() <= 40,
    "a store has one for every replica"
);

impl PlacedBuffer {
    /// Makes a buffer of pieces that were placed, if the segment is still open;
    /// otherwise they are given back.
    #[inline]
    pub(crate) fn placed(mounted: &Arc<Mounted>, pieces: Pieces) -> Option<Self> {
        let is_open = mounted.placed.add_if_open(pieces.size());
        is_open.then(|| Self {
            pieces,
            mounted: Arc::clone(mounted),
        })
    }

    /// Makes a buffer of pieces that are taken over, in whatever state the
    /// segment is.
    pub(crate) fn adopted(mounted: &Arc<Mounted>, pieces: Pieces) -> Self {
        mounted.placed.add_adopted(pieces.size());
        Self {
            pieces,
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
        self.pieces.first().address()
    }

    /// Returns the bytes in all pieces: the size asked for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.pieces.size()
    }

    /// Returns the pieces in the order of the bytes; nearly always one.
    pub fn extents(&self) -> impl ExactSizeIterator<Item = Extent> {
        self.pieces.iter().map(|piece| Extent {
            address: piece.address(),
            size: piece.size(),
        })
    }

    /// Returns the addresses of the registration that all pieces are in. It serves
    /// requests for an alignment only if its first address is such a multiple.
    #[must_use]
    pub fn registration(&self) -> Range<u64> {
        let home = self.home();
        home.base..home.end()
    }

    /// Returns the bytes that are free in the segment, as of a moment ago. Takes
    /// no lock; reads a number for each registration.
    #[must_use]
    pub fn recent_free_bytes(&self) -> u64 {
        self.mounted.recent_free_bytes()
    }

    /// Returns the state of the segment; [`SegmentState::Unmounting`] for ever
    /// once it is gone.
    #[must_use]
    pub fn state(&self) -> SegmentState {
        self.mounted.state()
    }

    /// Returns whether the segment is mounted and its unmount has not begun.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.state().is_readable()
    }

    /// Returns whether the segment is open to placement, so that the bytes of
    /// the buffer can serve another request once it is dropped.
    #[must_use]
    pub fn is_placeable(&self) -> bool {
        self.state().is_placeable()
    }

    /// Returns the incarnation of the segment's memory that the buffer is in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.mounted.info().epoch
    }

    /// Returns the number of the segment's mount, which [`SegmentView`] has, too: no
    /// other segment of the pool has the same, nor had.
    ///
    /// [`SegmentView`]: crate::SegmentView
    #[must_use]
    pub fn mount_number(&self) -> u64 {
        self.mounted.number()
    }

    /// Returns whether this process has the bytes of the segment, so that it
    /// reads and writes them.
    #[must_use]
    pub fn is_local(&self) -> bool {
        !matches!(self.mounted.memory(), Memory::Remote)
    }

    /// Tags the buffer with a number of its owner's choice, or takes the tag
    /// away; [`Block`]s show it.
    ///
    /// Waits for nothing but other tags of the same segment. The tag goes when the buffer is dropped, before its space
    /// can be given to another.
    pub fn set_owner(&self, owner: Option<NonZeroU32>) {
        let owners = &self.home().owners;
        for piece in self.pieces.iter() {
            owners.set(piece.allocation().node(), owner);
        }
    }

    /// Returns the blocks around a piece of the buffer, itself included, in
    /// address order and without gaps.
    ///
    /// They reach at least `reach_bytes` to either side of it, unless the
    /// registration ends before or `blocks_max` blocks are not enough, of which
    /// at most half lie below. Takes the lock of the registration for a time
    /// that `blocks_max` bounds. Returns `None` if there is no such piece.
    #[must_use]
    pub fn neighborhood(
        &self,
        piece: usize,
        reach_bytes: u64,
        blocks_max: usize,
    ) -> Option<Vec<Block>> {
        let piece = self.pieces.get(piece)?;
        Some(self.home().neighborhood(piece, reach_bytes, blocks_max))
    }

    /// Returns the holes that there would be if the buffer was dropped now, in
    /// address order: one for each piece, or fewer where pieces lie side by
    /// side.
    ///
    /// Takes the lock of the registration for a time that the pieces bound.
    pub fn holes_if_dropped(&self) -> impl ExactSizeIterator<Item = Extent> + use<> {
        self.home().holes_without(&self.pieces).into_iter()
    }

    /// Returns the bytes of the largest hole in the registration, if only the
    /// limit of allocations keeps it from use: dropping the buffer makes it
    /// usable. `None` where there is no limit, or it is not reached.
    ///
    /// Takes the lock of the registration for a constant time, if there is a
    /// limit.
    #[must_use]
    pub fn hole_below_limit(&self) -> Option<u64> {
        self.mounted.hole_below_limit(self.home())
    }

    /// Copies `into.len()` bytes out, from the byte `offset` of the buffer on,
    /// across its pieces.
    ///
    /// Until it returns, the segment's unmount cannot be finished.
    ///
    /// # Errors
    ///
    /// A [`BytesError`]; some bytes may have been copied if it is about a file.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), BytesError> {
        let (_access, memory) = self.access()?;
        let mut rest = into;
        for span in self.spans(offset, rest.len() as u64)? {
            let (head, tail) = rest.split_at_mut(span.len);
            let read = memory.read_at(span.start, head);
            read.map_err(|error| self.bytes_error(error))?;
            rest = tail;
        }
        Ok(())
    }

    /// Copies `from` in, from the byte `offset` of the buffer on, across its
    /// pieces.
    ///
    /// Until it returns, the segment's unmount cannot be finished.
    ///
    /// # Errors
    ///
    /// A [`BytesError`]; some bytes may have been copied if it is about a file,
    /// or if another user of the memory has some of them.
    pub fn write_at(&mut self, offset: u64, from: &[u8]) -> Result<(), BytesError> {
        let (_access, memory) = self.access()?;
        let mut rest = from;
        for span in self.spans(offset, rest.len() as u64)? {
            let (head, tail) = rest.split_at(span.len);
            let written = memory.write_at(span.start, head);
            written.map_err(|error| self.bytes_error(error))?;
            rest = tail;
        }
        Ok(())
    }

    /// Lends the bytes of one piece, for memory that is a pool's.
    ///
    /// While they are lent, the segment's unmount cannot be finished.
    ///
    /// # Errors
    ///
    /// A [`BytesError`].
    pub fn bytes(&self, extent: usize) -> Result<impl Deref<Target = [u8]>, BytesError> {
        let (offset, len) = self.extent_in_segment(extent)?;
        let (access, memory) = self.access()?;
        let lent = memory.lend(offset, len);
        let bytes = lent.map_err(|error| self.bytes_error(error))?;
        Ok(Lent {
            bytes,
            _access: access,
        })
    }

    /// Lends the bytes of one piece to be written, for memory that is a pool's.
    ///
    /// While they are lent, the segment's unmount cannot be finished.
    ///
    /// # Errors
    ///
    /// A [`BytesError`].
    pub fn bytes_mut(&mut self, extent: usize) -> Result<impl DerefMut<Target = [u8]>, BytesError> {
        let (offset, len) = self.extent_in_segment(extent)?;
        let (access, memory) = self.access()?;
        let lent = memory.lend_mut(offset, len);
        let bytes = lent.map_err(|error| self.bytes_error(error))?;
        Ok(Lent {
            bytes,
            _access: access,
        })
    }

    /// Returns the buffer as plain data.
    #[must_use]
    pub fn descriptor(&self) -> BufferDescriptor {
        let info = self.mounted.info();
        BufferDescriptor {
            segment: info.id,
            address: self.address(),
            size: self.size(),
            epoch: info.epoch,
            protocol: info.protocol.clone(),
            endpoint: info.endpoint.clone(),
            extents: self.extents().collect(),
        }
    }

    /// Returns the name of the buffer.
    #[must_use]
    pub fn token(&self) -> BufferToken {
        BufferToken::new(self.segment_id(), self.home(), &self.pieces)
    }

    /// Returns the chunk that all pieces are in.
    fn home(&self) -> &Chunk {
        match self.mounted.chunks() {
            [only] => only,
            _ => {
                let chunk = self.mounted.chunk_of(self.address());
                chunk.expect("a buffer is in a chunk of its segment")
            }
        }
    }

    pub(crate) fn mounted(&self) -> &Arc<Mounted> {
        &self.mounted
    }

    fn access(&self) -> Result<(Access<'_>, Memory), BytesError> {
        let id = self.segment_id();
        let access = self.mounted.access();
        access.ok_or(BytesError::Unmounted { id })
    }

    /// Returns where in the segment a piece is, and its length.
    fn extent_in_segment(&self, extent: usize) -> Result<(u64, u64), BytesError> {
        let extents = self.pieces.len();
        let no_extent = BytesError::NoExtent { extent, extents };
        let piece = self.pieces.get(extent).ok_or(no_extent)?;
        Ok((self.offset_of(piece), piece.size()))
    }

    /// Returns where in the segment the bytes of a part of the buffer are.
    fn spans(&self, offset: u64, len: u64) -> Result<impl Iterator<Item = Span>, BytesError> {
        let size = self.size();
        let end = offset.checked_add(len).filter(|&end| end <= size);
        let end = end.ok_or(BytesError::OutOfBuffer { offset, len, size })?;
        let mut piece_start = 0;
        let spans = self.pieces.iter().filter_map(move |piece| {
            let (start, piece_end) = (piece_start, piece_start + piece.size());
            piece_start = piece_end;
            let (from, to) = (offset.max(start), end.min(piece_end));
            // Not longer than the slice that is copied.
            let len = usize::try_from(to.checked_sub(from)?).ok()?;
            (len > 0).then(|| Span {
                start: self.offset_of(piece) + (from - start),
                len,
            })
        });
        Ok(spans)
    }

    fn bytes_error(&self, error: MemoryError) -> BytesError {
        let id = self.segment_id();
        match error {
            MemoryError::Remote => BytesError::Remote { id },
            MemoryError::NotMapped => BytesError::NotMapped { id },
            MemoryError::Claim(error) => BytesError::InUse(error),
            MemoryError::Io(source) => BytesError::File { id, source },
        }
    }

    /// Returns how far behind the base of the segment a piece is.
    fn offset_of(&self, piece: &Handle) -> u64 {
        piece.address() - self.mounted.info().base
    }
}

/// Bytes that are lent as long as the access to them is under way.
struct Lent<'a, B> {
    /// Given back before the access is over.
    bytes: B,
    _access: Access<'a>,
}

impl<B: Deref<Target = [u8]>> Deref for Lent<'_, B> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<B: DerefMut<Target = [u8]>> DerefMut for Lent<'_, B> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// A part of a buffer within one piece.
struct Span {
    /// Bytes from the base of the segment on.
    start: u64,
    len: usize,
}

impl Drop for PlacedBuffer {
    #[inline]
    fn drop(&mut self) {
        let owners = &self.home().owners;
        for piece in self.pieces.iter() {
            owners.clear(piece.allocation().node());
        }
        self.mounted.placed.subtract(self.size());
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
