//! What all threads share: the allocator behind its lock, and the words that
//! refusals read without it.

use alloc::{sync::Arc, vec::Vec};
use core::mem;
use std::sync::{PoisonError, TryLockError};

use super::{
    MAGAZINE_COUNT,
    flags::Flags,
    frame_id::FrameId,
    held::Held,
    magazine::{Magazines, Put},
    seat,
    state::State,
    thread::{thread_address, thread_number},
};
use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::FreeError,
    sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering},
};

/// What is said when an allocator waits for itself.
const NESTED: &str = "an allocator was used from a callback that runs under its own lock; \
    ask the allocator that the callback was given, and allocate when it has returned";

/// The shared side of an allocator.
pub(super) struct Core {
    pub(super) id: FrameId,
    /// Guards the tables. Nothing is waited for while it is held but the
    /// thread that occupies a magazine, which waits for nothing. The most work
    /// done under it is that of one operation of the allocator, or as many as
    /// there are blocks in magazines, or a callback.
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
    /// Whether the number of live allocations has a limit; `Relaxed` as above.
    pub(super) is_limited: AtomicBool,
    /// Address of its first byte. Nothing is read because of it: hence
    /// `Relaxed`.
    base: AtomicU64,
    /// Whether more may be asked for. Nothing is read because of it: hence
    /// `Relaxed`.
    is_open: AtomicBool,
    /// The thread that runs a callback under the lock, by an address of its
    /// own, or 0. Only a thread that reads its own address acts on it, which
    /// it has written itself: hence `Relaxed`.
    caller: AtomicUsize,
    /// Blocks that a callback dropped the handles of. Locked by the thread
    /// that runs the callback only.
    dropped: Mutex<Vec<Allocation>>,
}

impl Core {
    /// Returns a core without an allocator.
    pub(super) fn new(id: FrameId) -> Self {
        Self {
            id,
            largest_bound: AtomicU64::new(0),
            free_bytes: AtomicU64::new(0),
            flags: Flags::new(),
            capacity: AtomicU64::new(0),
            is_limited: AtomicBool::new(false),
            base: AtomicU64::new(0),
            is_open: AtomicBool::new(false),
            caller: AtomicUsize::new(0),
            dropped: Mutex::new(Vec::new()),
            state: Mutex::new(State::IDLE),
        }
    }

    /// Takes an allocator in, where there is none, and returns its magazines.
    pub(super) fn open(&'static self, allocator: OffsetAllocator) -> Arc<Magazines> {
        let magazines = Arc::new(Magazines::new(&self.flags));
        let mut state = self.lock();
        *state = State::open(allocator, Arc::clone(&magazines));
        self.set_capacity(state.allocator().capacity());
        self.set_base(0);
        let limit = state.allocator().options().max_allocations;
        self.is_limited.store(limit.is_some(), Ordering::Relaxed);
        self.is_open.store(true, Ordering::Relaxed);
        self.publish(state.allocator());
        magazines
    }

    /// Takes note that nothing but handles is left of the allocator: what
    /// magazines hold goes to it, and what is freed from here on.
    pub(super) fn close(&self, state: &mut State) {
        let magazines = state.close();
        for magazine in magazines.iter().flat_map(|magazines| magazines.iter()) {
            let drain = magazine.drain();
            for block in drain.blocks() {
                settle_free(state.allocator().free(block));
            }
            drain.finish_for_good();
        }
        self.is_open.store(false, Ordering::Relaxed);
    }

    /// Makes the core of a closed allocator idle if no handle is left.
    #[cold]
    pub(super) fn retire(&'static self, state: &mut State) {
        if state.is_closing() && !state.has_handles() {
            state.clear();
            put_idle(self);
        }
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

    /// Takes note of the bytes of the range; the caller has the lock.
    pub(super) fn set_capacity(&self, capacity: u64) {
        self.capacity.store(capacity, Ordering::Relaxed);
    }

    /// Returns the address of the first byte of the range.
    #[inline]
    pub(super) fn base(&self) -> u64 {
        self.base.load(Ordering::Relaxed)
    }

    pub(super) fn set_base(&self, base: u64) {
        self.base.store(base, Ordering::Relaxed);
    }

    /// Takes the lock.
    ///
    /// # Panics
    ///
    /// If the thread runs a callback under it.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.lock_unless_called().expect(NESTED)
    }

    /// Takes the lock, or returns `None` if the thread runs a callback under
    /// it.
    #[inline]
    pub(super) fn lock_unless_called(&self) -> Option<MutexGuard<'_, State>> {
        match self.try_lock() {
            Some(state) => Some(state),
            None => self.lock_or_notice(),
        }
    }

    /// Takes the lock if it is free.
    ///
    /// What panics under it is a callback, or the allocator where it finds
    /// itself corrupted, whose checks go on refusing then; so poison is no
    /// error.
    #[inline]
    fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Takes a lock that is held, or returns `None` if the thread itself holds
    /// it.
    #[cold]
    fn lock_or_notice(&self) -> Option<MutexGuard<'_, State>> {
        if self.caller.load(Ordering::Relaxed) == thread_address() {
            return None;
        }
        Some(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the thread's magazine keep blocks of a size; what it kept in
    /// their place is freed while the lock and the magazine are both held, so
    /// that it is findable at any time.
    #[cold]
    pub(super) fn adopt(&self, state: &mut State, magazines: &Magazines, size: u64) {
        let own = thread_number() % MAGAZINE_COUNT;
        state.note_in_use(own);
        magazines.get(own).adopt(size, |blocks| {
            for block in blocks {
                settle_free(state.allocator().free(block));
            }
            // The bound covers the blocks before the magazine says they are gone.
            self.publish(state.allocator());
        });
    }

    /// Runs a callback under the lock that the caller holds. Should it drop
    /// handles, their blocks are freed when it has returned.
    pub(super) fn call<R>(
        &'static self,
        state: &mut State,
        callback: impl FnOnce(&OffsetAllocator) -> R,
    ) -> R {
        let call = Call { core: self, state };
        self.caller.store(thread_address(), Ordering::Relaxed);
        callback(call.state.allocator_ref())
    }

    /// Frees the block of a handle.
    // Never: see `seat::put`.
    #[inline(never)]
    pub(super) fn free(&'static self, handle: &Held) {
        let block = handle.allocation();
        let Some(mut state) = self.lock_unless_called() else {
            return self.free_later(block);
        };
        if self.flags.is_keeping() {
            if state.is_of_own(block.size()) {
                return self.keep(&mut state, handle);
            }
            if state.is_of_another(block.size()) {
                return self.adopt_and_keep(&mut state, handle);
            }
        }
        let allocator = state.allocator();
        settle_free(allocator.park_or_merge(block));
        self.publish(allocator);
        if state.is_closing() {
            self.retire(&mut state);
        }
    }

    /// Keeps a block that has a shelf in the thread's magazine. If another
    /// allocator had the thread's seat, that must decide nothing.
    #[cold]
    fn keep(&'static self, state: &mut State, handle: &Held) {
        let magazines = Arc::clone(state.magazines());
        seat::sit_down(self.id, &magazines);
        match magazines.get(thread_number()).put(handle.allocation()) {
            Put::Kept => {}
            Put::Full => self.spill_locked(state, &magazines, handle),
            Put::Declined => {
                settle_free(state.allocator().free(handle.allocation()));
                self.publish(state.allocator());
            }
        }
    }

    /// Makes the thread's magazine one for the size of a block that it frees,
    /// as another thread's is already: that one allocates what this one frees.
    #[cold]
    fn adopt_and_keep(&'static self, state: &mut State, handle: &Held) {
        let magazines = Arc::clone(state.magazines());
        self.adopt(state, &magazines, handle.size());
        self.keep(state, handle);
    }

    /// Frees a block of a full shelf, and others that were on it.
    #[cold]
    pub(super) fn spill(&'static self, handle: &Held) {
        let Some(mut state) = self.try_lock() else {
            // Another thread may do the same meanwhile, which costs less than
            // to wait for it.
            return self.free(handle);
        };
        if state.is_closing() {
            drop(state);
            return self.free(handle);
        }
        let magazines = Arc::clone(state.magazines());
        self.spill_locked(&mut state, &magazines, handle);
    }

    fn spill_locked(&self, state: &mut State, magazines: &Magazines, handle: &Held) {
        let allocator = state.allocator();
        let magazine = magazines.get(thread_number());
        magazine.spill(handle.allocation(), |block| {
            settle_free(allocator.free(block));
        });
        // That blocks are left over does not mean that sizes cease to repeat, but
        // where most are, they keep tables from being given back.
        let is_winding_up = state.is_winding_up();
        if is_winding_up {
            self.reclaim(state);
        }
        let allocator = state.allocator();
        allocator.space_mut().set_sizes_repeat(!is_winding_up);
        self.publish(allocator);
    }

    /// Empties the magazines that may hold blocks into the locked allocator;
    /// returns whether there were any such.
    ///
    /// `false` means that at that moment no block was kept back: the lock
    /// keeps the allocator as it was when it failed, and the flags were clear.
    #[cold]
    pub(super) fn reclaim(&self, state: &mut State) -> bool {
        let raised = self.flags.snapshot();
        let magazines = Arc::clone(state.magazines());
        for magazine in raised.raised().map(|number| magazines.get(number)) {
            let drain = magazine.drain();
            for block in drain.blocks() {
                settle_free(state.allocator().free(block));
            }
            // The bound covers the blocks before the flag says they are gone.
            self.publish(state.allocator());
            drain.finish();
        }
        !raised.is_clear()
    }

    /// Leaves a block to the end of the callback that is running.
    #[cold]
    fn free_later(&self, block: Allocation) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        // Without heap for the list the bytes stay charged, as where a block
        // is freed without heap for its hole.
        if dropped.try_reserve(1).is_ok() {
            dropped.push(block);
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
        self.flags.set_keeping(allocator.space().sizes_repeat());
    }
}

/// Cores that no handle refers to.
#[cfg(not(loom))]
static IDLE: Mutex<Vec<&'static Core>> = Mutex::new(Vec::new());

/// Returns a core that has served an allocator and is free, if there is one.
#[cfg(not(loom))]
pub(super) fn take_idle() -> Option<&'static Core> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let core = idle.pop();
    if idle.len() < idle.capacity() / 4 {
        let kept = 2 * idle.len();
        idle.shrink_to(kept);
    }
    core
}

#[cfg(not(loom))]
fn put_idle(core: &'static Core) {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    // Without room in the list the core is lost, which is what it would be
    // without a list.
    if idle.try_reserve(1).is_ok() {
        idle.push(core);
    }
}

/// What one execution of a model leaves is of no use to the next.
#[cfg(loom)]
pub(super) fn take_idle() -> Option<&'static Core> {
    None
}

#[cfg(loom)]
fn put_idle(_: &'static Core) {}

/// A callback that runs under the lock. Ends with it, be it by a panic.
struct Call<'a> {
    core: &'static Core,
    state: &'a mut State,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.core.caller.store(0, Ordering::Relaxed);
        let dropped = &self.core.dropped;
        let blocks = mem::take(&mut *dropped.lock().unwrap_or_else(PoisonError::into_inner));
        for block in blocks {
            settle_free(self.state.allocator().free(block));
        }
        self.core.publish(self.state.allocator());
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
