//! What a put says about when its object should leave.

use std::sync::Arc;

use crate::{clock::Moment, deadlines::Deadlines, policy::ObjectId, tenants::Tenant};

/// Whose an object is, and what its put has said of its leaving.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    pub(crate) tenant: Option<Arc<Tenant>>,
    pub(crate) priority: i8,
    /// Zero if it was not to be kept.
    pub(crate) keep_until: Moment,
}

/// Until when an object is kept, if it is, and how many bytes may be kept in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepTerms {
    pub(crate) until: Moment,
    pub(crate) bytes_max: u64,
}

/// Objects that are kept for some time, until when, and their bytes.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    ends: Deadlines<u64>,
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
        self.ends.of(id)
    }

    /// Keeps an object, or keeps it for longer.
    pub(crate) fn keep(&mut self, id: ObjectId, until: Moment, bytes: u64) {
        if self.until(id).is_none_or(|before| before < until) {
            self.forget(id);
            self.ends.set(id, until, bytes);
            self.bytes += bytes;
        }
    }

    pub(crate) fn forget(&mut self, id: ObjectId) {
        self.bytes -= self.ends.forget(id).unwrap_or_default();
    }

    /// Returns whether the time of some object is over.
    pub(crate) fn has_due(&self, now: Moment) -> bool {
        self.ends.has_due(now)
    }

    /// Forgets an object whose time is over, and returns it.
    pub(crate) fn next_due(&mut self, now: Moment) -> Option<ObjectId> {
        let (id, bytes) = self.ends.next_due(now)?;
        self.bytes -= bytes;
        Some(id)
    }
}
