//! [`Returned`]: objects that were passed over while somebody held them.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::policy::ObjectId;

/// Ids of objects that are to be looked at again.
#[derive(Debug, Default)]
pub(crate) struct Returned {
    ids: Mutex<Vec<ObjectId>>,
    /// Whether there are any: a hint, so `Relaxed`.
    has_some: AtomicBool,
}

impl Returned {
    pub(crate) fn push(&self, id: ObjectId) {
        self.ids.lock().push(id);
        self.has_some.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.has_some.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self, count_max: usize) -> Vec<ObjectId> {
        if !self.has_some.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut ids = self.ids.lock();
        let rest = ids.len().saturating_sub(count_max);
        let taken = ids.split_off(rest);
        self.has_some.store(rest > 0, Ordering::Relaxed);
        taken
    }
}
