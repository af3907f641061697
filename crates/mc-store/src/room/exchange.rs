//! The place of one who leaves, handed over to a request of the same size.

use mc_segment::PlacedBuffer;
use parking_lot::MutexGuard;

use super::{Made, Room};
use crate::{object::Object, options::Eviction, order::Ranks, stats::Cause};

impl Room<'_> {
    /// Lets the only one of some objects go at once if it may and its place suits;
    /// returns whether it has gone.
    pub(super) fn exchange(
        &mut self,
        mut ranks: MutexGuard<'_, Ranks>,
        objects: &mut [Object],
    ) -> bool {
        let [only] = objects else {
            return false;
        };
        let is_planned_otherwise =
            self.budget > 0 || self.shared.options.eviction == Eviction::InOrder;
        if is_planned_otherwise
            || !self.suits(only)
            || ranks
                .claim(only, &self.rights, self.now, Object::leave)
                .is_err()
        {
            return false;
        }
        self.made = Some(self.take_over(ranks, only));
        true
    }

    /// Lets the only one of some objects go that were claimed, if its place suits;
    /// returns what was made then.
    pub(super) fn exchange_claimed(&self, claimed: &mut [Object]) -> Option<Made> {
        let [only] = claimed else {
            return None;
        };
        let suits = self.suits(only);
        suits.then(|| self.take_over(self.shared.order.lock(), only))
    }

    /// Lets an object go that was claimed; returns what was made.
    fn take_over(&self, mut ranks: MutexGuard<'_, Ranks>, object: &mut Object) -> Made {
        let cause = Cause::OnDemand;
        self.shared.take_out(&mut ranks, object, cause, self.now);
        drop(ranks);
        object.take_only_replica().map_or(Made::Room, Made::Place)
    }

    /// Returns whether the place of an object is as if it had been made for the
    /// request, and no other could be: what is free beside it is less than the
    /// request, so that nothing is gained if it is freed and looked for again.
    fn suits(&self, object: &Object) -> bool {
        let size = self.demand.size;
        let mut replicas = object.replicas();
        let is_only = |buffer: &PlacedBuffer| buffer.recent_free_bytes() < size;
        object.size() == size
            && self.may_exchange
            && !self.has_planned_hole
            && replicas.all(is_only)
            && self.demand.own_place(object).is_some()
    }
}
