//! Where a hole can be made: of the next objects, around them, or anywhere.

use std::ops::Range;

use mc_segment::{Block, PlacedBuffer, SegmentId};
use smallvec::smallvec;

use super::{PAGE_BLOCKS, Room};
use crate::{
    object::{WeakObject, WeakObjects},
    order::SLICE,
    plan::{Found, Freed, WindowSearch},
    policy::ObjectId,
};

impl Room<'_> {
    /// Returns those of the first objects of a list whose places together make
    /// the hole, without any that could stay.
    pub(super) fn among_first(&self, next: &[WeakObject]) -> Option<Found> {
        let mut freed = Freed::default();
        for (place, &seen) in next.iter().enumerate() {
            let Some(object) = self.shared.index.upgrade(seen) else {
                continue;
            };
            if let Some(segment) = self.demand.own_place(&object) {
                let victims = smallvec![seen];
                return Some(Found { segment, victims });
            }
            if let Some(room) = freed.add(&object, &self.demand) {
                let before = self.stored(&next[..=place]);
                let inside = before.filter(|object| room.has(object));
                let inside = inside.map(|object| object.downgrade()).collect();
                let victims = self.needed(room.segment, inside);
                let segment = room.segment;
                return Some(Found { segment, victims });
            }
        }
        None
    }

    /// Returns the objects of a list that a hole needs; those that come later
    /// in it stay if there is a choice.
    fn needed(&self, segment: SegmentId, objects: WeakObjects) -> WeakObjects {
        let mut needed = objects;
        for place in (0..needed.len()).rev() {
            if needed.len() == 1 {
                break;
            }
            let object = needed.remove(place);
            let mut freed = Freed::default();
            let has_room = self
                .stored(&needed)
                .filter_map(|other| freed.add(&other, &self.demand))
                .any(|room| room.segment == segment);
            if !has_room {
                needed.insert(place, object);
            }
        }
        needed
    }

    /// Weighs the neighbors of some objects.
    pub(super) fn look_near(&self, next: &[WeakObject], search: &mut WindowSearch<'_>) {
        let mut seen = Vec::new();
        let mut left = self.shared.options.search_blocks_max;
        for object in self.stored(next) {
            for buffer in object.replicas().filter(|one| self.demand.may_use(one)) {
                left -= self.look_around(buffer, left, &mut seen, search);
            }
        }
    }

    /// Weighs the neighbors of a buffer, up to some blocks; returns how many there
    /// were. What was looked at before is passed over.
    fn look_around(
        &self,
        buffer: &PlacedBuffer,
        blocks_max: usize,
        seen: &mut Vec<(SegmentId, Range<u64>)>,
        search: &mut WindowSearch<'_>,
    ) -> usize {
        let id = buffer.segment_id();
        let Some(needed) = self.demand.needed_in(buffer.segment()) else {
            return 0;
        };
        let reach = needed.saturating_add(self.demand.align);
        let mut left = blocks_max;
        for (piece, extent) in buffer.extents().enumerate() {
            let is_seen = |(other, addresses): &(SegmentId, Range<u64>)| {
                *other == id && addresses.contains(&extent.address)
            };
            if left == 0 || seen.iter().any(is_seen) {
                continue;
            }
            let Some(blocks) = buffer.neighborhood(piece, reach, left.min(PAGE_BLOCKS)) else {
                continue;
            };
            left = left.saturating_sub(blocks.len());
            let is_at_limit = buffer.hole_below_limit().is_some();
            let worths = self.weigh(id, &blocks);
            search.look(id, needed, &blocks, &worths, is_at_limit);
            // Only what has its own surroundings in the list was looked at.
            seen.push((id, extent.address..extent.address + extent.size));
        }
        blocks_max - left
    }

    /// Weighs all neighbors; stops at the first that will do once enough have
    /// been looked at.
    pub(super) fn look_anywhere(&self, search: &mut WindowSearch<'_>) {
        let mut left = self.shared.options.search_blocks_max;
        for id in self.demand.segments(&self.shared.pool) {
            let info = self.shared.pool.info(id);
            let Some(needed) = info.and_then(|info| self.demand.needed_in(&info)) else {
                continue;
            };
            let mut run = Run::default();
            let mut cursor = None;
            while let Some(page) = self.shared.pool.blocks(id, cursor.as_ref(), PAGE_BLOCKS) {
                left = left.saturating_sub(page.blocks.len());
                let end = page.registration.end;
                if self.demand.is_aligned(page.registration.start) {
                    run.extend(page.registration, page.blocks, |blocks| {
                        self.weigh(id, blocks)
                    });
                }
                if run.has_enough_new() || run.end() == Some(end) || page.next.is_none() {
                    search.look(id, needed, &run.blocks, &run.worths, page.is_at_limit);
                    run.forget_before(needed.saturating_add(self.demand.align));
                }
                if left == 0 && search.has_found() {
                    return;
                }
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
        }
    }

    /// Returns the object of each block and what is lost with it; nothing where
    /// nobody may leave.
    fn weigh(&self, segment: SegmentId, blocks: &[Block]) -> Vec<Option<(WeakObject, f64)>> {
        // With the bytes of each until the order is locked.
        let seen = blocks.iter().map(|block| {
            let object = self.shared.index.object(ObjectId::of_owner(block.owner?))?;
            let seen = object.downgrade();
            let is_own = object.is_at(segment, block.address);
            let may_leave = is_own && (object.claim(self.now).is_none() || self.has_claimed(seen));
            may_leave.then(|| (seen, object.bytes() as f64))
        });
        let mut weighed: Vec<_> = seen.collect();
        let line = self.line();
        for slice in weighed.chunks_mut(4 * SLICE) {
            let ranks = self.shared.order.lock();
            for one in slice {
                let may_leave = |seen: WeakObject| {
                    let is_allowed =
                        ranks.allows(&self.rights, seen.id) && !line.contains(&seen.id);
                    is_allowed || self.has_claimed(seen)
                };
                *one = one
                    .filter(|&(seen, _)| may_leave(seen))
                    .map(|(seen, bytes)| (seen, bytes * ranks.worth_by_byte(seen.id)));
            }
        }
        weighed
    }
}

/// Blocks of one registration that touch, page after page, as many as a window
/// may need.
#[derive(Default)]
struct Run {
    registration: Range<u64>,
    blocks: Vec<Block>,
    worths: Vec<Option<(WeakObject, f64)>>,
    /// How many of them have been looked at.
    looked_at: usize,
}

impl Run {
    /// Adds a page; forgets what was before if it does not touch, or is of
    /// another registration.
    fn extend(
        &mut self,
        registration: Range<u64>,
        blocks: Vec<Block>,
        weigh: impl FnOnce(&[Block]) -> Vec<Option<(WeakObject, f64)>>,
    ) {
        let is_next = blocks.first().map(|first| first.address) == self.end();
        if self.registration != registration || !is_next {
            *self = Self {
                registration,
                ..Self::default()
            };
        }
        self.worths.extend(weigh(&blocks));
        self.blocks.extend(blocks);
    }

    /// Returns the address behind the last block, if there is one.
    fn end(&self) -> Option<u64> {
        self.blocks.last().map(|last| last.address + last.size)
    }

    /// Returns whether so much is new since blocks were last forgotten that
    /// what is looked at twice is no more than what is looked at once.
    fn has_enough_new(&self) -> bool {
        self.blocks.len() >= 2 * self.looked_at
    }

    /// Forgets blocks that lie farther before the end than some bytes: windows
    /// with blocks that are still to come begin later.
    fn forget_before(&mut self, bytes: u64) {
        let needed_from = self.end().unwrap_or(0).saturating_sub(bytes);
        let is_before = |block: &Block| block.address + block.size <= needed_from;
        let first = self.blocks.partition_point(is_before);
        self.blocks.drain(..first);
        self.worths.drain(..first);
        self.looked_at = self.blocks.len();
    }
}
