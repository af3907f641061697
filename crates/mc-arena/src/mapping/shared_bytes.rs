//! The bytes of a pool, lent out range by range.
//!
//! Key types: [`PoolBytes`] and its guards [`ReadBytes`] and [`WriteBytes`]. A
//! guard exists iff its range is claimed, which `claims.rs` keeps account of.

use std::{
    fmt,
    ops::{Deref, DerefMut, Range},
    slice,
    sync::Arc,
};

use crate::{
    claims::{Access, ClaimError, Claims},
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
    shared: Arc<Shared>,
}

struct Shared {
    pool: Pool,
    claims: Claims,
}

/// Bytes of a pool that nobody writes meanwhile.
pub struct ReadBytes(Lent);

/// Bytes of a pool that nobody else reads or writes meanwhile.
pub struct WriteBytes(Lent);

/// A claimed range, given up on drop.
struct Lent {
    /// Keeps the mapping.
    shared: Arc<Shared>,
    /// Not backwards, and within the pool.
    range: Range<usize>,
}

impl PoolBytes {
    /// Takes over a pool, and with it every way to reach its bytes.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        let claims = Claims::default();
        Self {
            shared: Arc::new(Shared { pool, claims }),
        }
    }

    /// Lends a range to a reader, beside any number of others.
    ///
    /// # Errors
    ///
    /// [`ClaimError::OutOfRange`], or [`ClaimError::BeingWritten`] with the
    /// range that a writer has.
    pub fn read(&self, range: Range<usize>) -> Result<ReadBytes, ClaimError> {
        self.lend(range, Access::Read).map(ReadBytes)
    }

    /// Lends a range to the only one who has it.
    ///
    /// # Errors
    ///
    /// [`ClaimError::OutOfRange`], or [`ClaimError::InUse`] with the range that
    /// another has.
    pub fn write(&self, range: Range<usize>) -> Result<WriteBytes, ClaimError> {
        self.lend(range, Access::Write).map(WriteBytes)
    }

    /// Returns the length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a pool is never empty")]
    pub fn len(&self) -> usize {
        self.shared.pool.len()
    }

    /// Returns the pool, for its address, pages and descriptor.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    fn lend(&self, range: Range<usize>, access: Access) -> Result<Lent, ClaimError> {
        if range.start > range.end || range.end > self.len() {
            return Err(ClaimError::OutOfRange {
                start: range.start,
                end: range.end,
                len_bytes: self.len(),
            });
        }
        self.shared.claims.claim(&range, access)?;
        Ok(Lent {
            shared: Arc::clone(&self.shared),
            range,
        })
    }
}

impl Lent {
    fn start(&self) -> *mut u8 {
        self.shared.pool.base().wrapping_add(self.range.start)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.shared.claims.release(&self.range);
    }
}

impl Deref for ReadBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let Self(lent) = self;
        // SAFETY: (1) the range lies in the pool (field `range`, checked in `lend`), which is mapped and
        // initialised, and which `shared` keeps; (2) `PoolBytes` owns the pool, so that bytes are
        // reached through its guards only; (3) the claim excludes every `WriteBytes` that shares a byte
        // until `lent` is dropped, which the borrow of `self` outlasts; the lock of the claims orders
        // what writers before have stored.
        unsafe { slice::from_raw_parts(lent.start(), lent.range.len()) }
    }
}

impl Deref for WriteBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let Self(lent) = self;
        // SAFETY: (1) and (2) as for `ReadBytes`; (3) the claim excludes every other guard that shares
        // a byte, and this guard writes through `&mut self` only.
        unsafe { slice::from_raw_parts(lent.start(), lent.range.len()) }
    }
}

impl DerefMut for WriteBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let Self(lent) = self;
        // SAFETY: (1) and (2) as for `ReadBytes`; (3) the claim excludes every other guard that shares
        // a byte, and the borrow of `self` every other slice of this one.
        unsafe { slice::from_raw_parts_mut(lent.start(), lent.range.len()) }
    }
}

impl fmt::Debug for PoolBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolBytes").field(self.pool()).finish()
    }
}

impl fmt::Debug for ReadBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadBytes").field(&self.0.range).finish()
    }
}

impl fmt::Debug for WriteBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteBytes").field(&self.0.range).finish()
    }
}
