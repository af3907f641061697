//! [`Deadlines`]: what each of some objects waits for, by when that is.

use std::collections::{BTreeMap, BTreeSet};

use crate::{clock::Moment, policy::ObjectId};

/// Objects with a moment each and something that goes with it.
///
/// Every call takes O(log n) time: these are trees and no tables, which move all
/// that they have when they grow.
#[derive(Debug)]
pub(crate) struct Deadlines<T> {
    of: BTreeMap<u32, (Moment, T)>,
    in_order: BTreeSet<(Moment, u32)>,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self {
            of: BTreeMap::new(),
            in_order: BTreeSet::new(),
        }
    }
}

impl<T> Deadlines<T> {
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    pub(crate) fn of(&self, id: ObjectId) -> Option<Moment> {
        self.of.get(&id.0).map(|(moment, _)| *moment)
    }

    /// Gives an object another moment.
    pub(crate) fn set(&mut self, id: ObjectId, moment: Moment, value: T) {
        self.forget(id);
        self.of.insert(id.0, (moment, value));
        self.in_order.insert((moment, id.0));
    }

    /// Takes the moment of an object away; returns what went with it.
    pub(crate) fn forget(&mut self, id: ObjectId) -> Option<T> {
        let (moment, value) = self.of.remove(&id.0)?;
        self.in_order.remove(&(moment, id.0));
        Some(value)
    }

    /// Returns whether the moment of some object has come.
    pub(crate) fn has_due(&self, now: Moment) -> bool {
        let first = self.in_order.first();
        first.is_some_and(|(moment, _)| *moment <= now)
    }

    /// Takes the moment away that has come first, if any has.
    pub(crate) fn next_due(&mut self, now: Moment) -> Option<(ObjectId, T)> {
        let &(moment, id) = self.in_order.first()?;
        let id = ObjectId(id);
        (moment <= now).then(|| Some((id, self.forget(id)?)))?
    }
}
