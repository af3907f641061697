//! What to evict from a segment so that a hole appears.

use mc_offset::{Allocation, OffsetAllocator, Window};
use serde::Serialize;

use super::SegmentPool;
use crate::{
    buffer::PlacedBuffer, chunk::Chunk, descriptor::Extent, id::SegmentId, mounted::Mounted,
};

/// A stretch of a segment that becomes one hole when the buffers in it are
/// dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvictionWindow {
    /// The segment.
    pub segment: SegmentId,
    /// Address of the hole that results.
    pub address: u64,
    /// Bytes of the hole that results.
    pub size: u64,
    /// Sum of the costs of the victims.
    pub cost: u128,
    /// The pieces of buffers to drop, in address order; none if a hole fits
    /// already.
    pub victims: Vec<Extent>,
}

impl SegmentPool {
    /// Returns the window of a segment whose eviction makes room for `size`
    /// bytes at a multiple of `align`, a power of two, at the least total cost.
    ///
    /// `cost` tells what evicting the buffer with a piece at an address and of
    /// a size costs; `None` pins it. The segment is locked meanwhile, so `cost`
    /// must neither place nor drop buffers. Takes time linear in the pieces and
    /// holes of the segment.
    ///
    /// Returns `None` if the segment is not mounted, or too small, or its base
    /// not so aligned, or if what is pinned leaves no such window.
    pub fn cheapest_window(
        &self,
        id: SegmentId,
        size: u64,
        align: u64,
        mut cost: impl FnMut(u64, u64) -> Option<u64>,
    ) -> Option<EvictionWindow> {
        let mounted = self.mounted(id)?;
        let windows = mounted.chunks().iter().filter_map(|chunk| {
            search(&mounted, chunk, align, |core| {
                core.cheapest_window(size, align, |block| cost_of(chunk, block, &mut cost))
            })
        });
        windows.min_by_key(|window| (window.cost, window.address))
    }

    /// As [`cheapest_window`](Self::cheapest_window) among the windows that
    /// contain or touch a piece of one of `near`, such as the buffers that
    /// were least recently used; those in other segments are passed over.
    ///
    /// Looks only at what lies within `size + align` bytes of them.
    pub fn cheapest_window_near<'a>(
        &self,
        id: SegmentId,
        near: impl IntoIterator<Item = &'a PlacedBuffer>,
        size: u64,
        align: u64,
        mut cost: impl FnMut(u64, u64) -> Option<u64>,
    ) -> Option<EvictionWindow> {
        let mounted = self.mounted(id)?;
        let is_inside =
            |buffer: &&PlacedBuffer| std::ptr::eq(buffer.mounted(), &raw const *mounted);
        let near = near.into_iter().filter(is_inside);
        let mut candidates: Vec<(usize, Allocation)> = near
            .flat_map(|buffer| {
                let pieces = buffer.pieces().iter();
                pieces.map(|piece| (buffer.chunk(), piece.allocation()))
            })
            .collect();
        candidates.sort_by_key(|&(chunk, _)| chunk);
        let groups = candidates.chunk_by(|(a, _), (b, _)| a == b);
        let windows = groups.filter_map(|group| {
            let chunk = &mounted.chunks()[group[0].0];
            let blocks = group.iter().map(|&(_, block)| block);
            search(&mounted, chunk, align, |core| {
                let cost = |block: &Allocation| cost_of(chunk, block, &mut cost);
                core.cheapest_window_near(blocks, size, align, cost)
            })
        });
        windows.min_by_key(|window| (window.cost, window.address))
    }
}

fn cost_of(
    chunk: &Chunk,
    block: &Allocation,
    cost: &mut impl FnMut(u64, u64) -> Option<u64>,
) -> Option<u64> {
    cost(chunk.base + block.offset(), block.size())
}

/// Searches one chunk, if its base allows addresses of the alignment.
fn search(
    mounted: &Mounted,
    chunk: &Chunk,
    align: u64,
    search: impl FnOnce(&OffsetAllocator) -> Option<Window>,
) -> Option<EvictionWindow> {
    if !align.is_power_of_two() || !chunk.base.is_multiple_of(align) {
        return None;
    }
    let window = chunk.allocator.inspect(search)?;
    let victim = |block: &Allocation| Extent {
        address: chunk.base + block.offset(),
        size: block.size(),
    };
    Some(EvictionWindow {
        segment: mounted.info().id,
        address: chunk.base + window.offset,
        size: window.size,
        cost: window.cost,
        victims: window.victims.iter().map(victim).collect(),
    })
}
