//! What hints do to the order: an object that stays has what comes before it stay, too.

use super::{Ranks, SLICE};
use crate::{
    clock::Moment,
    hints::KeepTerms,
    index::Index,
    object::Object,
    policy::{ObjectId, Rank},
};

impl Ranks {
    /// Gives what comes before an object in its prompt at least its rank, and the
    /// object that of what comes behind it, as far as that is kept which may be.
    pub(super) fn lift(&mut self, index: &Index, object: &Object, keeping: KeepTerms) {
        if !self.groups.has_several() {
            return;
        }
        let mut priority = object.terms.hints.priority;
        let mut until = keeping.until;
        // It has been away. Of a beginning that many prompts share some ends are enough.
        for child in self.groups.children(object.id, SLICE) {
            priority = priority.max(self.groups.key(child).rank.priority);
            until = until.max(self.keeping.until(child).unwrap_or_default());
        }
        if priority > object.terms.hints.priority {
            self.set_rank(index, object.id, |rank| rank.priority = priority);
        }
        let is_lower = |id: &ObjectId| self.groups.key(*id).rank.priority < priority;
        let lower: Vec<_> = self.before(object.id).take_while(is_lower).collect();
        for id in lower {
            self.set_rank(index, id, |rank| rank.priority = priority);
        }
        if until == Moment::default() {
            return;
        }
        let is_shorter = |id: &ObjectId| self.keeping.until(*id).is_none_or(|kept| kept < until);
        let shorter = self.before(object.id).take_while(is_shorter);
        let found = shorter.map_while(|id| Some((id, index.object(id)?.bytes())));
        let own = [(object.id, object.bytes())];
        let line: Vec<_> = own.into_iter().chain(found).collect();
        let is_new = |id: &ObjectId| self.keeping.until(*id).is_none();
        let new = line.iter().filter(|(id, _)| is_new(id));
        let new_bytes: u64 = new.map(|(_, bytes)| bytes).sum();
        if self.keeping.bytes().saturating_add(new_bytes) > keeping.bytes_max {
            return;
        }
        for (id, bytes) in line {
            self.keeping.keep(id, until, bytes);
            self.set_rank(index, id, |rank| rank.is_kept = true);
        }
    }

    /// Returns what comes before an object in its prompt, the next one first. A policy
    /// that names objects in a circle is not followed for ever.
    fn before(&self, id: ObjectId) -> impl Iterator<Item = ObjectId> {
        let all = std::iter::successors(Some(id), |at| self.parent(*at));
        all.skip(1).take(self.known.len())
    }

    /// Ends the time for which objects are kept, some at a time.
    pub(super) fn end_keeping(&mut self, index: &Index, now: Moment) {
        for _ in 0..SLICE {
            let Some(id) = self.keeping.next_due(now) else {
                return;
            };
            self.set_rank(index, id, |rank| rank.is_kept = false);
        }
    }

    pub(super) fn set_rank(&mut self, index: &Index, id: ObjectId, change: impl FnOnce(&mut Rank)) {
        let Some(object) = index.object(id) else {
            return;
        };
        let mut key = self.groups.key(id);
        let before = key;
        change(&mut key.rank);
        if key != before {
            self.groups.regroup(id, key, object.key_hash());
            self.end_aside(id);
        }
    }
}
