//! What all threads share: the allocator behind its lock, and the words that
//! refusals read without it.

use std::sync::PoisonError;

use super::{flags::Flags, frame::Frame, handle::Handle};
use crate::{
    allocator::OffsetAllocator,
    error::{AllocError, FreeError, PlaceError},
    sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering},
};

/// What the lock guards.
pub(super) struct State {
    pub(super) allocator: OffsetAllocator,
    /// Live allocations whose handle was given up for a token.
    pub(super) loose: u32,
    /// The frame around all this, once nothing but handles is left.
    pub(super) closing: Option<Frame>,
}

impl State {
    const fn new(allocator: OffsetAllocator) -> Self {
        Self {
            allocator,
            loose: 0,
            closing: None,
        }
    }

    /// Returns whether an allocation is a handle's, or was when the heap could
    /// not hold what freeing it takes.
    pub(super) fn has_handles(&self) -> bool {
        self.allocator.allocation_count() != self.loose
    }
}

/// The shared side of an allocator.
pub(super) struct Core {
    state: Mutex<State>,
    /// No hole is larger than this. Stored under the lock after
    /// every change, with `Release`; read by refusals with `Acquire`, so that
    /// what they read next is not older.
    pub(super) largest_bound: AtomicU64,
    /// Free bytes, for choosing among allocators and the text of a refusal
    /// only: hence `Relaxed`.
    pub(super) free_bytes: AtomicU64,
    pub(super) flags: Flags,
    /// Bytes of the address range.
    capacity: AtomicU64,
    /// Address of its first byte. Nothing is read because of it: hence
    /// `Relaxed`.
    base: AtomicU64,
    /// Whether more may be asked for. Nothing is read because of it: hence
    /// `Relaxed`.
    is_open: AtomicBool,
    /// Whether requests use up whole holes, so that magazines are worth a look.
    /// Stored under the lock; a thread that reads an older value goes to the
    /// lock once more or looks in vain: hence `Relaxed`.
    sizes_repeat: AtomicBool,
}

impl Core {
    pub(super) fn new(allocator: OffsetAllocator) -> Self {
        Self {
            largest_bound: AtomicU64::new(allocator.largest_hole()),
            free_bytes: AtomicU64::new(allocator.free_bytes()),
            flags: Flags::new(),
            capacity: AtomicU64::new(allocator.capacity()),
            base: AtomicU64::new(0),
            is_open: AtomicBool::new(true),
            sizes_repeat: AtomicBool::new(allocator.space().sizes_repeat()),
            state: Mutex::new(State::new(allocator)),
        }
    }

    /// Takes another allocator in, after the one before has been closed.
    pub(super) fn open(&self, allocator: OffsetAllocator) {
        let mut state = self.lock();
        *state = State::new(allocator);
        self.capacity
            .store(state.allocator.capacity(), Ordering::Relaxed);
        self.set_base(0);
        self.is_open.store(true, Ordering::Relaxed);
        self.publish(&mut state.allocator);
    }

    /// Takes note that nothing but handles is left of the allocator.
    pub(super) fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Returns the bytes of the address range.
    #[inline]
    pub(super) fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Returns the address of the first byte of the range.
    #[inline]
    pub(super) fn base(&self) -> u64 {
        self.base.load(Ordering::Relaxed)
    }

    pub(super) fn set_base(&self, base: u64) {
        self.base.store(base, Ordering::Relaxed);
    }

    /// Takes the lock. The allocator panics only where it finds itself
    /// corrupted, and its checks go on refusing then; so poison is no error.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether magazines are worth a look.
    #[inline]
    pub(super) fn sizes_repeat(&self) -> bool {
        self.sizes_repeat.load(Ordering::Relaxed)
    }

    /// Runs an operation under the lock and publishes what it changed.
    // Always: what the operation returns is not copied through memory then.
    #[inline(always)]
    pub(super) fn locked<R>(&self, operate: impl FnOnce(&mut OffsetAllocator) -> R) -> R {
        let mut state = self.lock();
        let result = operate(&mut state.allocator);
        self.publish(&mut state.allocator);
        result
    }

    /// Frees the block of a handle.
    // Never: see `Home::keep`.
    #[inline(never)]
    pub(super) fn free(&self, handle: &Handle) {
        let block = handle.allocation();
        let mut state = self.lock();
        settle_free(state.allocator.park_or_merge(block));
        self.publish(&mut state.allocator);
        if state.closing.is_some() {
            Frame::retire(&mut state);
        }
    }

    /// Tells refusals what the locked allocator has.
    #[inline]
    pub(super) fn publish(&self, allocator: &mut OffsetAllocator) {
        allocator.space_mut().tighten_bound_at_once();
        self.largest_bound
            .store(allocator.largest_bound(), Ordering::Release);
        self.free_bytes
            .store(allocator.free_bytes(), Ordering::Relaxed);
        // Seldom: a lock that is released waits for every store before it.
        let sizes_repeat = allocator.space().sizes_repeat();
        if self.sizes_repeat() != sizes_repeat {
            self.sizes_repeat.store(sizes_repeat, Ordering::Relaxed);
        }
    }
}

/// What a refusal says about the blocks that threads keep back.
pub(super) trait Exhaustion {
    /// Returns whether freed blocks in the core would have helped.
    fn is_exhaustion(&self) -> bool;
}

impl Exhaustion for AllocError {
    #[inline]
    fn is_exhaustion(&self) -> bool {
        matches!(
            self,
            Self::NoHole { .. } | Self::LimitReached { .. } | Self::OutOfMemory
        )
    }
}

impl Exhaustion for PlaceError {
    fn is_exhaustion(&self) -> bool {
        match self {
            Self::Occupied { .. } => true,
            Self::Refused(error) => error.is_exhaustion(),
            Self::OffGranule { .. } | Self::OutOfRange { .. } => false,
        }
    }
}

/// Takes note of the outcome of freeing a block that a handle owned.
///
/// The one possible error is a heap without room for a hole's record: the
/// bytes then stay charged, which loses space but never gives it twice.
#[inline]
pub(super) fn settle_free(freed: Result<(), FreeError>) {
    debug_assert!(
        !matches!(freed, Err(FreeError::NotLive { .. })),
        "a handle was freed twice"
    );
}

#[cfg(all(test, debug_assertions, not(loom)))]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a handle was freed twice")]
    fn a_handle_that_is_freed_twice_is_noticed() {
        let mut allocator = OffsetAllocator::new(1000).unwrap();
        let token = allocator.allocate(10).unwrap();
        for _ in 0..2 {
            settle_free(allocator.free(token));
        }
    }
}
