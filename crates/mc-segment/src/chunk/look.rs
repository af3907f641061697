//! Bounded looks at the blocks of a chunk, copied out under its lock.

use std::ops::Range;

use mc_offset::{Allocation, Handle, Neighbor, OffsetAllocator};
use smallvec::SmallVec;

use super::Chunk;
use crate::{block::Block, descriptor::Extent};

/// Allocations that a cursor goes on from. All would have to be freed between
/// two pages for the next one to begin at the start of its registration.
const ANCHORS: usize = 4;

/// Blocks that a page passes over beyond those that it returns, so that it
/// always gets on.
const PASSED_MAX: usize = 2 * ANCHORS;

/// Blocks of a segment that follow one another.
///
/// All of them lie in one registration, which no window may leave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BlockPage {
    /// The addresses of the registration, or of the segment if it has no limit.
    pub registration: Range<u64>,
    /// The blocks, in address order and without gaps. May be empty where
    /// buffers were dropped since the page before.
    pub blocks: Vec<Block>,
    /// Whether the registration has as many allocations as it may, so that no
    /// hole serves a request before one is dropped.
    pub is_at_limit: bool,
    /// Where the next page begins, unless this is the last one.
    pub next: Option<BlockCursor>,
}

/// Where a page of blocks begins.
#[derive(Clone, Debug)]
pub struct BlockCursor {
    /// The number of the chunk.
    pub(crate) chunk: u32,
    /// Everything below this address was on pages before.
    from: u64,
    /// The last allocations that were passed, in address order.
    anchors: SmallVec<[Allocation; ANCHORS]>,
}

impl BlockCursor {
    /// Returns the cursor at the start of a chunk.
    pub(crate) fn at_start(chunk: u32) -> Self {
        Self {
            chunk,
            from: 0,
            anchors: SmallVec::new(),
        }
    }
}

impl Chunk {
    /// Returns the blocks around a live piece, itself included: so many that
    /// they reach `reach_bytes` to either side, unless the chunk or
    /// `blocks_max` ends before.
    pub(crate) fn neighborhood(
        &self,
        piece: &Handle,
        reach_bytes: u64,
        blocks_max: usize,
    ) -> Vec<Block> {
        let middle = piece.allocation();
        self.allocator.inspect(|core| {
            let (Some(below), Some(from)) =
                (core.neighbors_below(middle), core.neighbors_from(middle))
            else {
                debug_assert!(false, "the piece of a buffer is live");
                return Vec::new();
            };
            let reach_start = middle.offset().saturating_sub(reach_bytes);
            // A stretch belongs to the surroundings if it begins above, or ends
            // below, what has been reached.
            let below = below
                .take_while(|stretch| stretch.offset + stretch.size > reach_start)
                .take(blocks_max.saturating_sub(1) / 2);
            let mut blocks: Vec<Block> = below.map(|stretch| self.block(&stretch)).collect();
            blocks.reverse();
            let mut reach_end = u64::MAX;
            for stretch in from {
                if stretch.offset >= reach_end || blocks.len() >= blocks_max.max(1) {
                    break;
                }
                if stretch.offset == middle.offset() {
                    reach_end = (stretch.offset + stretch.size).saturating_add(reach_bytes);
                }
                blocks.push(self.block(&stretch));
            }
            blocks
        })
    }

    /// Returns the blocks from a cursor on, and the cursor behind them, unless
    /// that is the end of the chunk.
    pub(crate) fn page(
        &self,
        cursor: &BlockCursor,
        blocks_max: usize,
    ) -> (Vec<Block>, Option<BlockCursor>) {
        let mut blocks = Vec::new();
        let mut next = cursor.clone();
        let blocks_max = blocks_max.max(1);
        let is_end = self.allocator.inspect(|core| {
            let mut left = blocks_max.saturating_add(PASSED_MAX);
            for stretch in walk_on(core, cursor) {
                if left == 0 || blocks.len() == blocks_max {
                    return false;
                }
                left -= 1;
                let block = self.block(&stretch);
                if let Some(block) = clipped(block, cursor.from) {
                    next.from = block.address + block.size;
                    blocks.push(block);
                }
                if let Some(allocation) = stretch.allocation {
                    if next.anchors.len() == ANCHORS {
                        _ = next.anchors.remove(0);
                    }
                    next.anchors.push(allocation);
                }
            }
            true
        });
        (blocks, (!is_end).then_some(next))
    }

    /// Returns the holes that there would be if all pieces of a buffer were
    /// freed, in address order: one for each piece, or fewer where pieces lie
    /// side by side.
    pub(crate) fn holes_without(&self, pieces: &[Handle]) -> SmallVec<[Extent; 1]> {
        let mut own: SmallVec<[Allocation; 1]> = pieces.iter().map(Handle::allocation).collect();
        own.sort_unstable_by_key(Allocation::offset);
        self.allocator.inspect(|core| {
            let mut holes: SmallVec<[Extent; 1]> = SmallVec::new();
            let mut left = own.iter().peekable();
            while let Some(&piece) = left.next() {
                let (Some(mut below), Some(from)) =
                    (core.neighbors_below(piece), core.neighbors_from(piece))
                else {
                    debug_assert!(false, "the piece of a buffer is live");
                    continue;
                };
                // Pieces below belong to the hole before.
                let hole = below.next().filter(|stretch| stretch.allocation.is_none());
                let start = hole.map_or(piece.offset(), |stretch| stretch.offset);
                let mut end = start;
                for stretch in from {
                    let is_free = match stretch.allocation {
                        None => true,
                        Some(other) if other == piece => true,
                        Some(other) => left.next_if(|&&next| next == other).is_some(),
                    };
                    if !is_free {
                        break;
                    }
                    end = stretch.offset + stretch.size;
                }
                holes.push(Extent {
                    address: self.base + start,
                    size: end - start,
                });
            }
            holes
        })
    }

    fn block(&self, stretch: &Neighbor) -> Block {
        let owner = |allocation: Allocation| self.owners.get(allocation.node());
        Block {
            address: self.base + stretch.offset,
            size: stretch.size,
            owner: stretch.allocation.and_then(owner),
            is_hole: stretch.allocation.is_none(),
        }
    }
}

/// Walks on from the last anchor that is still live, or else from the start.
fn walk_on<'a>(
    core: &'a OffsetAllocator,
    cursor: &BlockCursor,
) -> Box<dyn Iterator<Item = Neighbor> + 'a> {
    let mut anchors = cursor.anchors.iter().rev();
    match anchors.find_map(|&anchor| core.neighbors_from(anchor)) {
        Some(walk) => Box::new(walk),
        None => Box::new(core.stretches()),
    }
}

/// Returns the part of a block that is not below an address.
fn clipped(block: Block, from: u64) -> Option<Block> {
    let end = block.address + block.size;
    let address = block.address.max(from);
    (address < end).then(|| Block {
        address,
        size: end - address,
        ..block
    })
}
