//! Policies beside plain models of them, on random programs.

mod auto;
mod cache;
mod chains;
mod classes;
mod order;

use std::ops::ControlFlow;

use super::{Facts, ObjectId, Parent, Policy};

/// A generator of numbers that needs no library (Steele et al., "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % bound
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = self.below(from.len().max(1) as u64);
        from.get(usize::try_from(at).unwrap()).copied()
    }
}

pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Returns the facts of an object whose key is a number.
pub(super) fn facts(key: u64, bytes: u64, parent: Parent) -> Facts {
    Facts {
        bytes,
        key_hash: mix(key),
        parent,
        root_hash: mix(key),
        depth: u32::from(parent != Parent::None),
        cost: 0.0,
    }
}

/// Returns all victims in order.
pub(super) fn victims(policy: &mut dyn Policy) -> Vec<u32> {
    let mut ids = Vec::new();
    policy.victims(&mut |ObjectId(id)| {
        ids.push(id);
        ControlFlow::Continue(())
    });
    ids
}

/// Returns the first victim.
pub(super) fn victim(policy: &mut dyn Policy) -> Option<ObjectId> {
    let mut first = None;
    policy.victims(&mut |id| {
        first = Some(id);
        ControlFlow::Break(())
    });
    first
}
