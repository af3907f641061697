//! Who owns the blocks of a chunk: a number for each node of its allocator.
//!
//! The table grows by parts and never moves, so that numbers are set and read
//! without a lock. Its groups double in length, and a group is made in eight
//! parts, so that at most an eighth of what is used is made in vain.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Nodes of the first group; each later one has as many as all before it.
const FIRST_LEN: u32 = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 8;

/// Groups that the numbers of nodes fall into.
const GROUPS: usize = (u32::BITS - FIRST_BITS + 1) as usize;

/// Parts of a group.
const PARTS: u32 = 8;
const _: () = assert!(FIRST_LEN.is_multiple_of(PARTS), "parts are of equal length");

/// The owners of one allocator's nodes; a node that was never owned takes no
/// memory until one near it is.
#[derive(Default)]
pub(crate) struct Owners(OnceLock<Box<Groups>>);

type Groups = [OnceLock<Box<Group>>; GROUPS];
type Group = [OnceLock<Box<[AtomicU32]>>; PARTS as usize];

/// Where the number of a node is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    group: usize,
    part: usize,
    /// Nodes of the part.
    part_len: u32,
    index: usize,
}

impl Owners {
    /// Returns the owner of a node, if it has one.
    #[inline]
    pub(crate) fn get(&self, node: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(self.cell(node)?.load(Ordering::Relaxed))
    }

    /// Sets or clears the owner of a node.
    ///
    /// `Relaxed`, as nothing is read because of it: whoever finds an owner asks
    /// the owner, under the owner's own lock, whether it still has the block.
    pub(crate) fn set(&self, node: u32, owner: Option<NonZeroU32>) {
        match owner {
            Some(owner) => self.make_cell(node).store(owner.get(), Ordering::Relaxed),
            None => self.clear(node),
        }
    }

    /// Clears the owner of a node, if it has one.
    #[inline]
    pub(crate) fn clear(&self, node: u32) {
        // Most blocks of pools without a store have none: nothing is written.
        if let Some(cell) = self.cell(node)
            && cell.load(Ordering::Relaxed) != 0
        {
            cell.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    fn cell(&self, node: u32) -> Option<&AtomicU32> {
        let groups = self.0.get()?;
        let place = place(node);
        let part = groups[place.group].get()?[place.part].get()?;
        part.get(place.index)
    }

    fn make_cell(&self, node: u32) -> &AtomicU32 {
        let groups = self.0.get_or_init(Box::default);
        let place = place(node);
        let group = groups[place.group].get_or_init(Box::default);
        let empty = || (0..place.part_len).map(|_| AtomicU32::new(0)).collect();
        &group[place.part].get_or_init(empty)[place.index]
    }
}

#[inline]
fn place(node: u32) -> Place {
    let group = u32::BITS - (node >> FIRST_BITS).leading_zeros();
    let (first, len) = match group {
        0 => (0, FIRST_LEN),
        _ => (FIRST_LEN << (group - 1), FIRST_LEN << (group - 1)),
    };
    let part_len = len / PARTS;
    let within = node - first;
    Place {
        group: group as usize,
        part: (within / part_len) as usize,
        part_len,
        index: (within % part_len) as usize,
    }
}

impl fmt::Debug for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owners").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, thread};

    use super::*;

    #[test]
    fn every_node_has_a_place_of_its_own() {
        let mut seen = BTreeSet::new();
        for node in (0..70_000).chain([u32::MAX / 2, u32::MAX / 2 + 1, u32::MAX - 1, u32::MAX]) {
            let Place {
                group,
                part,
                part_len,
                index,
            } = place(node);
            assert!(group < GROUPS && part < PARTS as usize, "{node}");
            assert!(index < part_len as usize, "{node}");
            assert!(seen.insert((group, part, index)), "{node} shares a place");
        }
    }

    #[test]
    fn an_owner_stays_until_it_is_cleared() {
        let owners = Owners::default();
        let number = |node: u32| NonZeroU32::new(node + 1);
        let nodes = [0, 1, 31, 32, 255, 256, 300, 511, 512, 100_000];
        for node in nodes {
            assert_eq!(owners.get(node), None);
            owners.set(node, number(node));
        }
        for node in nodes {
            assert_eq!(owners.get(node), number(node));
            owners.clear(node);
            assert_eq!(owners.get(node), None);
        }
    }

    #[test]
    fn threads_set_owners_at_once() {
        let owners = Owners::default();
        let nodes = |thread: u32| (0..5000).map(move |node| node * 4 + thread);
        thread::scope(|scope| {
            for thread in 0..4 {
                let owners = &owners;
                scope.spawn(move || {
                    for node in nodes(thread) {
                        owners.set(node, NonZeroU32::new(node + 1));
                    }
                });
            }
        });
        for node in 0..20_000 {
            assert_eq!(owners.get(node), NonZeroU32::new(node + 1));
        }
    }
}
