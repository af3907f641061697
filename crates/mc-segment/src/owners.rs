//! Who owns the blocks of a chunk: a number for each node of its allocator.
//!
//! The table consists of parts. A lock guards which there are; numbers are set
//! and read while it is held for reading. It is held for writing where a part is
//! made or given back, and nothing is waited for then.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU32, Ordering},
    },
};

/// Nodes of the first part; each of the next has as many as all before it, up to
/// [`PART_LEN`].
const FIRST_LEN: u32 = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 8;

/// Nodes of all parts but those that stay: what one call may have to make.
const PART_LEN: u32 = 1 << PART_BITS;
const PART_BITS: u32 = 12;

/// Parts that have fewer nodes, or the first that many: they stay once they are
/// made, so that a chunk with few blocks makes and gives back none.
const STAYING: usize = (PART_BITS - FIRST_BITS + 1) as usize;

/// The owners of one allocator's nodes; takes no memory until one is set.
#[derive(Default)]
pub(crate) struct Owners(OnceLock<Box<RwLock<Parts>>>);

#[derive(Default)]
struct Parts {
    staying: [Option<Part>; STAYING],
    others: Vec<Option<Part>>,
    /// The part that was left empty last. It stays until another is, so that a
    /// block that comes and goes does not make one each time.
    spare: Option<usize>,
}

struct Part {
    /// Nodes that have an owner. Raised while the lock is held for reading and
    /// believed to be zero while it is held for writing; so `Relaxed`.
    owned: AtomicU32,
    cells: Box<[AtomicU32]>,
}

/// Where the number of a node is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    part: usize,
    /// Nodes of the part.
    part_len: u32,
    index: usize,
}

impl Owners {
    /// Returns the owner of a node, if it has one.
    #[inline]
    pub(crate) fn get(&self, node: u32) -> Option<NonZeroU32> {
        self.lookup()(node)
    }

    /// Returns what tells the owner of a node, if it has one; parts are neither
    /// made nor given back while it exists.
    #[inline]
    pub(crate) fn lookup(&self) -> impl Fn(u32) -> Option<NonZeroU32> + '_ {
        let parts = self.read();
        move |node| {
            let place = place(node);
            let part = parts.as_ref()?.part(&place)?;
            NonZeroU32::new(part.cells[place.index].load(Ordering::Relaxed))
        }
    }

    /// Sets or clears the owner of a node.
    ///
    /// `Relaxed`, as nothing is read because of it: whoever finds an owner asks
    /// the owner, under the owner's own lock, whether it still has the block.
    pub(crate) fn set(&self, node: u32, owner: Option<NonZeroU32>) {
        let Some(owner) = owner else {
            return self.clear(node);
        };
        let place = place(node);
        let parts = self.0.get_or_init(Box::default);
        loop {
            let held = parts.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(part) = held.part(&place) {
                part.set(place.index, owner.get());
                return;
            }
            drop(held);
            let mut held = parts.write().unwrap_or_else(PoisonError::into_inner);
            held.make(&place);
        }
    }

    /// Clears the owner of a node, if it has one.
    #[inline]
    pub(crate) fn clear(&self, node: u32) {
        // Blocks of pools without a store have none: nothing is locked.
        let Some(parts) = self.read() else { return };
        let place = place(node);
        let Some(part) = parts.part(&place) else {
            return;
        };
        let is_empty = part.set(place.index, 0);
        if is_empty && place.part >= STAYING {
            drop(parts);
            self.write().give_back(place.part);
        }
    }

    #[inline]
    fn read(&self) -> Option<RwLockReadGuard<'_, Parts>> {
        let parts = self.0.get()?;
        Some(parts.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Parts> {
        let parts = self.0.get_or_init(Box::default);
        parts.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    #[inline]
    fn part(&self, place: &Place) -> Option<&Part> {
        match place.part.checked_sub(STAYING) {
            None => self.staying[place.part].as_ref(),
            Some(other) => self.others.get(other)?.as_ref(),
        }
    }

    fn make(&mut self, place: &Place) {
        let part = match place.part.checked_sub(STAYING) {
            None => &mut self.staying[place.part],
            Some(other) => {
                if self.others.len() <= other {
                    self.others.resize_with(other + 1, || None);
                }
                &mut self.others[other]
            }
        };
        part.get_or_insert_with(|| Part {
            owned: AtomicU32::new(0),
            cells: (0..place.part_len).map(|_| AtomicU32::new(0)).collect(),
        });
    }

    /// Gives memory back after a part was left empty: that of all but those that
    /// stay, if no node of them has an owner any more.
    fn give_back(&mut self, emptied: usize) {
        if self.others.iter().flatten().all(Part::is_empty) {
            self.others = Vec::new();
            self.spare = None;
        } else if self.spare != Some(emptied)
            && let Some(spare) = self.spare.replace(emptied)
            && let Some(part) = self.others.get_mut(spare - STAYING)
        {
            part.take_if(|part| part.is_empty());
        }
    }
}

impl Part {
    /// Sets the number of a node, 0 for none; returns whether the part is left
    /// empty by that.
    #[inline]
    fn set(&self, index: usize, number: u32) -> bool {
        let before = self.cells[index].swap(number, Ordering::Relaxed);
        match (before, number) {
            (0, 0) => false,
            (0, _) => {
                self.owned.fetch_add(1, Ordering::Relaxed);
                false
            }
            (_, 0) => self.owned.fetch_sub(1, Ordering::Relaxed) == 1,
            (_, _) => false,
        }
    }

    fn is_empty(&self) -> bool {
        self.owned.load(Ordering::Relaxed) == 0
    }
}

#[inline]
fn place(node: u32) -> Place {
    if node >= PART_LEN {
        return Place {
            part: STAYING - 1 + (node >> PART_BITS) as usize,
            part_len: PART_LEN,
            index: (node % PART_LEN) as usize,
        };
    }
    let part = u32::BITS - (node >> FIRST_BITS).leading_zeros();
    let (first, part_len) = match part {
        0 => (0, FIRST_LEN),
        _ => (FIRST_LEN << (part - 1), FIRST_LEN << (part - 1)),
    };
    Place {
        part: part as usize,
        part_len,
        index: (node - first) as usize,
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
                part,
                part_len,
                index,
            } = place(node);
            assert!(index < part_len as usize, "{node}");
            assert!(seen.insert((part, index)), "{node} shares a place");
            assert_eq!(part < STAYING, node < PART_LEN, "{node}");
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

    fn parts(owners: &Owners) -> usize {
        let held = owners.read().unwrap();
        held.staying.iter().chain(&held.others).flatten().count()
    }

    #[test]
    fn parts_are_given_back_when_no_node_has_an_owner() {
        let owners = Owners::default();
        for node in 0..100_000 {
            owners.set(node, NonZeroU32::new(7));
        }
        assert_eq!(parts(&owners), STAYING + 100_000_usize.div_ceil(4096) - 1);
        for node in 0..100_000 {
            owners.clear(node);
        }
        assert_eq!(parts(&owners), STAYING);
        assert_eq!(owners.read().unwrap().others.capacity(), 0);
    }

    #[test]
    fn one_empty_part_stays_for_the_next_block() {
        let owners = Owners::default();
        let nodes = [0, 10_000, 20_000, 30_000];
        for node in nodes {
            owners.set(node, NonZeroU32::new(7));
        }
        for (node, left) in [(10_000, 4), (20_000, 3), (20_000, 3)] {
            owners.set(node, NonZeroU32::new(8));
            owners.clear(node);
            assert_eq!(parts(&owners), left, "after {node}");
        }
        owners.set(10_000, NonZeroU32::new(9));
        owners.clear(30_000);
        assert_eq!(owners.get(10_000), NonZeroU32::new(9));
    }
}
