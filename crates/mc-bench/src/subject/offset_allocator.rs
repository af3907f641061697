//! The crate `offset-allocator`, whose offsets and sizes are 32-bit.

use ::offset_allocator::{Allocation, Allocator};

use super::{Placement, Pool, Subject};

/// Nodes beyond one per object: the free space between and behind the objects needs some too.
const SPARE_NODES: u64 = 1_024;

/// The allocator over the smallest power-of-two unit in which the capacity fits 32 bits.
pub(super) struct Scaled {
    allocator: Allocator<u32>,
    unit_shift: u32,
}

/// The allocation and the requested size, which the crate does not keep.
pub(super) struct Token {
    allocation: Allocation<u32>,
    size_bytes: u64,
}

impl Scaled {
    pub(super) fn new(pool: &Pool) -> Self {
        let unit_shift = unit_shift(pool.capacity_bytes);
        let capacity_units = u32::try_from(pool.capacity_bytes >> unit_shift)
            .expect("the unit is chosen so that the capacity fits");
        let nodes = u32::try_from(pool.objects_max() + SPARE_NODES)
            .expect("the workloads keep fewer objects than 32 bits can count");
        Self {
            allocator: Allocator::with_max_allocs(capacity_units, nodes),
            unit_shift,
        }
    }
}

impl Subject for Scaled {
    type Token = Token;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<Token> {
        let units = size_bytes.div_ceil(1 << self.unit_shift);
        let allocation = self.allocator.allocate(u32::try_from(units).ok()?)?;
        Some(Token {
            allocation,
            size_bytes,
        })
    }

    #[inline]
    fn free(&mut self, token: Token) {
        self.allocator.free(token.allocation);
    }

    #[inline]
    fn placement(&self, token: &Token) -> Placement {
        Placement {
            offset_bytes: u64::from(token.allocation.offset) << self.unit_shift,
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
