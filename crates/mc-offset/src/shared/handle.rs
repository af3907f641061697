//! Allocations of a shared allocator that free themselves.

use core::fmt;

use super::{frame::core_of, frame_id::FrameId, held::Held, locked::Core, magazine::Put, seat};
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
#[repr(transparent)]
#[must_use = "dropping the handle frees the allocation"]
pub struct Handle(Held);

const _: () = assert!(size_of::<Option<Handle>>() == 32, "a handle is four words");

impl Handle {
    #[inline]
    pub(super) fn new(allocation: Allocation, frame: FrameId) -> Self {
        Self(Held::new(allocation, Some(frame)))
    }

    /// Returns the offset of the first byte.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.0.offset()
    }

    /// Returns the bytes asked for.
    #[inline]
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// Returns the address of the first byte: the offset from
    /// [the base](super::SharedAllocator::base) of the allocator, which may
    /// be gone.
    #[inline]
    pub fn address(&self) -> u64 {
        self.core().map_or(0, Core::base) + self.offset()
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
        self.frame().map(core_of)
    }

    /// Returns the number of what the allocation returns to, if it has not.
    #[inline]
    pub(super) fn frame(&self) -> Option<FrameId> {
        self.0.frame()
    }

    /// Returns whether both are allocations of the same allocator, which may
    /// be gone.
    ///
    /// ```
    /// use mc_offset::SharedAllocator;
    ///
    /// let [one, other] = [SharedAllocator::new(100)?, SharedAllocator::new(100)?];
    /// let [first, second] = [one.allocate(10)?, one.clone().allocate(10)?];
    /// assert!(first.ptr_eq(&second));
    /// assert!(!first.ptr_eq(&other.allocate(10)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.frame() == other.frame()
    }

    /// Returns the allocation, for the queries of
    /// [`inspect`](super::SharedAllocator::inspect);
    /// [`free`](super::SharedAllocator::free) does not take it.
    #[inline]
    pub fn allocation(&self) -> Allocation {
        self.0.allocation()
    }

    /// Makes the handle stand for what its allocation has become.
    pub(super) fn replace(&mut self, allocation: Allocation) {
        self.0 = Held::new(allocation, self.frame());
    }

    /// Makes dropping the handle free nothing.
    pub(super) fn defuse(&mut self) {
        self.0.take_frame();
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        if let Some(frame) = self.0.take_frame() {
            let core = core_of(frame);
            // Without a look for the thread's magazine, which would decline.
            if !core.flags.is_keeping() {
                return core.free(&self.0);
            }
            match seat::put(frame, &self.0) {
                Put::Kept => {}
                Put::Full => core.spill(&self.0),
                Put::Declined => core.free(&self.0),
            }
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.allocation().fmt(f)
    }
}
