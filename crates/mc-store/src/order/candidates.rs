//! Who may leave next: a walk in the policy's order that passes over what has to stay.

use std::{mem, ops::ControlFlow};

use mc_segment::PlacedBuffer;

use super::{Ranks, SLICE};
use crate::{
    clock::Moment,
    index::Index,
    ledger::Rights,
    object::{Object, Objects},
    policy::ObjectId,
};

/// Objects that are passed over, at most, because they have to stay, before groups
/// are asked; and because a request cannot use their places, before it looks for
/// places without regard to the order.
pub(crate) const VISITS_MAX: usize = 512;

/// Objects that are set aside at once, as a request cannot use their places. Fewer
/// are passed over again by each request.
pub(crate) const ASIDE_AT_ONCE: usize = 16;

/// Groups whose objects are looked at, at most, because those of others come
/// first.
const GROUPS_MAX: usize = 64;

/// What a look for objects that may leave has brought.
#[derive(Debug)]
pub(crate) enum Candidates {
    /// These; none if there are none, or if too many are of no use.
    Found(Objects),
    /// Many were in use, or of no use, and are hidden now.
    TryAgain,
}

impl Ranks {
    /// Returns up to `count_max` objects that may leave, those that should go
    /// first before others, and for which `is_usable` holds.
    ///
    /// Where too many come first that have to stay, those of each group follow
    /// that may leave. Objects that are in use, or in no segment that is open to
    /// placement, are hidden on the way; if `sets_aside`, so are those that are of
    /// no use, once there are many.
    pub(crate) fn candidates(
        &mut self,
        index: &Index,
        now: Moment,
        count_max: usize,
        rights: &Rights,
        sets_aside: bool,
        is_usable: impl Fn(&Object) -> bool,
    ) -> Candidates {
        let look = |are_hidden| Look {
            index,
            now,
            count_max,
            are_hidden,
            useless_max: sets_aside.then_some(ASIDE_AT_ONCE),
            is_usable: &is_usable,
            found: Objects::new(),
            unfit: Objects::new(),
            useless: Objects::new(),
            visits: 0,
        };
        let mut before = look(true);
        let firsts = self.first_aside(&mut before, rights);
        let Self { groups, ledger, .. } = self;
        let mut look = look(false);
        let spared = rights.spared;
        groups.victims(spared, &mut |id, key, stays| {
            look.at(id, !stays && rights.allow(key, ledger))
        });
        if look.visits >= VISITS_MAX && groups.has_several() {
            let keys = groups.keys().filter(|key| rights.allow(*key, ledger));
            let keys: Vec<_> = keys.take(GROUPS_MAX).collect();
            for key in keys {
                if look.is_over() {
                    break;
                }
                look.visits = 0;
                groups.victims_of(key, spared, &mut |id, stays| look.at(id, !stays));
            }
        }
        let are_many_useless = look.useless.len() == ASIDE_AT_ONCE;
        let are_many_unfit = before.unfit.len().max(look.unfit.len()) >= SLICE;
        for object in before.unfit.iter().chain(&look.unfit) {
            self.hide(object, now);
        }
        if are_many_useless {
            look.useless
                .iter()
                .for_each(|object| self.set_aside(object));
            return Candidates::TryAgain;
        }
        let found = self.merge(firsts, look.found, count_max);
        if found.is_empty() && are_many_unfit {
            return Candidates::TryAgain;
        }
        Candidates::Found(found)
    }

    /// Returns the first of those that were set aside and may leave for somebody.
    fn first_aside<F>(&self, look: &mut Look<'_, F>, rights: &Rights) -> Objects
    where
        F: Fn(&Object) -> bool,
    {
        let mut firsts = Objects::new();
        let mut useless = None;
        for (segment, key, queue) in self.aside.queues() {
            if useless == Some(segment) || !rights.allow(key, &self.ledger) {
                continue;
            }
            if look.look_into(queue) {
                useless = Some(segment);
            }
            firsts = self.merge(firsts, mem::take(&mut look.found), look.count_max);
        }
        firsts
    }

    /// Returns the first of two lists in order: of their next ones, what is worth
    /// less comes first.
    fn merge(&self, aside: Objects, next: Objects, count_max: usize) -> Objects {
        if aside.is_empty() || next.is_empty() {
            return if aside.is_empty() { next } else { aside };
        }
        let worth = |object: &Object| self.worth_by_byte(object.id);
        let (mut aside, mut next) = (aside.into_iter().peekable(), next.into_iter().peekable());
        let firsts = std::iter::from_fn(|| match (aside.peek(), next.peek()) {
            (Some(first), Some(other)) if worth(other) < worth(first) => next.next(),
            (Some(_), _) => aside.next(),
            (None, _) => next.next(),
        });
        firsts.take(count_max).collect()
    }

    /// Stops offering an object but to requests that look at what was set aside.
    fn set_aside(&mut self, object: &Object) {
        let segment = object.replicas().next().map(PlacedBuffer::segment_id);
        if let Some(segment) = segment
            && self.begin_to_hide(object)
        {
            // If it was used before the mark was set, that is noted, too.
            self.aside
                .push(object.id, segment, self.groups.key(object.id));
        }
    }
}

/// A look for objects that may leave.
struct Look<'a, F> {
    index: &'a Index,
    now: Moment,
    count_max: usize,
    /// Whether it is about those that the policy does not offer. If it does, they are
    /// passed over: nobody could hide them once more.
    are_hidden: bool,
    /// Of how many that are of no use is taken note; of none, and there is no end,
    /// if it is nothing.
    useless_max: Option<usize>,
    is_usable: &'a F,
    found: Objects,
    /// Those that are in use or in closed segments.
    unfit: Objects,
    /// Those that may leave, and that the request has no use for.
    useless: Objects,
    visits: usize,
}

impl<F: Fn(&Object) -> bool> Look<'_, F> {
    fn at(&mut self, id: ObjectId, may_leave: bool) -> ControlFlow<()> {
        self.visits += 1;
        let object = self.index.object(id);
        if let Some(object) = object.filter(|one| one.claims.is_hidden() == self.are_hidden) {
            let is_unfit = object.claim(self.now).is_some() || !object.is_placeable();
            let seen = match (is_unfit, may_leave && (self.is_usable)(&object)) {
                (true, _) => Some(&mut self.unfit),
                (_, true) => Some(&mut self.found),
                _ if may_leave && self.useless_max.is_some() => Some(&mut self.useless),
                _ => None,
            };
            if let Some(seen) = seen
                && !seen.iter().any(|other| other.id == id)
            {
                seen.push(object);
            }
        }
        if self.is_over() || self.visits == VISITS_MAX {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Looks at some objects more, up to the first that is of no use; returns whether
    /// there was one.
    fn look_into(&mut self, ids: impl Iterator<Item = ObjectId>) -> bool {
        let useless = self.useless.len();
        self.useless_max = Some(useless + 1);
        for id in ids {
            if self.visits == VISITS_MAX || self.at(id, true).is_break() {
                break;
            }
        }
        self.useless.len() > useless
    }

    fn is_over(&self) -> bool {
        self.found.len() == self.count_max
            || self.unfit.len() >= SLICE
            || Some(self.useless.len()) == self.useless_max
    }
}
