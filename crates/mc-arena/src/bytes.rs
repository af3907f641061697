//! The bytes of a pool, lent out range by range.
//!
//! Key types: [`PoolBytes`] and its guards [`ReadBytes`], [`WriteBytes`] and [`DeviceBytes`]. A guard
//! exists iff its range is claimed, which the mapping keeps account of.

use std::{
    fmt,
    ops::{Deref, DerefMut, Range},
    sync::Arc,
};

use crate::{
    error::ReleaseError,
    mapping::{Access, ClaimError, ClaimedRange},
    pool::Pool,
};

/// The bytes of a [`Pool`], for several parts of a program to read and write.
///
/// A range is lent for as long as a guard lives. That no byte is read while it
/// is written, or written twice at once, is checked when it is asked for, as a
/// [`RefCell`](std::cell::RefCell) checks it, but for each range and between
/// threads. Clones share the bytes; the pool is unmapped when the last clone
/// and the last guard are gone.
///
/// # Examples
///
/// ```
/// use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
///
/// let pool = PoolOptions::new(1 << 20).pages(PagePolicy::Off).map()?;
/// let bytes = PoolBytes::new(pool);
/// bytes.write(100..105)?.copy_from_slice(b"value");
/// let value = bytes.read(100..105)?;
/// assert_eq!(&value[..], b"value");
/// assert!(bytes.write(0..4096).is_err(), "a part of it is being read");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PoolBytes {
    pool: Arc<Pool>,
}

/// Bytes of a pool that nobody writes meanwhile.
///
/// In a child that was forked since, they are not there: looking at them panics.
pub struct ReadBytes(Lent);

/// Bytes of a pool that nobody else reads or writes meanwhile.
///
/// In a child that was forked since, they are not there: looking at them panics.
pub struct WriteBytes(Lent);

/// Bytes of a pool that a device may read and write at any moment: they have an address and never
/// become a slice.
///
/// Keep it for as long as the device has the range, and end that first:
///
/// ```
/// # use mc_arena::{ClaimError, PagePolicy, PoolBytes, PoolOptions};
/// # struct Registration;
/// # fn register(_: *mut u8, _: usize) -> Registration { Registration }
/// let bytes = PoolBytes::new(PoolOptions::new(1 << 20).pages(PagePolicy::Off).map()?);
/// let range = bytes.lend_to_device(0..4096)?;
/// let registration = register(range.as_mut_ptr(), range.len());
/// assert!(matches!(bytes.read(0..10), Err(ClaimError::OfDevice { .. })));
///
/// drop(registration); // The device lets go first,
/// drop(range); // then the bytes can be lent again,
/// assert_eq!(bytes.read(0..10)?.len(), 10);
/// drop(bytes); // and unmapped last.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DeviceBytes(Lent);

/// A claimed range, given up on drop.
struct Lent {
    claimed: ClaimedRange,
    /// Keeps the mapping.
    pool: Arc<Pool>,
}

impl PoolBytes {
    /// Takes over a pool, and with it every way to reach its bytes.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self {
            pool: Arc::new(pool),
        }
    }

    /// Lends a range to a reader, beside any number of others.
    ///
    /// # Errors
    ///
    /// [`ClaimError::OutOfRange`]; [`ClaimError::BeingWritten`] or [`ClaimError::OfDevice`] with the
    /// range that another has; [`ClaimError::Truncated`] if the file behind the pool has lost bytes;
    /// [`ClaimError::OtherProcess`] in a child.
    pub fn read(&self, range: Range<usize>) -> Result<ReadBytes, ClaimError> {
        self.lend(range, Access::Read).map(ReadBytes)
    }

    /// Lends a range to the only one who has it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), with [`ClaimError::InUse`] for a range that another reads or writes.
    pub fn write(&self, range: Range<usize>) -> Result<WriteBytes, ClaimError> {
        self.lend(range, Access::Write).map(WriteBytes)
    }

    /// Lends a range to a device, which reads and writes it without asking: nobody gets a slice of it
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn lend_to_device(&self, range: Range<usize>) -> Result<DeviceBytes, ClaimError> {
        self.lend(range, Access::Device).map(DeviceBytes)
    }

    /// Gives the memory of the whole pages within a range back to the system;
    /// returns their bytes. They read as zero from then on, and who writes them
    /// gets memory again.
    ///
    /// Pages that a [population](crate::PoolOptions) in the background has not
    /// come to yet get their memory back from it.
    ///
    /// # Errors
    ///
    /// A [`ReleaseError`]; the bytes are what they were. Locked pages cannot be
    /// given back, nor those of a [named file](crate::PoolOptions::file), nor
    /// reserved huge pages on kernels before 5.18.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
    ///
    /// let bytes = PoolBytes::new(PoolOptions::new(1 << 20).pages(PagePolicy::Off).map()?);
    /// bytes.write(0..1 << 20)?.fill(1);
    /// let page = bytes.page_bytes();
    /// assert_eq!(bytes.release(1..4 * page)?, 3 * page);
    /// assert_eq!(bytes.read(0..page + 1)?[page - 1..], [1, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(&self, range: Range<usize>) -> Result<usize, ReleaseError> {
        self.pool.check_range(&range)?;
        let page_bytes = self.page_bytes();
        let start = range.start.next_multiple_of(page_bytes);
        let end = range.end - range.end % page_bytes;
        if start >= end {
            return Ok(0);
        }
        let claimed = self.pool.claim(start..end, Access::Write)?;
        self.pool.release(&claimed)?;
        Ok(end - start)
    }

    /// Returns the length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a pool is never empty")]
    pub fn len(&self) -> usize {
        self.pool.len()
    }

    /// Returns the bytes of a page of the pool; see [`Pool::page_bytes`].
    #[must_use]
    pub fn page_bytes(&self) -> usize {
        self.pool.page_bytes()
    }

    /// Returns the pool, for its address, pages, epoch and descriptor.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    fn lend(&self, range: Range<usize>, access: Access) -> Result<Lent, ClaimError> {
        let claimed = self.pool.claim(range, access)?;
        Ok(Lent {
            claimed,
            pool: Arc::clone(&self.pool),
        })
    }
}

impl DeviceBytes {
    /// Returns the address of the first byte.
    #[must_use]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.0.pool.claimed_ptr(&self.0.claimed)
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.claimed.range().len()
    }

    /// Says whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Deref for ReadBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.pool.claimed(&self.0.claimed)
    }
}

impl Deref for WriteBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.pool.claimed(&self.0.claimed)
    }
}

impl DerefMut for WriteBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.pool.claimed_mut(&mut self.0.claimed)
    }
}

impl fmt::Debug for PoolBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolBytes").field(self.pool()).finish()
    }
}

/// Prints the range and not the bytes, which a debug form must not touch.
macro_rules! debug_as_range {
    ($($guard:ident),+) => {$(
        impl fmt::Debug for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($guard)).field(self.0.claimed.range()).finish()
            }
        }
    )+};
}

debug_as_range!(ReadBytes, WriteBytes, DeviceBytes);
