//! The holes that objects would leave behind, merged where they touch.

use std::{collections::BTreeMap, ops::Range};

use mc_segment::{PlacedBuffer, SegmentId};

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
    /// The addresses of the hole, or of all of its registration if several are
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
            let registration = buffer.registration();
            let needed = demand.needed_in(buffer.segment()).unwrap_or(u64::MAX);
            for hole in buffer.holes_if_dropped() {
                let hole = hole.address..hole.address + hole.size;
                let hole = self.merge(id, &registration, hole);
                if demand.room(hole.start, hole.end) >= needed {
                    room.get_or_insert(Room {
                        segment: id,
                        addresses: hole,
                    });
                }
            }
            let sure_of_aligned = needed.saturating_add(demand.align - 1);
            let fits = |hole| hole >= sure_of_aligned;
            if room.is_none() && buffer.hole_below_limit().is_some_and(fits) {
                room = Some(Room {
                    segment: id,
                    addresses: registration.clone(),
                });
            }
            if room.is_none() && demand.extents_max > 1 && self.fits_in_pieces(buffer, demand) {
                room = Some(Room {
                    segment: id,
                    addresses: registration,
                });
            }
        }
        room
    }

    /// Adds a hole; returns it with all of its registration that it touches.
    fn merge(&mut self, id: SegmentId, registration: &Range<u64>, hole: Range<u64>) -> Range<u64> {
        let Range { mut start, mut end } = hole;
        let below = (id, registration.start)..=(id, start);
        if let Some((&(_, other_start), &other_end)) = self.holes.range(below).next_back()
            && other_end >= start
        {
            start = other_start;
            end = end.max(other_end);
        }
        // What begins where the registration ends is of the next one.
        let last = |end: u64| (id, end.min(registration.end - 1));
        while let Some((&key, &other_end)) = self.holes.range((id, start)..=last(end)).next() {
            end = end.max(other_end);
            self.holes.remove(&key);
        }
        self.holes.insert((id, start), end);
        start..end
    }

    /// Returns whether the largest of the holes in the registration of a buffer
    /// hold the demand in as many pieces as it allows. Other holes there would
    /// help, and are not counted on.
    fn fits_in_pieces(&self, buffer: &PlacedBuffer, demand: &Demand<'_>) -> bool {
        let (id, segment, registration) =
            (buffer.segment_id(), buffer.segment(), buffer.registration());
        let step = segment.step(demand.align);
        let room = |start: u64, end: u64| {
            let first = (start - registration.start).checked_next_multiple_of(step);
            let bytes = first.and_then(|first| (end - registration.start).checked_sub(first));
            segment.largest_extent(bytes.unwrap_or(0), step)
        };
        let holes = self
            .holes
            .range((id, registration.start)..(id, registration.end));
        let mut rooms: Vec<u64> = holes.map(|(&(_, start), &end)| room(start, end)).collect();
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        let pieces = rooms.iter().take(demand.extents_max as usize);
        pieces.map(|&room| u128::from(room)).sum::<u128>() >= u128::from(demand.size)
    }
}
