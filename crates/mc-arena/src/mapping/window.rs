//! Writing into a mapping by copies, without a slice of its bytes.

use super::Mapping;

impl Mapping {
    /// Copies `from` to `offset` and the bytes behind it; returns false, and copies nothing, if they
    /// are not all inside.
    ///
    /// The bytes are stored in no particular order, all of them before the call returns.
    ///
    /// # Panics
    ///
    /// Panics in a child.
    #[inline]
    #[track_caller]
    pub(crate) fn write_at(&mut self, offset: usize, from: &[u8]) -> bool {
        self.process().assert_current();
        if offset
            .checked_add(from.len())
            .is_none_or(|end| end > self.len())
        {
            return false;
        }
        let into = self.base().as_ptr().wrapping_add(offset);
        // SAFETY: (1) the target lies inside the mapping, which is mapped writable in this process (its
        // invariant; both checked above); (2) the source is a live slice, which cannot lie in the
        // mapping: a mapping written by copies lends none, and every other memory is disjoint from it;
        // (3) within this process the mapping has one user (`&mut self`).
        unsafe { into.copy_from_nonoverlapping(from.as_ptr(), from.len()) };
        true
    }
}
