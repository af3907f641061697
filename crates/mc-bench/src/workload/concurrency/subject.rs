//! What threads share: allocators behind one trait.

use std::sync::{Mutex, MutexGuard};

use ::offset_allocator::Allocator;
use mc_offset::{Allocation, Handle, OffsetAllocator, SharedAllocator, SlotAllocator, SlotIndex};

/// Request that succeeds, as published; slots have as many bytes.
pub(super) const SUCCESS_BYTES: u64 = 4 << 10;

/// An allocator that several threads call at once.
pub(super) trait Shareable: Sync {
    /// What stands for one live object; any thread may free it.
    type Token: Send;

    /// Makes an allocator of an empty pool.
    fn new(pool_bytes: u64) -> Self;

    /// Places an object, or returns nothing when it is refused.
    fn allocate(&self, size_bytes: u64) -> Option<Self::Token>;

    /// Takes a live object back.
    fn free(&self, token: Self::Token);

    /// Returns what is free, with no thread at work.
    fn holes(&self) -> Holes;
}

/// What is free in a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holes {
    pub(super) free_bytes: u64,
    pub(super) largest_bytes: u64,
}

impl Shareable for SharedAllocator {
    type Token = Handle;

    fn new(pool_bytes: u64) -> Self {
        Self::new(pool_bytes).expect("pools are not empty")
    }

    #[inline]
    fn allocate(&self, size_bytes: u64) -> Option<Handle> {
        self.allocate(size_bytes).ok()
    }

    #[inline]
    fn free(&self, token: Handle) {
        drop(token);
    }

    fn holes(&self) -> Holes {
        let report = self.report();
        Holes {
            free_bytes: report.free_bytes,
            largest_bytes: report.largest_hole,
        }
    }
}

impl Shareable for Mutex<OffsetAllocator> {
    type Token = Allocation;

    fn new(pool_bytes: u64) -> Self {
        Self::new(OffsetAllocator::new(pool_bytes).expect("pools are not empty"))
    }

    #[inline]
    fn allocate(&self, size_bytes: u64) -> Option<Allocation> {
        locked(self).allocate(size_bytes).ok()
    }

    #[inline]
    fn free(&self, token: Allocation) {
        locked(self).free(token).expect("the token is live");
    }

    fn holes(&self) -> Holes {
        let report = locked(self).report();
        Holes {
            free_bytes: report.free_bytes,
            largest_bytes: report.largest_hole,
        }
    }
}

impl Shareable for SlotAllocator {
    type Token = SlotIndex;

    fn new(pool_bytes: u64) -> Self {
        Self::filling(..pool_bytes, SUCCESS_BYTES).expect("pools hold less than 2^32 slots")
    }

    #[inline]
    fn allocate(&self, size_bytes: u64) -> Option<SlotIndex> {
        debug_assert!(size_bytes <= SUCCESS_BYTES, "{size_bytes} B in a slot");
        self.allocate().ok()
    }

    #[inline]
    fn free(&self, token: SlotIndex) {
        self.free(token).expect("the slot is live");
    }

    fn holes(&self) -> Holes {
        let free_slots = u64::from(self.free_count());
        Holes {
            free_bytes: free_slots * SUCCESS_BYTES,
            largest_bytes: free_slots.min(1) * SUCCESS_BYTES,
        }
    }
}

/// What the crate's 32-bit numbers count, so that they reach over every pool. All requests but the
/// one that takes the pool to its high water, and those of random sizes, are multiples.
const UNIT_BYTES: u64 = 4 << 10;

impl Shareable for Mutex<Allocator> {
    type Token = ::offset_allocator::Allocation;

    fn new(pool_bytes: u64) -> Self {
        let units = u32::try_from(pool_bytes / UNIT_BYTES).expect("pools are below 16 TiB");
        // A node per unit is as many as there can be objects.
        Self::new(Allocator::with_max_allocs(units, units))
    }

    #[inline]
    fn allocate(&self, size_bytes: u64) -> Option<Self::Token> {
        let units = u32::try_from(size_bytes.div_ceil(UNIT_BYTES)).ok()?;
        locked(self).allocate(units)
    }

    #[inline]
    fn free(&self, token: Self::Token) {
        locked(self).free(token);
    }

    fn holes(&self) -> Holes {
        let report = locked(self).storage_report();
        Holes {
            free_bytes: u64::from(report.total_free_space) * UNIT_BYTES,
            largest_bytes: u64::from(report.largest_free_region) * UNIT_BYTES,
        }
    }
}

#[inline]
fn locked<T>(allocator: &Mutex<T>) -> MutexGuard<'_, T> {
    allocator.lock().expect("no thread panics with the lock")
}
