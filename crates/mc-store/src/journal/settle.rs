//! What has become of places, once all records are read: those in segments that are gone are void, and
//! of two that share a byte the later one holds. So does one that was left since, where it is known.

use std::collections::HashMap;

use mc_segment::{Extent, SegmentId, SegmentInfo};
use smallvec::SmallVec;

use super::{
    damage::{Damage, Lost},
    overlap::{self, Claim},
    record::{Place, Places},
    recovered::{Recovered, SegmentHistory},
};

/// Why a place is dropped; `None` if its segment was unmounted, which is no loss.
type Dropped = Option<Lost>;

/// Drops the places that nobody has any more, and objects and puts that have none left; `left` are
/// places that others have had, and since when.
pub(super) fn settle(
    recovered: &mut Recovered,
    segments: &HashMap<SegmentId, SegmentHistory>,
    left: &[(Place, u64)],
) {
    note_unreadable(segments, &mut recovered.damage);
    let dropped = find_dropped(recovered, segments, left);
    if dropped.is_empty() {
        return;
    }
    let Recovered {
        objects,
        reservations,
        damage,
        ..
    } = recovered;
    let mut first = 0;
    objects.retain_mut(|object| {
        let (count, causes) = (
            length(&object.places),
            drop_places(&mut object.places, first, &dropped),
        );
        first += count;
        let is_lost = object.places.is_empty();
        let name = |cause| {
            let key = object.key.clone();
            if is_lost {
                Damage::Object { key, cause }
            } else {
                Damage::Place { key, cause }
            }
        };
        // Of an object that is lost, the last cause is enough.
        let skipped = if is_lost {
            causes.len().saturating_sub(1)
        } else {
            0
        };
        damage.extend(causes.into_iter().skip(skipped).map(name));
        !is_lost
    });
    reservations.retain_mut(|put| {
        let (count, causes) = (
            length(&put.places),
            drop_places(&mut put.places, first, &dropped),
        );
        first += count;
        let name = |cause| {
            let key = put.key.clone();
            Damage::Place { key, cause }
        };
        damage.extend(causes.into_iter().map(name));
        !put.places.is_empty()
    });
}

fn note_unreadable(segments: &HashMap<SegmentId, SegmentHistory>, damage: &mut Vec<Damage>) {
    for (&segment, history) in segments {
        if history
            .mounted
            .as_ref()
            .is_some_and(|mounted| mounted.document.is_none())
        {
            damage.push(Damage::Segment { segment });
        }
    }
}

/// Returns which places are dropped, by their index among all of them.
fn find_dropped(
    recovered: &Recovered,
    segments: &HashMap<SegmentId, SegmentHistory>,
    left: &[(Place, u64)],
) -> HashMap<u32, Dropped> {
    let objects = recovered.objects.iter();
    let of_objects =
        objects.flat_map(|object| object.places.iter().zip(object.since.iter().copied()));
    let puts = recovered.reservations.iter();
    let of_puts = puts.flat_map(|put| put.places.iter().map(|place| (place, put.since)));

    let mut dropped = HashMap::new();
    let mut claims = Vec::with_capacity(recovered.objects.len());
    let mut times = Vec::with_capacity(recovered.objects.len());
    let mut finder = Finder::new(segments);
    for (index, (place, since)) in (0..).zip(of_objects.chain(of_puts)) {
        times.push(since);
        match finder.segment(place, since) {
            Ok(segment) => claims.extend(claims_of(place, segment, index)),
            Err(cause) => drop(dropped.insert(index, cause)),
        }
    }
    let mut others = Vec::new();
    for (place, since) in left {
        let index = u32::try_from(times.len()).unwrap_or(u32::MAX);
        times.push(*since);
        if let Ok(segment) = finder.segment(place, *since) {
            others.extend(claims_of(place, segment, index));
        }
    }
    let since = |place: u32| times[place as usize];
    let overwritten = overlap::overwritten(&claims, others, since);
    for claim in overlap::losers(claims, since)
        .into_iter()
        .chain(overwritten)
    {
        let segment = finder.ids[claim.segment as usize];
        dropped.insert(claim.place, Some(Lost::Overwritten(segment)));
    }
    dropped
}

fn claims_of(place: &Place, segment: u32, index: u32) -> impl Iterator<Item = Claim> {
    place.extents.iter().map(move |extent| Claim {
        segment,
        place: index,
        start: extent.address,
        end: extent.address + extent.size,
    })
}

/// No more than fit in files: the number of all places is one, too.
fn length(places: &Places) -> u32 {
    u32::try_from(places.len()).unwrap_or(u32::MAX)
}

/// Looks segments up and gives each a small number.
struct Finder<'a> {
    segments: &'a HashMap<SegmentId, SegmentHistory>,
    numbers: HashMap<SegmentId, u32>,
    ids: Vec<SegmentId>,
    /// The segment that was looked up last, and its history.
    last: Option<(SegmentId, u32, &'a SegmentHistory)>,
}

impl<'a> Finder<'a> {
    fn new(segments: &'a HashMap<SegmentId, SegmentHistory>) -> Self {
        Self {
            segments,
            numbers: HashMap::new(),
            ids: Vec::new(),
            last: None,
        }
    }

    /// Returns the number of the segment that a place is in, if it still is.
    fn segment(&mut self, place: &Place, since: u64) -> Result<u32, Dropped> {
        let id = place.segment;
        let unknown = Err(Some(Lost::UnknownSegment(id)));
        let Some((number, history)) = self.find(id) else {
            return unknown;
        };
        if since < history.void_before {
            return Err(None);
        }
        let document = history.mounted.as_ref().map(|mounted| &mounted.document);
        match document {
            Some(Some((info, _))) if place.epoch < info.epoch => Err(None),
            Some(Some((info, _))) if place.epoch > info.epoch => unknown,
            Some(Some((info, _))) if is_inside(place, info) => Ok(number),
            Some(Some(_)) => Err(Some(Lost::OutOfSegment(id))),
            Some(None) | None => unknown,
        }
    }

    fn find(&mut self, id: SegmentId) -> Option<(u32, &'a SegmentHistory)> {
        if let Some((last, number, history)) = self.last
            && last == id
        {
            return Some((number, history));
        }
        let history = self.segments.get(&id)?;
        let ids = &mut self.ids;
        let number = *self.numbers.entry(id).or_insert_with(|| {
            ids.push(id);
            // There are no more segments than records.
            u32::try_from(ids.len() - 1).unwrap_or(u32::MAX)
        });
        self.last = Some((id, number, history));
        Some((number, history))
    }
}

fn is_inside(place: &Place, info: &SegmentInfo) -> bool {
    let is_inside = |extent: &Extent| {
        let end = extent.address.checked_add(extent.size);
        let size_max = (info.base.saturating_add(info.size)).saturating_sub(extent.address);
        extent.address >= info.base && extent.size > 0 && end.is_some() && extent.size <= size_max
    };
    !place.extents.is_empty() && place.extents.iter().all(is_inside)
}

/// Takes those places out that are dropped, the first of which has the index `first`; returns the
/// causes of losses.
fn drop_places(
    places: &mut Places,
    first: u32,
    dropped: &HashMap<u32, Dropped>,
) -> SmallVec<[Lost; 1]> {
    let mut causes = SmallVec::new();
    let mut index = first;
    places.retain(|_| {
        let cause = dropped.get(&index);
        index += 1;
        causes.extend(cause.copied().flatten());
        cause.is_none()
    });
    causes
}
