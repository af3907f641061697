//! Allocations of a shared allocator that free themselves.

use core::{fmt, num::NonZeroU64};

use super::{home_id::HomeId, locked::Core};
use crate::allocation::Allocation;

/// An allocation of a [`SharedAllocator`](super::SharedAllocator) that is
/// freed on drop, from any thread.
///
/// A handle keeps the allocator's tables alive: one that outlives the last
/// [`SharedAllocator`](super::SharedAllocator) is harmless.
///
/// A store has one for every object, so it is small: in memory two words of 64
/// bits, its offset and its size, and two that are its own. Interfaces to other
/// languages can read the first two.
#[repr(C)]
#[must_use = "dropping the handle frees the allocation"]
pub struct Handle {
    offset: u64,
    size: u64,
    serial: NonZeroU64,
    node: u32,
    /// Where the allocation returns to; `None` once it has.
    home: Option<HomeId>,
}

const _: () = assert!(size_of::<Option<Handle>>() == 32, "a handle is four words");

impl Handle {
    #[inline]
    pub(super) fn new(allocation: Allocation, home: HomeId) -> Self {
        Self {
            offset: allocation.offset(),
            size: allocation.size(),
            serial: allocation.nonzero_serial(),
            node: allocation.node(),
            home: Some(home),
        }
    }

    /// Returns the offset of the first byte.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the bytes asked for.
    #[inline]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the address of the first byte: the offset from
    /// [the base](super::SharedAllocator::base) of the allocator, which may
    /// be gone.
    #[inline]
    pub fn address(&self) -> u64 {
        self.core().map_or(0, Core::base) + self.offset
    }

    /// Returns whether the allocator is still there: some
    /// [`SharedAllocator`](super::SharedAllocator) names it.
    #[inline]
    pub fn is_allocator_alive(&self) -> bool {
        self.core().is_some_and(Core::is_open)
    }

    /// Returns what the allocation returns to, if it has not.
    #[inline]
    pub(super) fn core(&self) -> Option<&'static Core> {
        self.home.map(HomeId::core)
    }

    /// Returns the allocation, for the queries of
    /// [`inspect`](super::SharedAllocator::inspect);
    /// [`free`](super::SharedAllocator::free) does not take it.
    #[inline]
    pub fn allocation(&self) -> Allocation {
        Allocation::new(self.offset, self.size, self.serial.get(), self.node)
    }

    /// Makes dropping the handle free nothing.
    pub(super) fn defuse(&mut self) {
        self.home = None;
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.free(self);
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.allocation().fmt(f)
    }
}
