//! The offset allocator under one fit.

use std::marker::PhantomData;

use mc_offset::{Allocation, CompactAllocation, Fit, OffsetAllocator, Options};

use super::{Placement, Pool, Subject};

/// The allocator, and what is kept of an allocation.
pub(super) struct Offset<K> {
    allocator: OffsetAllocator,
    kept: PhantomData<K>,
}

/// What a store keeps of an allocation.
pub(super) trait Kept: Copy {
    fn keep(allocation: Allocation) -> Self;
    fn expand(self, allocator: &OffsetAllocator) -> Allocation;
}

impl Kept for Allocation {
    #[inline]
    fn keep(allocation: Allocation) -> Self {
        allocation
    }

    #[inline]
    fn expand(self, _: &OffsetAllocator) -> Allocation {
        self
    }
}

impl Kept for CompactAllocation {
    #[inline]
    fn keep(allocation: Allocation) -> Self {
        allocation.compact().expect("the pool is small enough")
    }

    #[inline]
    fn expand(self, allocator: &OffsetAllocator) -> Allocation {
        allocator.expand(self).expect("the token is live")
    }
}

impl<K> Offset<K> {
    pub(super) fn new(pool: &Pool, fit: Fit) -> Self {
        let options = Options {
            fit,
            ..Options::new(pool.capacity_bytes)
        };
        Self {
            allocator: OffsetAllocator::with_options(options).expect("pools are not empty"),
            kept: PhantomData,
        }
    }
}

impl<K: Kept> Subject for Offset<K> {
    type Token = K;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<K> {
        self.allocator.allocate(size_bytes).ok().map(K::keep)
    }

    #[inline]
    fn free(&mut self, token: K) {
        let allocation = token.expand(&self.allocator);
        self.allocator.free(allocation).expect("the token is live");
    }

    #[inline]
    fn placement(&self, token: &K) -> Placement {
        placement_of(token.expand(&self.allocator))
    }

    fn visit(&self, each: &mut dyn FnMut(Placement)) -> bool {
        self.allocator
            .allocations()
            .for_each(|live| each(placement_of(live)));
        true
    }
}

#[inline]
fn placement_of(allocation: Allocation) -> Placement {
    Placement {
        offset_bytes: allocation.offset(),
        size_bytes: allocation.size(),
    }
}
