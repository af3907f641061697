//! Letting objects go before there is no room.

use std::sync::atomic::Ordering;

use crate::{
    clock::Moment,
    ledger::Rights,
    object::{Object, Objects, WeakObjects, downgraded},
    order::{Candidates, SLICE},
    shared::Shared,
    stats::Cause,
};

impl Shared {
    /// Lets some objects go if the high watermark has been passed and the low
    /// one is not reached: at most [`SLICE`] of them, so that a put that
    /// happens to pass it does not pay for all.
    pub(crate) fn evict_to_watermark(&self, now: Moment) {
        let Some(watermarks) = self.options.watermarks else {
            return;
        };
        let capacity = self.pool.placeable_bytes();
        let live = || self.pool.placed_bytes_in_placeable();
        let is_above = || {
            self.is_above_watermark.load(Ordering::Relaxed)
                || live() > watermarks.high_bytes(capacity)
        };
        if !is_above() {
            return;
        }
        let Some(_evicting) = self.order.begin_evicting() else {
            return;
        };
        // Others may have let go meanwhile what was too much.
        if !is_above() {
            return;
        }
        self.is_above_watermark.store(true, Ordering::Relaxed);
        let live = live();
        let excess = live.saturating_sub(watermarks.low_bytes(capacity));
        let victims = self.first_in_order(excess, now);
        let bytes: u64 = victims.iter().map(placeable_bytes).sum();
        if bytes >= excess {
            self.is_above_watermark.store(false, Ordering::Relaxed);
        }
        self.let_go(victims, Cause::Watermark, now);
    }

    /// Claims the first objects in order that have some bytes together, or as
    /// many as are let go at once.
    fn first_in_order(&self, bytes: u64, now: Moment) -> Objects {
        let mut rights = Rights::of_nobody();
        let mut next = WeakObjects::new();
        let ranks = self.order.ranks();
        for rank_max in ranks {
            rights.rank_max = rank_max;
            next = self.next_in_order(&rights, now);
            if !next.is_empty() {
                break;
            }
        }
        let mut left = bytes;
        let mut victims = Objects::new();
        for seen in next {
            if left == 0 {
                break;
            }
            let Some(object) = self.index.upgrade(seen) else {
                continue;
            };
            if self.claim(&object, &rights, now, Object::leave).is_ok() {
                left = left.saturating_sub(placeable_bytes(&object));
                victims.push(object);
            }
        }
        victims
    }

    fn next_in_order(&self, rights: &Rights, now: Moment) -> WeakObjects {
        loop {
            let mut ranks = self.order.lock_settled(&self.pool, &self.index, now);
            match ranks.candidates(&self.index, now, SLICE, rights, false, |_| true) {
                Candidates::Found(objects) => return downgraded(objects),
                Candidates::TryAgain => {}
            }
        }
    }
}

/// Returns the bytes of an object in segments that are open to placement.
fn placeable_bytes(object: &Object) -> u64 {
    let open = object.replicas().filter(|buffer| buffer.is_placeable());
    open.map(|buffer| buffer.size()).sum()
}
