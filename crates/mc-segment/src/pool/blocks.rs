//! The blocks of a whole segment, page by page.

use super::SegmentPool;
use crate::{
    chunk::{BlockCursor, BlockPage},
    id::SegmentId,
};

impl SegmentPool {
    /// Returns the blocks of a segment from a cursor on, or from its first byte
    /// on: at most `blocks_max` of them, at least 1.
    ///
    /// The lock of one registration is held for a time that `blocks_max`
    /// bounds. Buffers may come and go between two pages: a page begins where
    /// the one before ended, and what is on it is as it is then. If everything
    /// around that place has been dropped meanwhile, the way there is looked for
    /// again from the start of the registration, with pages that are empty.
    ///
    /// Returns `None` if the segment is not mounted, or has no such
    /// registration any more.
    #[must_use]
    pub fn blocks(
        &self,
        id: SegmentId,
        cursor: Option<&BlockCursor>,
        blocks_max: usize,
    ) -> Option<BlockPage> {
        let mounted = self.mounted(id)?;
        let first = BlockCursor::at_start(0);
        let cursor = cursor.unwrap_or(&first);
        let chunk = mounted.chunks().get(cursor.chunk as usize)?;
        let (blocks, next) = chunk.page(cursor, blocks_max);
        let next_chunk = || {
            let number = chunk.number + 1;
            let is_there = (number as usize) < mounted.chunks().len();
            is_there.then(|| BlockCursor::at_start(number))
        };
        Some(BlockPage {
            registration: chunk.base..chunk.end(),
            blocks,
            is_at_limit: mounted.hole_below_limit(chunk).is_some(),
            next: next.or_else(next_chunk),
        })
    }
}
