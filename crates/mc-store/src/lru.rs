//! The order of last use, as a list threaded through slot numbers.

/// The end of the list on both sides; slot `n` has the link `n + 1`.
const ANCHOR: usize = 0;

/// Slots in the order of their last use; every operation takes constant time.
///
/// A slot is in the list iff its link does not point at itself.
#[derive(Debug)]
pub(super) struct Lru {
    /// The anchor's link, whose `newer` is the oldest slot and whose `older`
    /// is the newest, then one link per slot.
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    older: usize,
    newer: usize,
}

impl Lru {
    pub(super) fn new() -> Self {
        let links = vec![Link::alone(ANCHOR)];
        Self { links }
    }

    /// Makes a slot the newest, whether or not it is in the list.
    pub(super) fn touch(&mut self, slot: usize) {
        let at = slot + 1;
        while self.links.len() <= at {
            self.links.push(Link::alone(self.links.len()));
        }
        self.remove(slot);
        let newest = self.links[ANCHOR].older;
        self.links[at] = Link {
            older: newest,
            newer: ANCHOR,
        };
        self.links[newest].newer = at;
        self.links[ANCHOR].older = at;
    }

    /// Takes a slot out, if it is in the list.
    pub(super) fn remove(&mut self, slot: usize) {
        let at = slot + 1;
        let Some(&Link { older, newer }) = self.links.get(at) else {
            return;
        };
        self.links[older].newer = newer;
        self.links[newer].older = older;
        self.links[at] = Link::alone(at);
    }

    /// Returns the slot whose last use is longest ago.
    pub(super) fn oldest(&self) -> Option<usize> {
        self.links[ANCHOR].newer.checked_sub(1)
    }

    /// Returns the slots, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let newer = |slot: &usize| self.links[slot + 1].newer.checked_sub(1);
        std::iter::successors(self.oldest(), newer)
    }
}

impl Link {
    fn alone(at: usize) -> Self {
        Self {
            older: at,
            newer: at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(lru: &Lru, slots: &[usize]) {
        assert_eq!(lru.iter().collect::<Vec<_>>(), slots);
        assert_eq!(lru.oldest(), slots.first().copied());
    }

    #[test]
    fn touched_slots_are_the_newest() {
        let mut lru = Lru::new();
        expect(&lru, &[]);
        [4, 0, 2].into_iter().for_each(|slot| lru.touch(slot));
        expect(&lru, &[4, 0, 2]);
        lru.touch(4);
        expect(&lru, &[0, 2, 4]);
        lru.touch(4);
        expect(&lru, &[0, 2, 4]);
    }

    #[test]
    fn removed_slots_are_gone_and_can_come_back() {
        let mut lru = Lru::new();
        (0..4).for_each(|slot| lru.touch(slot));
        [0, 2, 2, 99].into_iter().for_each(|slot| lru.remove(slot));
        expect(&lru, &[1, 3]);
        lru.touch(2);
        expect(&lru, &[1, 3, 2]);
        [1, 2, 3].into_iter().for_each(|slot| lru.remove(slot));
        expect(&lru, &[]);
    }

    #[test]
    fn agrees_with_a_plain_list() {
        let mut lru = Lru::new();
        let mut model: Vec<usize> = Vec::new();
        let mut state = 7_u32;
        for _ in 0..5_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slot = (state >> 16) as usize % 20;
            model.retain(|known| *known != slot);
            if state >> 31 == 0 {
                model.push(slot);
                lru.touch(slot);
            } else {
                lru.remove(slot);
            }
            expect(&lru, &model);
        }
    }
}
