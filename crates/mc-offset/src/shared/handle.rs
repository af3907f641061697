//! Allocations of a shared allocator that free themselves.

use core::fmt;

use super::home::Home;
use crate::allocation::Allocation;

/// An allocation of a [`SharedAllocator`](super::SharedAllocator) that is
/// freed on drop, from any thread.
///
/// A handle keeps the allocator's tables alive: one that outlives the last
/// [`SharedAllocator`](super::SharedAllocator) is harmless.
#[must_use = "dropping the handle frees the allocation"]
pub struct Handle {
    allocation: Allocation,
    /// Where the allocation returns to; `None` once it has.
    home: Option<&'static Home>,
}

impl Handle {
    #[inline]
    pub(super) fn new(allocation: Allocation, home: &'static Home) -> Self {
        Self {
            allocation,
            home: Some(home),
        }
    }

    /// Returns the offset of the first byte.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.allocation.offset()
    }

    /// Returns the bytes asked for.
    #[inline]
    pub fn size(&self) -> u64 {
        self.allocation.size()
    }

    pub(super) fn home(&self) -> Option<&'static Home> {
        self.home
    }

    /// Returns the allocation, for the queries of
    /// [`inspect`](super::SharedAllocator::inspect);
    /// [`free`](super::SharedAllocator::free) does not take it.
    #[inline]
    pub fn allocation(&self) -> Allocation {
        self.allocation
    }

    /// Takes out where the allocation returns to; dropping the handle frees
    /// nothing then.
    pub(super) fn take_home(&mut self) -> Option<&'static Home> {
        self.home.take()
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.free(self.allocation);
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.allocation.fmt(f)
    }
}
