//! The read-only view of a pool that another process owns.

use std::{num::NonZeroUsize, os::fd::BorrowedFd, ptr::NonNull};

use nix::{
    errno::Errno,
    sys::mman::{self, MapFlags, ProtFlags},
};

/// A read-only, shared view of memory that another process owns and writes.
///
/// It hands out copies and no references: the bytes may change at any moment.
#[derive(Debug)]
pub(crate) struct ReadOnlyMapping {
    /// Start of `len` bytes that are mapped readable for the life of this value.
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: (1) the view is not tied to the thread that made it.
unsafe impl Send for ReadOnlyMapping {}
// SAFETY: (1) every access through `&self` only reads.
unsafe impl Sync for ReadOnlyMapping {}

impl ReadOnlyMapping {
    /// Maps the first `len` bytes of a memory file, which must be sealed against shrinking.
    pub(crate) fn new(file: BorrowedFd<'_>, len: NonZeroUsize) -> Result<Self, Errno> {
        // SAFETY: (1) the kernel chooses the address (`None`), so no existing mapping is touched.
        let base = unsafe {
            mman::mmap(
                None,
                len,
                ProtFlags::PROT_READ,
                MapFlags::MAP_SHARED,
                file,
                0,
            )
        }?;
        Ok(Self {
            base: base.cast(),
            len: len.get(),
        })
    }

    /// Returns the mapped length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the address of the first byte.
    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.base.as_ptr()
    }

    /// Copies `into.len()` bytes from `offset` on; returns false if they are not all inside.
    pub(crate) fn read_at(&self, offset: usize, into: &mut [u8]) -> bool {
        if offset
            .checked_add(into.len())
            .is_none_or(|end| end > self.len)
        {
            return false;
        }
        let from = self.base.as_ptr().wrapping_add(offset);
        // SAFETY: (1) the source lies inside the view (checked above) and stays readable (field
        // `base`, sealed length); (2) the target is a live exclusive slice of that length, so the two
        // do not overlap; (3) the writer is another process (`SharedView::open` refuses pools of this
        // one), whose stores the copy sees in some order, byte by byte.
        unsafe { from.copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) };
        true
    }
}

impl Drop for ReadOnlyMapping {
    fn drop(&mut self) {
        // SAFETY: (1) the view is this value's own (field `base`) and dies with it.
        unsafe { super::raw::unmap(self.base, self.len) };
    }
}
