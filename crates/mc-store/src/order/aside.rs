//! [`Aside`]: objects whose turn had come when a request could not use their places.

use std::collections::BTreeMap;

use mc_segment::SegmentId;

use crate::policy::ObjectId;

/// Objects by a segment that they are in, those first in order first.
///
/// Where a request may not use a segment, others leave in the stead of what is in
/// it, so that in the end all of that comes first. Objects of one segment are of
/// use together or not at all, so that it is enough to look at a few of each.
///
/// Every call takes O(log n) time, and there are some 60 B for each object.
#[derive(Debug, Default)]
pub(super) struct Aside {
    queues: BTreeMap<SegmentId, BTreeMap<u64, ObjectId>>,
    /// Where each object is.
    places: BTreeMap<ObjectId, (SegmentId, u64)>,
    /// How many objects were ever added.
    added: u64,
}

impl Aside {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds an object that has none of its queue behind it in order.
    pub(super) fn push(&mut self, id: ObjectId, segment: SegmentId) {
        self.forget(id);
        self.added += 1;
        self.places.insert(id, (segment, self.added));
        let queue = self.queues.entry(segment).or_default();
        queue.insert(self.added, id);
    }

    /// Forgets an object; returns whether it was here.
    pub(super) fn forget(&mut self, id: ObjectId) -> bool {
        let Some((segment, place)) = self.places.remove(&id) else {
            return false;
        };
        if let Some(queue) = self.queues.get_mut(&segment) {
            queue.remove(&place);
            if queue.is_empty() {
                self.queues.remove(&segment);
            }
        }
        true
    }

    /// Returns the objects of each segment, in order.
    pub(super) fn queues(&self) -> impl Iterator<Item = impl Iterator<Item = ObjectId>> {
        self.queues.values().map(|queue| queue.values().copied())
    }

    /// Returns all objects.
    pub(super) fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.places.keys().copied()
    }
}
