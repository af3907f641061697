//! What the lock of a shared allocator guards.

use alloc::{boxed::Box, sync::Arc};

use super::{
    MAGAZINE_COUNT,
    magazine::{Magazine, Magazines},
    recent::RecentSizes,
    thread::thread_number,
};
use crate::allocator::OffsetAllocator;

/// What the lock guards.
pub(super) struct State {
    /// `None` while the core is idle.
    allocator: Option<Box<OffsetAllocator>>,
    /// Live allocations whose handle was given up for a token.
    pub(super) loose: u32,
    /// Whether nothing but handles is left.
    is_closing: bool,
    pub(super) recent: RecentSizes,
    /// Bit `m` is set if magazine `m` has been one for some size.
    in_use: u32,
    /// `None` once nothing but handles is left.
    magazines: Option<Arc<Magazines>>,
}

impl State {
    pub(super) const IDLE: Self = Self {
        allocator: None,
        loose: 0,
        is_closing: false,
        recent: RecentSizes::new(),
        in_use: 0,
        magazines: None,
    };

    /// Returns the state around an allocator without allocations.
    pub(super) fn open(allocator: OffsetAllocator, magazines: Arc<Magazines>) -> Self {
        Self {
            allocator: Some(Box::new(allocator)),
            magazines: Some(magazines),
            ..Self::IDLE
        }
    }

    /// Takes note that nothing but handles is left, and returns the magazines.
    pub(super) fn close(&mut self) -> Option<Arc<Magazines>> {
        self.is_closing = true;
        self.magazines.take()
    }

    /// Takes note that a magazine is one for some size.
    pub(super) fn note_in_use(&mut self, magazine: usize) {
        self.in_use |= 1 << magazine;
    }

    #[inline]
    pub(super) fn allocator(&mut self) -> &mut OffsetAllocator {
        self.allocator.as_mut().expect(IDLE)
    }

    /// Returns the allocator for queries.
    pub(super) fn allocator_ref(&self) -> &OffsetAllocator {
        self.allocator.as_ref().expect(IDLE)
    }

    /// Returns whether nothing but handles is left of the allocator.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Returns whether an allocation is a handle's, or was when the heap could
    /// not hold what freeing it takes.
    pub(super) fn has_handles(&self) -> bool {
        self.allocator_ref().allocation_count() != self.loose
    }

    /// Gives the tables back; what tokens still hold goes with them.
    pub(super) fn clear(&mut self) {
        *self = Self::IDLE;
    }

    /// Returns the magazines; the allocator is open.
    pub(super) fn magazines(&self) -> &Arc<Magazines> {
        self.magazines.as_ref().expect(IDLE)
    }

    /// Returns whether several threads have magazines that are for some size.
    pub(super) fn is_for_several(&self) -> bool {
        self.in_use & self.in_use.wrapping_sub(1) != 0
    }

    /// Returns whether another thread's magazine is for blocks of so many bytes
    /// and the thread's own is not.
    pub(super) fn is_of_another(&self, size: u64) -> bool {
        let Some(magazines) = self.magazines.as_ref() else {
            return false;
        };
        let own = thread_number() % MAGAZINE_COUNT;
        let others = self.in_use & !(1 << own);
        others != 0
            && !magazines.get(own).is_for(size)
            && (0..MAGAZINE_COUNT)
                .filter(|other| others >> other & 1 == 1)
                .any(|other| magazines.get(other).is_for(size))
    }

    /// Returns whether magazines hold most of what is left in tables that were
    /// made for far more.
    pub(super) fn is_winding_up(&mut self) -> bool {
        let space = self.allocator().space();
        let allocations = u64::from(space.allocation_count());
        if !space.is_nearly_empty() {
            return false;
        }
        let kept: u64 = self.magazines().iter().map(Magazine::kept_about).sum();
        2 * kept >= allocations
    }

    /// Returns whether the thread's magazine is for blocks of so many bytes.
    pub(super) fn is_of_own(&self, size: u64) -> bool {
        let magazines = self.magazines.as_ref();
        magazines.is_some_and(|magazines| magazines.get(thread_number()).is_for(size))
    }

    /// Returns what a block of so many bytes takes from the holes.
    pub(super) fn charge(&self, size: u64) -> u64 {
        self.allocator_ref().space().charge(size)
    }
}

/// What is wrong if an allocator is asked of a core without one.
const IDLE: &str = "handles are gone before their allocator";
