//! Who is next in order, of those whose places a request may use.

use parking_lot::MutexGuard;

use super::Room;
use crate::{
    object::{Object, Objects, WeakObjects, downgraded},
    order::{ASIDE_AT_ONCE, Candidates, Ranks, VISITS_MAX},
    shared::Shared,
};

/// Looks for a list of objects that may set others aside.
const LOOKS_SETTING_ASIDE: usize = VISITS_MAX / ASIDE_AT_ONCE;

impl<'a> Room<'a> {
    /// Returns the next objects in order whose places may be used.
    pub(super) fn candidates(&self, count: usize) -> WeakObjects {
        self.candidates_where(count, |object| self.demand.may_use_any(object))
    }

    /// Returns the next objects in order for which `is_usable` holds.
    pub(super) fn candidates_where(
        &self,
        count: usize,
        is_usable: impl Fn(&Object) -> bool,
    ) -> WeakObjects {
        let (ranks, objects) = self.look(count, is_usable);
        let seen = downgraded(objects);
        drop(ranks);
        seen
    }

    /// As [`candidates_where`](Self::candidates_where), under the lock that is
    /// returned.
    pub(super) fn look(
        &self,
        count: usize,
        is_usable: impl Fn(&Object) -> bool,
    ) -> (MutexGuard<'a, Ranks>, Objects) {
        let Shared { index, order, .. } = self.shared;
        let mut looks = 0;
        loop {
            let mut ranks = order.lock_settled(&self.shared.pool, index, self.now);
            let sets_aside = looks < LOOKS_SETTING_ASIDE;
            looks += 1;
            match ranks.candidates(index, self.now, count, &self.rights, sets_aside, &is_usable) {
                Candidates::Found(objects)
                    if !objects.is_empty() || order.is_settled(&ranks, self.now) =>
                {
                    return (ranks, objects);
                }
                // Some were in use and are hidden now, or are not any more.
                Candidates::Found(_) | Candidates::TryAgain => {}
            }
        }
    }
}
