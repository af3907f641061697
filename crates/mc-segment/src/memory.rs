//! The bytes behind a segment, as far as this process has them.

use std::{fs::File, io, os::unix::fs::FileExt, ptr, sync::Arc};

use mc_arena::{ClaimError, PoolBytes, ReadBytes, WriteBytes};

/// The bytes behind a segment.
///
/// Clones share them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Memory {
    /// Of another host: placed in, never touched.
    Remote,
    /// A part of a pool, private or shared with other processes, as slices.
    Pool {
        /// The bytes of the pool.
        bytes: PoolBytes,
        /// Where in them the segment begins.
        start: usize,
    },
    /// A part of a file, read and written in place by system calls: another
    /// process may cut a file short, so that slices of it would not be safe.
    File {
        /// The file, open for reading and writing.
        file: Arc<File>,
        /// Where in it the segment begins.
        start: u64,
    },
}

/// A way to bytes that failed.
pub(crate) enum MemoryError {
    Remote,
    NotMapped,
    Claim(ClaimError),
    Io(io::Error),
}

impl From<ClaimError> for MemoryError {
    fn from(error: ClaimError) -> Self {
        Self::Claim(error)
    }
}

impl Memory {
    /// Returns all bytes of a pool.
    #[must_use]
    pub fn pool(bytes: PoolBytes) -> Self {
        Self::Pool { bytes, start: 0 }
    }

    /// Returns the bytes from the start of a file on.
    #[must_use]
    pub fn file(file: File) -> Self {
        Self::File {
            file: Arc::new(file),
            start: 0,
        }
    }

    /// Returns the bytes that there are, if that is fixed.
    pub(crate) fn fixed_len(&self) -> Option<u64> {
        match self {
            Self::Remote | Self::File { .. } => None,
            Self::Pool { bytes, start } => Some(bytes.len().saturating_sub(*start) as u64),
        }
    }

    /// Returns where in its pages the segment begins, and the bytes of a page,
    /// if the memory is a pool's.
    pub(crate) fn pages(&self) -> Option<(u64, u64)> {
        match self {
            Self::Remote | Self::File { .. } => None,
            Self::Pool { bytes, start } => Some((*start as u64, bytes.pool().page_bytes() as u64)),
        }
    }

    /// Returns which memory it is and where in it the segment begins, if this
    /// process has it. The number tells memories apart as long as both are held.
    pub(crate) fn origin(&self) -> Option<(usize, u64)> {
        match self {
            Self::Remote => None,
            Self::Pool { bytes, start } => {
                Some((ptr::from_ref(bytes.pool()).addr(), *start as u64))
            }
            Self::File { file, start } => Some((Arc::as_ptr(file).addr(), *start)),
        }
    }

    /// Copies bytes out, from `offset` bytes into the segment on.
    pub(crate) fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), MemoryError> {
        match self {
            Self::File { file, start } => file
                .read_exact_at(into, start.saturating_add(offset))
                .map_err(MemoryError::Io),
            Self::Remote | Self::Pool { .. } => {
                into.copy_from_slice(&self.lend(offset, into.len() as u64)?);
                Ok(())
            }
        }
    }

    /// Copies bytes in, from `offset` bytes into the segment on.
    pub(crate) fn write_at(&self, offset: u64, from: &[u8]) -> Result<(), MemoryError> {
        match self {
            Self::File { file, start } => file
                .write_all_at(from, start.saturating_add(offset))
                .map_err(MemoryError::Io),
            Self::Remote | Self::Pool { .. } => {
                self.lend_mut(offset, from.len() as u64)?
                    .copy_from_slice(from);
                Ok(())
            }
        }
    }

    /// Lends bytes to a reader.
    pub(crate) fn lend(&self, offset: u64, len: u64) -> Result<ReadBytes, MemoryError> {
        let (bytes, range) = self.range(offset, len)?;
        Ok(bytes.read(range)?)
    }

    /// Lends bytes to a writer.
    pub(crate) fn lend_mut(&self, offset: u64, len: u64) -> Result<WriteBytes, MemoryError> {
        let (bytes, range) = self.range(offset, len)?;
        Ok(bytes.write(range)?)
    }

    /// Gives pages back to the system, as far as that is possible; returns
    /// their bytes.
    pub(crate) fn release(&self, offset: u64, len: u64) -> u64 {
        let Ok((bytes, range)) = self.range(offset, len) else {
            return 0;
        };
        // Pages that a device has, or that are locked, stay.
        bytes.release(range).unwrap_or(0) as u64
    }

    fn range(
        &self,
        offset: u64,
        len: u64,
    ) -> Result<(&PoolBytes, std::ops::Range<usize>), MemoryError> {
        match self {
            Self::Remote => Err(MemoryError::Remote),
            Self::File { .. } => Err(MemoryError::NotMapped),
            Self::Pool { bytes, start } => {
                // A segment is no longer than its memory, which is checked when
                // it is mounted; what is not in it is refused by the claim.
                let at = |offset: u64| {
                    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                    start.saturating_add(offset)
                };
                Ok((bytes, at(offset)..at(offset.saturating_add(len))))
            }
        }
    }
}
