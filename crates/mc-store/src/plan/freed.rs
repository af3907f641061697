//! The holes that objects would leave behind, merged where they touch.

use std::collections::BTreeMap;

use mc_segment::SegmentId;

use super::Demand;
use crate::object::Object;

/// The holes that some objects would leave behind if they all left.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    /// By segment and start: the end of each hole. No two touch.
    holes: BTreeMap<(SegmentId, u64), u64>,
}

impl Freed {
    /// Adds the places of an object; returns the segment where the demand has
    /// room then, if it has.
    pub(crate) fn add(&mut self, object: &Object, demand: &Demand<'_>) -> Option<SegmentId> {
        let mut room = None;
        for buffer in object.replicas() {
            if !demand.may_use(buffer) {
                continue;
            }
            let id = buffer.segment_id();
            let charged = buffer.segment().charged_size(demand.size);
            let charged = charged.unwrap_or(u64::MAX);
            let mut fits = false;
            for hole in buffer.holes_if_dropped() {
                let (start, end) = self.merge(id, hole.address, hole.address + hole.size);
                fits |= demand.room(start, end) >= charged;
            }
            fits |= demand.extents_max > 1 && self.fits_in_pieces(id, charged, demand);
            if fits {
                room.get_or_insert(id);
            }
        }
        room
    }

    /// Adds a hole; returns it with all that it touches.
    fn merge(&mut self, id: SegmentId, start: u64, end: u64) -> (u64, u64) {
        let (mut start, mut end) = (start, end);
        let below = self.holes.range(..=(id, start)).next_back();
        if let Some((&(other, other_start), &other_end)) = below
            && other == id
            && other_end >= start
        {
            start = other_start;
            end = end.max(other_end);
        }
        while let Some((&key, &other_end)) = self.holes.range((id, start)..=(id, end)).next() {
            end = end.max(other_end);
            self.holes.remove(&key);
        }
        self.holes.insert((id, start), end);
        (start, end)
    }

    /// Returns whether the largest of the holes in a segment hold the demand in
    /// as many pieces as it allows. Other holes of the segment would help, and
    /// are not counted on.
    fn fits_in_pieces(&self, id: SegmentId, charged: u64, demand: &Demand<'_>) -> bool {
        let mut rooms: Vec<u64> = self
            .holes
            .range((id, 0)..=(id, u64::MAX))
            .map(|(&(_, start), &end)| demand.room(start, end))
            .collect();
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        let pieces = rooms.iter().take(demand.extents_max as usize);
        pieces.map(|&room| u128::from(room)).sum::<u128>() >= u128::from(charged)
    }
}
