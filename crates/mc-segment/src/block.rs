//! The blocks of a segment as plain data, and the cheapest of them to evict.

use std::{collections::VecDeque, num::NonZeroU32, ops::Range};

/// A stretch of a segment: a piece of a buffer, or a hole.
///
/// Blocks that follow one another touch. They are of the moment when they were
/// copied: whoever acts on one asks its owner whether it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// Address of the first byte.
    pub address: u64,
    /// Bytes, those charged beyond what was asked for included.
    pub size: u64,
    /// The number that the buffer was [tagged](crate::PlacedBuffer::set_owner)
    /// with. A block with neither an owner nor a hole is somebody else's: of a
    /// put in flight, say.
    pub owner: Option<NonZeroU32>,
    /// Whether nothing is placed here.
    pub is_hole: bool,
}

/// Blocks beside each other that become one hole when their buffers are
/// dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockWindow {
    /// The places in the list of the first and behind the last block, holes
    /// included.
    pub blocks: Range<usize>,
    /// Address of the hole that results.
    pub address: u64,
    /// Bytes of the hole that results, as far as the list shows it.
    pub size: u64,
    /// Sum of the costs.
    pub cost: u128,
}

impl Block {
    fn end(&self) -> u64 {
        self.address + self.size
    }
}

/// Returns the window among neighboring blocks that has room for `size` bytes
/// at a multiple of `align`, a power of two, for the least total cost.
///
/// `cost` tells what evicting the buffer of a block costs; `None` pins it. It
/// is not asked about holes, which cost nothing. Of windows that cost the same,
/// the one at the lowest address is returned. `size` is what is
/// [charged](crate::SegmentInfo::charged_size) for the request. Takes time
/// linear in the blocks; no lock is held.
///
/// Returns `None` if there is no such window, if `size` is 0, or if `align` is
/// not a power of two.
///
/// # Panics
///
/// Panics if the blocks do not touch in the order of their addresses.
///
/// # Examples
///
/// ```
/// use mc_segment::{SegmentPoolOptions, Segment, SegmentId, SegmentInfo, SegmentPool, cheapest_window};
///
/// let pool = SegmentPool::new(SegmentPoolOptions::default());
/// let id = SegmentId(1);
/// pool.mount(Segment::remote(SegmentInfo::new(id, "node-1", 4096, 400)))?;
/// let mut buffers: Vec<_> =
///     (0..4).map(|_| pool.place_in(id, 100, 1)).collect::<Result<_, _>>()?;
/// drop(buffers.remove(1));
///
/// // The hole and the cheaper of its neighbors.
/// let page = pool.blocks(id, None, 100).expect("it is mounted");
/// let window = cheapest_window(&page.blocks, 150, 1, |block| match block.address {
///     4096 => Some(3),
///     _ => Some(2),
/// });
/// let window = window.expect("nothing is pinned");
/// assert_eq!((window.blocks, window.cost), (1..3, 2));
/// assert_eq!((window.address, window.size), (4196, 200));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cheapest_window(
    blocks: &[Block],
    size: u64,
    align: u64,
    mut cost: impl FnMut(&Block) -> Option<u64>,
) -> Option<BlockWindow> {
    if size == 0 || !align.is_power_of_two() {
        return None;
    }
    for pair in blocks.windows(2) {
        assert_eq!(pair[0].end(), pair[1].address, "the blocks touch in order");
    }
    // Costs of the blocks of a window that is slid over the list.
    let mut window: VecDeque<(usize, u64)> = VecDeque::new();
    let mut total = 0_u128;
    let mut best: Option<(u128, Range<usize>)> = None;
    for (at, block) in blocks.iter().enumerate() {
        let block_cost = if block.is_hole { Some(0) } else { cost(block) };
        let Some(block_cost) = block_cost else {
            window.clear();
            total = 0;
            continue;
        };
        window.push_back((at, block_cost));
        total += u128::from(block_cost);
        let end = block.end();
        while let Some(&(first, first_cost)) = window.front()
            && fits(blocks[first].end(), end, size, align)
        {
            total -= u128::from(first_cost);
            window.pop_front();
        }
        let Some(&(first, _)) = window.front() else {
            continue;
        };
        let is_better = best.as_ref().is_none_or(|(least, _)| total < *least);
        if is_better && fits(blocks[first].address, end, size, align) {
            best = Some((total, first..at + 1));
        }
    }
    let (cost, range) = best?;
    Some(widened(blocks, range, cost))
}

/// Returns whether a hole from one address to another has room.
fn fits(start: u64, end: u64, size: u64, align: u64) -> bool {
    let aligned = start.checked_next_multiple_of(align);
    let room = aligned.and_then(|at| end.checked_sub(at));
    room.is_some_and(|room| room >= size)
}

/// Adds the holes beside a window, which become part of its hole.
fn widened(blocks: &[Block], range: Range<usize>, cost: u128) -> BlockWindow {
    let is_hole = |at: usize| blocks.get(at).is_some_and(|block| block.is_hole);
    let start = range.start - usize::from(range.start > 0 && is_hole(range.start - 1));
    let end = range.end + usize::from(is_hole(range.end));
    let address = blocks[start].address;
    BlockWindow {
        blocks: start..end,
        address,
        size: blocks[end - 1].end() - address,
        cost,
    }
}
