//! A small store of KV-cache objects: keep it full, evict a cheap window, look at it, restart it.
//!
//! `cargo run --package mc-offset --example object_store`

use std::{collections::VecDeque, error::Error};

use mc_offset::{AllocError, Allocation, OffsetAllocator, Snapshot};

const SEGMENT_BYTES: u64 = 64 << 20;
/// A page of keys and values, and the page of the index that belongs to it.
const PAGE_BYTES: u64 = 3_274_752;
const INDEX_BYTES: u64 = 658_432;
/// Prefixes of one to five pages are stored in one piece.
const PAGES_MAX: u64 = 5;

#[expect(clippy::print_stdout, reason = "an example shows what it found")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut segment = OffsetAllocator::new(SEGMENT_BYTES)?;
    // The oldest object comes first.
    let mut live: VecDeque<Allocation> = VecDeque::new();

    // The allocator says where an object goes; writing it there is the store's affair.
    for object in 0..200 {
        let size = match object % 3 {
            0 => INDEX_BYTES,
            _ => PAGE_BYTES * (1 + object % PAGES_MAX),
        };
        let placed = loop {
            match segment.allocate(size) {
                Ok(placed) => break placed,
                Err(AllocError::NoHole { .. }) => evict_for(&mut segment, &mut live, size)?,
                Err(error) => return Err(error.into()),
            }
        };
        live.push_back(placed);
    }
    println!("{}\n", segment.report());
    println!("{}\n", segment.histogram());
    println!("{}\n", segment.text_map(72));

    // After a restart every object is where it was, under a new token.
    let bytes = segment.snapshot().encode();
    let (restored, tokens) = Snapshot::decode(&bytes)?.restore()?;
    assert!(restored.holes().eq(segment.holes()));
    println!(
        "restored {} objects from {} bytes",
        tokens.len(),
        bytes.len()
    );
    Ok(())
}

/// Frees the neighbors whose eviction makes room for `size` bytes at the least cost: an object
/// costs the more the younger it is.
fn evict_for(
    segment: &mut OffsetAllocator,
    live: &mut VecDeque<Allocation>,
    size: u64,
) -> Result<(), Box<dyn Error>> {
    let rank = |block: &Allocation| live.iter().position(|other| other == block);
    let cost = |block: &Allocation| rank(block).map(|rank| rank as u64 + 1);
    let window = segment
        .cheapest_window(size, 1, cost)
        .ok_or("the object is larger than the segment")?;
    for victim in window.victims {
        segment.free(victim)?;
        live.retain(|block| *block != victim);
    }
    Ok(())
}
