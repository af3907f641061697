//! What a shared allocator can be asked.

use alloc::vec::Vec;

use super::SharedAllocator;
use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    hole_plan::{BlockCost, HoleOptions, HolePlan},
    options::Options,
    report::Report,
    sync::Ordering,
    window::Window,
};

impl SharedAllocator {
    /// Returns the options in force.
    pub fn options(&self) -> Options {
        *self.core.lock().allocator().options()
    }

    /// Returns the bytes that a request of `size` takes from the holes, as
    /// [`OffsetAllocator::charged_size`].
    pub fn charged_size(&self, size: u64) -> Option<u64> {
        self.core.lock().allocator().charged_size(size)
    }

    /// Returns the bytes of the address range.
    pub fn capacity(&self) -> u64 {
        self.core.capacity()
    }

    /// Returns the address at which the range begins.
    pub fn base(&self) -> u64 {
        self.core.base()
    }

    /// Returns the bytes of the largest hole, all freed blocks merged.
    ///
    /// Takes the lock; see
    /// [`largest_hole_bound`](Self::largest_hole_bound) and
    /// [`recent_largest_hole`](Self::recent_largest_hole) for answers without.
    pub fn largest_hole(&self) -> u64 {
        self.merged(OffsetAllocator::largest_hole)
    }

    /// Returns the free bytes, in holes and in blocks that threads keep back.
    pub fn free_bytes(&self) -> u64 {
        self.merged(OffsetAllocator::free_bytes)
    }

    /// Returns a number of bytes that no request can exceed and succeed.
    ///
    /// Takes no lock while no thread keeps freed blocks back; otherwise it
    /// merges those first.
    pub fn largest_hole_bound(&self) -> u64 {
        match self.bound_of_all() {
            Some(bound) => bound,
            None => self.largest_hole(),
        }
    }

    /// Returns the bytes of the largest hole as the last thread to change the
    /// holes left it, or somewhat more; freed blocks that threads keep back are
    /// not in it. Reads one number: for choosing among allocators.
    #[inline]
    pub fn recent_largest_hole(&self) -> u64 {
        self.core.largest_bound.load(Ordering::Relaxed)
    }

    /// Returns the free bytes as the last thread to change the holes left
    /// them; freed blocks that threads keep back are not in it. Reads one
    /// number.
    #[inline]
    pub fn recent_free_bytes(&self) -> u64 {
        self.core.free_bytes.load(Ordering::Relaxed)
    }

    /// Returns the sums of one moment, all freed blocks merged.
    pub fn report(&self) -> Report {
        self.merged(OffsetAllocator::report)
    }

    /// Returns the window whose eviction makes room at the least cost: see
    /// [`OffsetAllocator::cheapest_window`], and
    /// [`free_victims`](Self::free_victims) for what to do with it.
    ///
    /// `cost` runs under the lock: see [`inspect`](Self::inspect).
    ///
    /// # Panics
    ///
    /// As [`inspect`](Self::inspect).
    pub fn cheapest_window(
        &self,
        size: u64,
        align: u64,
        cost: impl FnMut(&Allocation) -> Option<u64>,
    ) -> Option<Window> {
        self.inspect(|allocator| allocator.cheapest_window(size, align, cost))
    }

    /// As [`cheapest_window`](Self::cheapest_window) among the windows that
    /// contain or touch one of `candidates`: see
    /// [`OffsetAllocator::cheapest_window_near`]. They are listed before anything is
    /// locked.
    ///
    /// # Panics
    ///
    /// As [`inspect`](Self::inspect).
    pub fn cheapest_window_near(
        &self,
        candidates: impl IntoIterator<Item = Allocation>,
        size: u64,
        align: u64,
        cost: impl FnMut(&Allocation) -> Option<u64>,
    ) -> Option<Window> {
        let candidates: Vec<Allocation> = candidates.into_iter().collect();
        self.inspect(|allocator| allocator.cheapest_window_near(candidates, size, align, cost))
    }

    /// Plans how to make a hole by moving and evicting: see
    /// [`OffsetAllocator::plan_hole`]. The plan is of one moment; a step that
    /// another thread was faster than fails when it is taken.
    ///
    /// `block_cost` runs under the lock: see [`inspect`](Self::inspect).
    ///
    /// # Panics
    ///
    /// As [`inspect`](Self::inspect).
    pub fn plan_hole(
        &self,
        options: &HoleOptions,
        block_cost: impl FnMut(&Allocation) -> BlockCost,
    ) -> Option<HolePlan> {
        self.inspect(|allocator| allocator.plan_hole(options, block_cost))
    }

    /// Returns the allocations that a plan weighs: see
    /// [`OffsetAllocator::weighed_for_plan`].
    pub fn weighed_for_plan(
        &self,
        options: &HoleOptions,
        spares: &[Allocation],
    ) -> Vec<Allocation> {
        self.inspect(|allocator| allocator.weighed_for_plan(options, spares))
    }

    /// As [`plan_hole`](Self::plan_hole), where some allocations may
    /// make room wherever they are: see [`OffsetAllocator::plan_hole_with_spares`].
    ///
    /// # Panics
    ///
    /// As [`inspect`](Self::inspect).
    pub fn plan_hole_with_spares(
        &self,
        options: &HoleOptions,
        spares: &[Allocation],
        block_cost: impl FnMut(&Allocation) -> BlockCost,
    ) -> Option<HolePlan> {
        self.inspect(|allocator| allocator.plan_hole_with_spares(options, spares, block_cost))
    }

    /// Calls `inspect` with the allocator locked and all freed blocks merged:
    /// for queries that no other method answers. Other threads wait meanwhile.
    ///
    /// Handles that `inspect` drops are freed when it has returned. It must not
    /// wait for a thread that uses the same allocator.
    ///
    /// # Panics
    ///
    /// If `inspect` itself allocates from the same allocator or asks it
    /// anything, rather than the one that it is given. The allocator is as it
    /// was then, and unlocked.
    pub fn inspect<R>(&self, inspect: impl FnOnce(&OffsetAllocator) -> R) -> R {
        let mut state = self.core.lock();
        while self.core.reclaim(&mut state) {}
        self.core.call(&mut state, inspect)
    }

    /// Returns what a method of the allocator says, all freed blocks merged.
    pub(super) fn merged<R>(&self, ask: fn(&OffsetAllocator) -> R) -> R {
        let mut state = self.core.lock();
        while self.core.reclaim(&mut state) {}
        ask(state.allocator())
    }
}
