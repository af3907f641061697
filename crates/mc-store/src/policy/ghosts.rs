//! [`Ghosts`]: hashes of keys that have left, the latest ones.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

/// A set of hashes that forgets the oldest. What it holds does not depend on the process.
#[derive(Debug)]
pub(super) struct Ghosts {
    /// The serial with which each hash was remembered last.
    serials: HashMap<u64, u64, FixedState>,
    /// Hashes with their serials, the oldest first; those that were taken or remembered again have
    /// another serial in the map, or none.
    order: VecDeque<(u64, u64)>,
    serial: u64,
}

impl Ghosts {
    pub(super) fn new() -> Self {
        Self {
            serials: HashMap::default(),
            order: VecDeque::new(),
            serial: 0,
        }
    }

    /// Adds a hash, and forgets the oldest ones until no more than `len_max` are left.
    pub(super) fn remember(&mut self, hash: u64, len_max: usize) {
        self.serial += 1;
        self.serials.insert(hash, self.serial);
        self.order.push_back((hash, self.serial));
        while self.serials.len() > len_max || self.order.len() > 2 * len_max {
            let Some((hash, serial)) = self.order.pop_front() else {
                break;
            };
            if self.serials.get(&hash) == Some(&serial) {
                self.serials.remove(&hash);
            }
        }
        if len_max < self.order.capacity() / 8 {
            self.order.shrink_to(2 * len_max);
            self.serials.shrink_to(len_max);
        }
    }

    /// Takes a hash out, and returns whether it was there.
    pub(super) fn take(&mut self, hash: u64) -> bool {
        self.serials.remove(&hash).is_some()
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
        assert!(ghosts.serials.is_empty() && ghosts.order.capacity() < 100);
    }
}
