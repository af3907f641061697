//! Victims strictly in order, until a hole appears.

use super::Room;
use crate::{order::SLICE, plan::Freed};

impl Room<'_> {
    /// Claims objects in order until their places make a hole; all of them
    /// leave.
    pub(super) fn claim_in_order(&mut self) -> bool {
        let before = self.claimed.len();
        let mut freed = Freed::default();
        // What leaves for another replica may leave places here, too.
        let claimed = self.claimed.iter();
        let room = claimed
            .filter_map(|object| freed.add(object, &self.demand))
            .next();
        if let Some(room) = room {
            self.take_name(room.segment);
            return true;
        }
        loop {
            let next = self.candidates(SLICE);
            if next.is_empty() {
                let others = self.claimed.drain(before..).collect();
                self.spare(others);
                return false;
            }
            for seen in next {
                let Some(object) = self.shared.index.upgrade(seen) else {
                    continue;
                };
                let is_claimed = self.take(&object);
                // The next ones are behind those that are hidden.
                let mut ranks = self.shared.order.lock();
                ranks.hide_if_stored(&self.shared.index, &object, self.now);
                drop(ranks);
                if !is_claimed {
                    continue;
                }
                let room = freed.add(&object, &self.demand);
                self.claimed.push(object);
                if let Some(room) = room {
                    self.take_name(room.segment);
                    return true;
                }
            }
        }
    }
}
