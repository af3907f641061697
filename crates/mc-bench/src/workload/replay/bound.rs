//! The most hits that any cache of a capacity can have, which knows all requests in advance.
//!
//! Where all objects have one size, it is what Belady's rule gives: whoever is asked for last leaves
//! first, the end of a prompt before its beginning, and what would leave at once is not stored. So no
//! object is kept without those before it, and hits of objects are hits of prefixes. Sizes that differ
//! have no such rule. There it is an upper bound: every stay of an object from one request to the next
//! takes its bytes for some time, and the stays of the most tokens for that are taken first, up to all
//! the bytes that the cache has over all the time (PFOO-L: Berger et al., "Practical bounds on optimal
//! caching with variable object sizes", SIGMETRICS 2018). Smaller objects kept for nothing beside
//! equal large ones are another upper bound; the lower of the two counts.

use std::collections::{BTreeSet, HashMap};

use crate::trace::Trace;
use crate::trace::layout::{Layout, ObjectKey};

/// One object of one request.
#[derive(Clone, Copy, Debug)]
struct Access {
    /// The object, by a number.
    object: usize,
    size_bytes: u64,
    /// Tokens that are hit with it, if it is the last object of its unit.
    tokens: u64,
    /// Position in its request.
    depth: usize,
    /// Position of its request.
    time: usize,
}

/// Requests as accesses to objects.
#[derive(Debug)]
pub(super) struct Future {
    accesses: Vec<Access>,
    objects: usize,
    tokens: u64,
    times: usize,
}

impl Future {
    pub(super) fn new(trace: &Trace, layout: &Layout) -> Self {
        let mut numbers: HashMap<ObjectKey, usize> = HashMap::new();
        let mut accesses = Vec::new();
        let mut tokens = 0;
        for (time, request) in trace.requests.iter().enumerate() {
            tokens += u64::from(request.input_tokens);
            let units = layout.units(trace, request);
            let objects = units.flat_map(|unit| {
                let objects: Vec<_> = unit.objects().collect();
                let last = objects.len() - 1;
                let tokens = move |at| if at == last { unit.tokens } else { 0 };
                let objects = objects.into_iter().enumerate();
                objects.map(move |(at, (key, size_bytes))| (key, size_bytes, tokens(at)))
            });
            for (depth, (key, size_bytes, tokens)) in objects.enumerate() {
                let next = numbers.len();
                accesses.push(Access {
                    object: *numbers.entry(key).or_insert(next),
                    size_bytes,
                    tokens,
                    depth,
                    time,
                });
            }
        }
        Self {
            accesses,
            objects: numbers.len(),
            tokens,
            times: trace.requests.len(),
        }
    }

    /// Returns the share of the tokens that a cache of so many bytes can hit at most.
    pub(super) fn hit_rate(&self, capacity_bytes: u64) -> f64 {
        let largest = self.accesses.iter().map(|access| access.size_bytes).max();
        let by_rule = self.hits_of_equals(capacity_bytes, largest.unwrap_or(1));
        let is_equal = self
            .accesses
            .iter()
            .all(|access| Some(access.size_bytes) == largest);
        let hits = if is_equal {
            by_rule
        } else {
            by_rule.min(self.hits_by_room(capacity_bytes))
        };
        hits / self.tokens.max(1) as f64
    }

    /// Belady's rule for objects of the largest size; smaller ones take no room.
    fn hits_of_equals(&self, capacity_bytes: u64, largest: u64) -> f64 {
        let next = self.next_times();
        let mut kept: Vec<Option<(usize, usize)>> = vec![None; self.objects];
        let mut order = BTreeSet::new();
        let mut hits = 0;
        for (at, access) in self.accesses.iter().enumerate() {
            if let Some((time, depth)) = kept[access.object].take() {
                order.remove(&(time, depth, access.object));
                hits += access.tokens;
            }
            if let Some(time) = next[at] {
                kept[access.object] = Some((time, access.depth));
                if access.size_bytes == largest {
                    order.insert((time, access.depth, access.object));
                }
            }
            let is_last = self
                .accesses
                .get(at + 1)
                .is_none_or(|next| next.time > access.time);
            while is_last && order.len() as u64 > capacity_bytes / largest {
                let (_, _, object) = order.pop_last().expect("there are more than none");
                kept[object] = None;
            }
        }
        hits as f64
    }

    /// Takes the stays of the most tokens for their room first, the last one in part.
    fn hits_by_room(&self, capacity_bytes: u64) -> f64 {
        let next = self.next_times();
        // Tokens that the end of the stay hits: those of the access to come.
        let mut last: Vec<Option<usize>> = vec![None; self.objects];
        let mut stays: Vec<(f64, f64)> = Vec::new();
        for (at, access) in self.accesses.iter().enumerate() {
            if let Some(before) = last[access.object] {
                let length = (access.time - self.accesses[before].time) as f64;
                let room = self.accesses[before].size_bytes as f64 * length;
                stays.push((access.tokens as f64, room));
            }
            last[access.object] = next[at].map(|_| at);
        }
        stays.sort_by(|(a, room_a), (b, room_b)| (b * room_a).total_cmp(&(a * room_b)));
        let mut left = capacity_bytes as f64 * self.times as f64;
        let mut hits = 0.0;
        for (tokens, room) in stays {
            let part = if room > left { left / room } else { 1.0 };
            hits += tokens * part;
            left -= room * part;
            if part < 1.0 {
                break;
            }
        }
        hits
    }

    /// Returns for each access the time of the next one to its object.
    fn next_times(&self) -> Vec<Option<usize>> {
        let mut coming = vec![None; self.objects];
        let accesses = self.accesses.iter().rev();
        let mut next: Vec<_> = accesses
            .map(|access| coming[access.object].replace(access.time))
            .collect();
        next.reverse();
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::BadLines;

    /// Keys and sizes, each a request.
    #[track_caller]
    fn check(objects: &str, capacity_bytes: u64, expected: f64) {
        let trace = Trace::read(objects.as_bytes(), BadLines::Refuse, 512).unwrap();
        let layout = Layout::named("blocks", 1).unwrap();
        let rate = Future::new(&trace, &layout).hit_rate(capacity_bytes);
        assert!((rate - expected).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn equal_objects_are_kept_by_the_time_of_their_next_request() {
        // In a round of three, room for two keeps one for every other request.
        check("a 5\nb 5\nc 5\na 5\nb 5\nc 5\n", 10, 2.0 / 6.0);
        check("a 5\nb 5\nc 5\na 5\nb 5\nc 5\n", 15, 3.0 / 6.0);
        check("a 5\nb 5\na 5\nb 5\n", 4, 0.0);
    }

    #[test]
    fn the_bound_of_unequal_objects_takes_the_least_room_first() {
        // Five bytes over six requests are room for the stays of `a` and `b`, twelve each, and for four
        // tenths of that of `c`. The rule for equal objects alone would allow all three.
        check("a 4\nb 4\nc 5\na 4\nb 4\nc 5\n", 5, 2.4 / 6.0);
        // Here that rule is stricter: nothing as large as `b` fits.
        check("a 1\nb 5\na 1\nb 5\n", 2, 1.0 / 4.0);
        check("a 1\nb 5\na 1\nb 5\n", 100, 2.0 / 4.0);
    }
}
