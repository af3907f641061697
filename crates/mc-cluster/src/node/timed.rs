//! Things under numbers that go by themselves at a time.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

/// Things under numbers, each until a time.
///
/// Numbers are never used again. No call takes longer than the things that are
/// due.
#[derive(Debug)]
pub(crate) struct Timed<T> {
    things: HashMap<u64, (Instant, T)>,
    /// Exactly the times and numbers of the things.
    order: BTreeSet<(Instant, u64)>,
    next: u64,
}

impl<T> Timed<T> {
    pub(crate) fn new() -> Self {
        Self {
            things: HashMap::new(),
            order: BTreeSet::new(),
            // 0 is no number on the wire.
            next: 1,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.things.len()
    }

    pub(crate) fn insert(&mut self, until: Instant, thing: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.things.insert(number, (until, thing));
        self.order.insert((until, number));
        number
    }

    /// Returns a thing whose time has not come.
    pub(crate) fn get(&self, number: u64, now: Instant) -> Option<&T> {
        let (until, thing) = self.things.get(&number)?;
        (now < *until).then_some(thing)
    }

    /// Takes a thing out, due or not.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let (until, thing) = self.things.remove(&number)?;
        self.order.remove(&(until, number));
        Some(thing)
    }

    /// Takes out what is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<T> {
        let mut due = Vec::new();
        while let Some(&(until, number)) = self.order.first()
            && until <= now
        {
            due.extend(self.remove(number));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn things_go_at_their_time_and_numbers_stay_used() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut timed = Timed::new();
        let [late, early, taken] = [(30, 'l'), (10, 'e'), (20, 't')]
            .map(|(millis, thing)| timed.insert(at(millis), thing));
        assert_eq!(timed.remove(taken), Some('t'));
        assert_eq!(timed.remove(taken), None);
        assert_eq!(timed.get(early, at(9)), Some(&'e'));
        assert_eq!(timed.get(early, at(10)), None, "due, though not taken out");
        assert_eq!(timed.take_due(at(10)), ['e']);
        assert_eq!(timed.take_due(at(29)), []);
        assert_eq!(timed.get(late, at(29)), Some(&'l'));
        assert!(timed.insert(at(40), 'n') > late.max(early).max(taken));
        assert_eq!(timed.take_due(at(40)), ['l', 'n']);
        assert_eq!(timed.len(), 0);
    }
}
