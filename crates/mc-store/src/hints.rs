//! What a put says about when its object should leave.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use crate::{clock::Moment, policy::ObjectId, tenants::Tenant};

/// Whose an object is, and what its put has said of its leaving.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    pub(crate) tenant: Option<Arc<Tenant>>,
    pub(crate) priority: i8,
    /// Zero if it was not to be kept.
    pub(crate) keep_until: Moment,
}

/// Objects that are kept for some time, and until when.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    until: HashMap<u32, (Moment, u64)>,
    /// By the end; one that is kept for longer has another end in the map.
    ends: BinaryHeap<Reverse<(Moment, u32)>>,
    bytes: u64,
}

impl PartialEq for Hints {
    fn eq(&self, other: &Self) -> bool {
        let number = |hints: &Self| hints.tenant.as_ref().map(|tenant| tenant.number);
        number(self) == number(other)
            && (self.priority, self.keep_until) == (other.priority, other.keep_until)
    }
}

impl Keeping {
    /// Returns the bytes of all that is kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn until(&self, id: ObjectId) -> Option<Moment> {
        self.until.get(&id.0).map(|&(until, _)| until)
    }

    /// Keeps an object, or keeps it for longer.
    pub(crate) fn keep(&mut self, id: ObjectId, until: Moment, bytes: u64) {
        if self.until(id).is_some_and(|before| before >= until) {
            return;
        }
        self.forget(id);
        self.until.insert(id.0, (until, bytes));
        self.bytes += bytes;
        self.ends.push(Reverse((until, id.0)));
    }

    pub(crate) fn forget(&mut self, id: ObjectId) {
        if self.until.is_empty() {
            return;
        }
        if let Some((_, bytes)) = self.until.remove(&id.0) {
            self.bytes -= bytes;
        }
        if self.until.is_empty() {
            self.ends = BinaryHeap::new();
        }
    }

    /// Returns whether the time of some object may be over.
    pub(crate) fn has_due(&self, now: Moment) -> bool {
        self.ends
            .peek()
            .is_some_and(|&Reverse((until, _))| until <= now)
    }

    /// Forgets an object whose time is over; returns it, or nothing for an end
    /// that does not count any more.
    pub(crate) fn next_due(&mut self) -> Option<ObjectId> {
        let Reverse((until, id)) = self.ends.pop()?;
        let id = ObjectId(id);
        (self.until(id) == Some(until)).then(|| {
            self.forget(id);
            id
        })
    }
}
