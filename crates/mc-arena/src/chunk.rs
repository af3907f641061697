//! A chunk leased from an arena and handed out by one thread alone, without atomics.
//!
//! Bumping is splitting an exclusive slice, so this file needs nothing but safe code.

use std::mem;

use crate::arena::{AllocError, Arena};

/// Hands out slices of an [`Arena`] to one thread, a leased chunk at a time.
///
/// What is left of a chunk when it is dropped, or when a request does not fit it, stays reserved in
/// the arena and is not handed out before a reset: at most the chunk size per lease.
///
/// # Examples
///
/// ```
/// use mc_arena::{Arena, PagePolicy, PoolOptions};
///
/// let arena = Arena::new(PoolOptions::new(1 << 20).pages(PagePolicy::Off).map()?)?;
/// let mut chunk = arena.thread_chunk(64 << 10)?;
/// let header = chunk.allocate(48)?;
/// header[0] = 1;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ThreadChunk<'a> {
    /// The part of the current lease not handed out. It starts at a multiple of the arena's alignment.
    rest: &'a mut [u8],
    /// Slices handed out since they were last added to the arena's count.
    allocations: u64,
    arena: &'a Arena,
    chunk_bytes: usize,
}

impl<'a> ThreadChunk<'a> {
    pub(crate) fn new(arena: &'a Arena, chunk_bytes: usize) -> Self {
        Self {
            rest: &mut [],
            allocations: 0,
            arena,
            chunk_bytes,
        }
    }

    /// Returns `size` zeroed bytes at a multiple of the arena's alignment.
    ///
    /// Requests larger than a chunk, and all requests once the arena cannot lease a whole chunk, go to
    /// the arena directly.
    ///
    /// # Errors
    ///
    /// As [`Arena::allocate`].
    #[inline]
    pub fn allocate(&mut self, size: usize) -> Result<&'a mut [u8], AllocError> {
        let mask = self.arena.align() - 1;
        // Wraps for sizes that no chunk holds; then it is below `size`.
        let rounded = size.wrapping_add(mask) & !mask;
        if size == 0 || rounded < size || rounded > self.rest.len() {
            return self.allocate_slow(size);
        }
        let (slice, rest) = mem::take(&mut self.rest).split_at_mut(rounded);
        self.rest = rest;
        self.allocations += 1;
        Ok(&mut slice[..size])
    }

    /// Returns the bytes that the current lease still holds.
    #[must_use]
    pub fn left_bytes(&self) -> usize {
        self.rest.len()
    }

    #[cold]
    fn allocate_slow(&mut self, size: usize) -> Result<&'a mut [u8], AllocError> {
        if size == 0 || size > self.chunk_bytes {
            return self.arena.allocate(size);
        }
        let align = self.arena.align();
        match self.arena.lease(self.chunk_bytes.next_multiple_of(align)) {
            Ok(chunk) => {
                self.flush();
                self.rest = chunk;
                self.allocate(size)
            }
            Err(_) => self.arena.allocate(size),
        }
    }

    fn flush(&mut self) {
        self.arena
            .note_chunk_allocations(mem::take(&mut self.allocations));
    }
}

impl Drop for ThreadChunk<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
