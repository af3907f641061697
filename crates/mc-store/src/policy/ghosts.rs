//! [`Ghosts`]: hashes of keys that have left, the latest ones.

use std::collections::BTreeMap;

/// A set of hashes that forgets the oldest. Its parts are trees and no tables, which move all that they
/// have when they grow.
#[derive(Debug)]
pub(super) struct Ghosts {
    /// The serial with which each hash was remembered last.
    serials: BTreeMap<u64, u64>,
    /// The hashes by these serials.
    hashes: BTreeMap<u64, u64>,
    serial: u64,
}

impl Ghosts {
    pub(super) fn new() -> Self {
        Self {
            serials: BTreeMap::new(),
            hashes: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Adds a hash, and forgets the oldest ones until no more than `len_max` are left.
    pub(super) fn remember(&mut self, hash: u64, len_max: usize) {
        self.serial += 1;
        if let Some(before) = self.serials.insert(hash, self.serial) {
            self.hashes.remove(&before);
        }
        self.hashes.insert(self.serial, hash);
        while self.serials.len() > len_max {
            let Some((_, hash)) = self.hashes.pop_first() else {
                break;
            };
            self.serials.remove(&hash);
        }
    }

    /// Takes a hash out, and returns whether it was there.
    pub(super) fn take(&mut self, hash: u64) -> bool {
        let serial = self.serials.remove(&hash);
        serial.is_some_and(|serial| self.hashes.remove(&serial).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_what_is_taken_is_gone() {
        let mut ghosts = Ghosts::new();
        for hash in 0..10 {
            ghosts.remember(hash, 4);
        }
        ghosts.remember(7, 4);
        assert!([6, 7, 8, 9].into_iter().all(|hash| ghosts.take(hash)));
        assert!((0..10).all(|hash| !ghosts.take(hash)));
    }

    #[test]
    fn memory_follows_what_may_be_remembered() {
        let mut ghosts = Ghosts::new();
        (0..100_000).for_each(|hash| ghosts.remember(hash, 10_000));
        (0..2).for_each(|hash| ghosts.remember(hash, 0));
        assert!(ghosts.serials.is_empty() && ghosts.hashes.is_empty());
    }
}
