//! [`Gdsf`]: greedy dual with size and frequency, for objects of very different sizes.
//!
//! Cherkasova, "Improving WWW proxies performance with greedy-dual-size-frequency caching policy"
//! (HP Labs, 1998).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::table::Table;
use super::{Facts, Leaving, ObjectId, Policy};

/// The object of the least `inflation + uses · cost / bytes` leaves first, where the inflation is what
/// the last victim had, so that old merit fades.
///
/// Objects whose cost nobody has told cost the same, so that many small hits count more than one large
/// one. 24 bytes per object and those of a place in a B-tree; all calls in O(log n).
#[derive(Debug)]
pub struct Gdsf {
    objects: Table<Merit>,
    /// The visible objects, the least first. Merits are not negative, so that their bits sort like
    /// their values.
    order: BTreeSet<(u64, u32)>,
    inflation: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Merit {
    /// What the object is ranked by: the inflation at its last use, and its uses times its gain.
    total: f64,
    /// What a use is worth, for each byte.
    gain: f64,
    uses: u32,
    is_hidden: bool,
}

impl Gdsf {
    /// Makes a policy without objects.
    #[must_use]
    pub fn new() -> Self {
        Self {
            objects: Table::new(),
            order: BTreeSet::new(),
            inflation: 0.0,
        }
    }

    fn merit(&self, id: ObjectId) -> Merit {
        let merit = self.objects.get(id.0);
        merit.unwrap_or_else(|| panic!("object {} is not here", id.0))
    }

    /// Replaces the merit of an object, and its place with it.
    fn set(&mut self, id: ObjectId, merit: Merit) {
        if let Some(before) = self.objects.insert(id.0, merit) {
            self.order.remove(&(before.total.to_bits(), id.0));
        }
        if !merit.is_hidden {
            self.order.insert((merit.total.to_bits(), id.0));
        }
    }
}

impl Default for Gdsf {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for Gdsf {
    fn insert(&mut self, id: ObjectId, facts: &Facts) {
        assert!(
            self.objects.get(id.0).is_none(),
            "object {} is already here",
            id.0
        );
        let gain = gain(facts);
        let merit = Merit {
            total: self.inflation + gain,
            gain,
            uses: 1,
            is_hidden: false,
        };
        self.set(id, merit);
    }

    fn used(&mut self, id: ObjectId) {
        let mut merit = self.merit(id);
        merit.uses = merit.uses.saturating_add(1);
        merit.total = self.inflation + f64::from(merit.uses) * merit.gain;
        self.set(id, merit);
    }

    fn remove(&mut self, id: ObjectId, _key_hash: u64, why: Leaving) {
        if why == Leaving::Evicted
            && let Some(&(least, _)) = self.order.first()
        {
            // Not the merit of the object itself: it may leave for the sake of its place.
            self.inflation = self.inflation.max(f64::from_bits(least));
        }
        let merit = self.merit(id);
        self.order.remove(&(merit.total.to_bits(), id.0));
        self.objects.remove(id.0);
        if self.objects.len() == 0 {
            self.inflation = 0.0;
        }
    }

    fn hide(&mut self, id: ObjectId) {
        let is_hidden = true;
        self.set(
            id,
            Merit {
                is_hidden,
                ..self.merit(id)
            },
        );
    }

    fn show(&mut self, id: ObjectId) {
        let is_hidden = false;
        self.set(
            id,
            Merit {
                is_hidden,
                ..self.merit(id)
            },
        );
    }

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        for &(_, id) in &self.order {
            if visit(ObjectId(id)).is_break() {
                return;
            }
        }
    }

    fn worth(&self, id: ObjectId) -> f64 {
        let merit = self.merit(id);
        // An object that is overdue still costs its one use.
        (merit.total - self.inflation).max(merit.gain / 2.0)
    }
}

/// Returns what a use of an object is worth, for each of its bytes.
pub(super) fn gain(facts: &Facts) -> f64 {
    let cost = if facts.cost > 0.0 && facts.cost.is_finite() {
        f64::from(facts.cost)
    } else {
        1.0
    };
    cost / facts.bytes.max(1) as f64
}
