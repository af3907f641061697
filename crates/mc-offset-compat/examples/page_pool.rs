//! A pool of cache pages as a program keeps one that was written against the
//! crate `offset-allocator` 0.2.
//!
//! `cargo run --package mc-offset-compat --example page_pool`

use std::collections::VecDeque;

use offset_allocator::{Allocation, Allocator, StorageReport};

/// Bytes of a unit; offsets and sizes count units.
const UNIT_BYTES: u32 = 256;

/// Units of the pool: 1 GiB.
const POOL_UNITS: u32 = (1 << 30) / UNIT_BYTES;

/// Pages and their indices in units, one rounded up from 3,274,752 bytes, the
/// other from 658,432.
const SIZES_UNITS: [u32; 2] = [12_792, 2_572];

struct Pool {
    allocator: Allocator,
    /// The oldest first.
    live: VecDeque<Allocation>,
    evicted: u32,
}

impl Pool {
    fn store(&mut self, units: u32) -> u32 {
        loop {
            if let Some(block) = self.allocator.allocate(units) {
                self.live.push_back(block);
                return block.offset;
            }
            let oldest = self
                .live
                .pop_front()
                .expect("an empty pool holds the object");
            self.allocator.free(oldest);
            self.evicted += 1;
        }
    }

    fn live_units(&self) -> u32 {
        let sizes = self
            .live
            .iter()
            .map(|&block| self.allocator.allocation_size(block));
        sizes.sum()
    }
}

#[expect(clippy::print_stdout, reason = "an example shows what it found")]
fn main() {
    let mut pool = Pool {
        allocator: Allocator::with_max_allocs(POOL_UNITS, 10_000),
        live: VecDeque::new(),
        evicted: 0,
    };
    let mut last = 0;
    for round in 0..2_000 {
        let count = 1 + round * 7 % 16;
        for units in SIZES_UNITS {
            for _ in 0..count {
                last = pool.store(units);
            }
        }
    }
    println!("objects    {}", pool.live.len());
    println!("evicted    {}", pool.evicted);
    println!("last at    {last}");
    println!("live units {}", pool.live_units());
    let StorageReport {
        total_free_space,
        largest_free_region,
    } = pool.allocator.storage_report();
    println!("free units {total_free_space}, {largest_free_region} of them in one place");
    let regions = pool.allocator.storage_report_full().free_regions;
    for region in regions.iter().filter(|region| region.count > 0) {
        println!(
            "{:>10} x {} units or a little more",
            region.count, region.size
        );
    }
    pool.allocator.reset();
}
