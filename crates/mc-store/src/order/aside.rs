//! [`Aside`]: objects whose turn had come when a request could not use their places.

use std::collections::BTreeMap;

use mc_segment::SegmentId;

use crate::policy::{GroupKey, ObjectId};

/// Objects by a segment that they are in and by group, those first in order first.
///
/// Where a request may not use a segment, others leave in the stead of what is in
/// it, so that in the end all of that comes first. Objects of one segment are of
/// use together or not at all, and those of one group may leave together or not,
/// so that it is enough to look at a few of each.
///
/// Every call takes O(log n) time, and there are some 70 B for each object.
#[derive(Debug, Default)]
pub(super) struct Aside {
    queues: BTreeMap<(SegmentId, GroupKey), BTreeMap<u64, ObjectId>>,
    /// Where each object is.
    places: BTreeMap<ObjectId, (SegmentId, GroupKey, u64)>,
    /// How many objects were ever added.
    added: u64,
}

impl Aside {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds an object that has none of its queue behind it in order.
    pub(super) fn push(&mut self, id: ObjectId, segment: SegmentId, key: GroupKey) {
        self.forget(id);
        self.added += 1;
        self.places.insert(id, (segment, key, self.added));
        let queue = self.queues.entry((segment, key)).or_default();
        queue.insert(self.added, id);
    }

    /// Forgets an object; returns whether it was here.
    pub(super) fn forget(&mut self, id: ObjectId) -> bool {
        let Some((segment, key, place)) = self.places.remove(&id) else {
            return false;
        };
        let of = (segment, key);
        if let Some(queue) = self.queues.get_mut(&of) {
            queue.remove(&place);
            if queue.is_empty() {
                self.queues.remove(&of);
            }
        }
        true
    }

    /// Returns the objects of each segment and group, in order; one segment after
    /// another.
    pub(super) fn queues(
        &self,
    ) -> impl Iterator<Item = (SegmentId, GroupKey, impl Iterator<Item = ObjectId>)> {
        let queues = self.queues.iter();
        queues.map(|(&(segment, key), queue)| (segment, key, queue.values().copied()))
    }

    /// Returns all objects.
    pub(super) fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.places.keys().copied()
    }
}
