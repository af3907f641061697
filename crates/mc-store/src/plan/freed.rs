//! The holes that objects would leave behind, merged where they touch.

use std::{collections::BTreeMap, ops::Range};

use mc_segment::SegmentId;

use super::Demand;
use crate::object::Object;

/// The holes that some objects would leave behind if they all left.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    /// By segment and start: the end of each hole. No two touch.
    holes: BTreeMap<(SegmentId, u64), u64>,
}

/// Where a demand has room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) segment: SegmentId,
    /// The addresses of the hole, or of all of the segment if several are
    /// needed.
    addresses: Range<u64>,
}

impl Room {
    /// Returns whether a piece of an object is in it.
    pub(crate) fn has(&self, object: &Object) -> bool {
        let mut replicas = object.replicas();
        replicas.any(|replica| {
            replica.segment_id() == self.segment
                && replica
                    .extents()
                    .any(|extent| self.addresses.contains(&extent.address))
        })
    }
}

impl Freed {
    /// Adds the places of an object; returns where the demand has room then, if
    /// it has.
    pub(crate) fn add(&mut self, object: &Object, demand: &Demand<'_>) -> Option<Room> {
        let mut room = None;
        for buffer in object.replicas() {
            if !demand.may_use(buffer) {
                continue;
            }
            let id = buffer.segment_id();
            let charged = buffer.segment().charged_size(demand.size);
            let charged = charged.unwrap_or(u64::MAX);
            for hole in buffer.holes_if_dropped() {
                let (start, end) = self.merge(id, hole.address, hole.address + hole.size);
                if demand.room(start, end) >= charged {
                    room.get_or_insert(Room {
                        segment: id,
                        addresses: start..end,
                    });
                }
            }
            if room.is_none() && demand.extents_max > 1 && self.fits_in_pieces(id, charged, demand)
            {
                room = Some(Room {
                    segment: id,
                    addresses: 0..u64::MAX,
                });
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
