//! The crate `offset-allocator`, whose offsets and sizes are 32-bit, and the crate of this workspace
//! that has its interface.

use super::{Placement, Pool, Subject};

/// Nodes beyond one per object: the free space between and behind the objects needs some too.
const SPARE_NODES: u64 = 1_024;

/// The interface that both crates have.
pub(super) trait Units {
    type Allocation: Copy;

    fn with_max_allocs(size: u32, max_allocs: u32) -> Self;
    fn allocate(&mut self, size: u32) -> Option<Self::Allocation>;
    fn free(&mut self, allocation: Self::Allocation);
    fn offset(allocation: Self::Allocation) -> u32;
}

/// Implements [`Units`] by one text for both crates.
macro_rules! implement_units {
    ($($library:ident),*) => {$(
        impl Units for ::$library::Allocator<u32> {
            type Allocation = ::$library::Allocation<u32>;

            fn with_max_allocs(size: u32, max_allocs: u32) -> Self {
                Self::with_max_allocs(size, max_allocs)
            }

            #[inline]
            fn allocate(&mut self, size: u32) -> Option<Self::Allocation> {
                self.allocate(size)
            }

            #[inline]
            fn free(&mut self, allocation: Self::Allocation) {
                self.free(allocation);
            }

            #[inline]
            fn offset(allocation: Self::Allocation) -> u32 {
                allocation.offset
            }
        }
    )*};
}

implement_units!(offset_allocator, offset_compat);

/// The allocator over the smallest power-of-two unit in which the capacity fits 32 bits.
pub(super) struct Scaled<A> {
    allocator: A,
    unit_shift: u32,
}

/// The allocation and the requested size, which the crates do not hand back with it.
pub(super) struct Token<T> {
    allocation: T,
    size_bytes: u64,
}

impl<A: Units> Scaled<A> {
    pub(super) fn new(pool: &Pool) -> Self {
        let unit_shift = unit_shift(pool.capacity_bytes);
        let capacity_units = u32::try_from(pool.capacity_bytes >> unit_shift)
            .expect("the unit is chosen so that the capacity fits");
        let nodes = u32::try_from(pool.objects_max() + SPARE_NODES)
            .expect("the workloads keep fewer objects than 32 bits can count");
        Self {
            allocator: A::with_max_allocs(capacity_units, nodes),
            unit_shift,
        }
    }
}

impl<A: Units> Subject for Scaled<A> {
    type Token = Token<A::Allocation>;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<Self::Token> {
        let units = size_bytes.div_ceil(1 << self.unit_shift);
        let allocation = self.allocator.allocate(u32::try_from(units).ok()?)?;
        Some(Token {
            allocation,
            size_bytes,
        })
    }

    #[inline]
    fn free(&mut self, token: Self::Token) {
        self.allocator.free(token.allocation);
    }

    #[inline]
    fn placement(&self, token: &Self::Token) -> Placement {
        Placement {
            offset_bytes: u64::from(A::offset(token.allocation)) << self.unit_shift,
            size_bytes: token.size_bytes,
        }
    }
}

/// Returns the binary logarithm of the smallest power-of-two unit that lets the capacity fit.
fn unit_shift(capacity_bytes: u64) -> u32 {
    let bits = u64::BITS - capacity_bytes.leading_zeros();
    bits.saturating_sub(u32::BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_is_the_smallest_that_fits() {
        let table = [
            (1, 0),
            (1 << 31, 0),
            ((1 << 32) - 1, 0),
            (1 << 32, 1),
            (1 << 40, 9),
        ];
        for (capacity_bytes, shift) in table {
            assert_eq!(
                unit_shift(capacity_bytes),
                shift,
                "capacity {capacity_bytes}"
            );
        }
    }
}
