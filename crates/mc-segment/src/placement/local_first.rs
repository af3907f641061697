//! The writer's host first, then the others in a ring.

use std::{ops::Range, sync::Arc};

use smallvec::SmallVec;

use super::Search;

impl Search<'_> {
    /// Tries the hosts in their order; the replicas begin at hosts of their
    /// own as long as there are enough.
    pub(super) fn attempt_local(&mut self) -> bool {
        let len = self.table.rows.len();
        if self.request.host.is_empty() || len == 0 {
            return false;
        }
        // Segments without a host come first and are in no ring.
        let first_hosted = self.table.rows.lower_bound(|row| {
            // Less than a host, or a host.
            if row.host().is_none() {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Greater
            }
        });
        if first_hosted == len {
            return false;
        }
        let ring = first_hosted..len;
        let mut start = self.table.host_at_or_after(self.request.host);
        for _ in 0..self.taken_names.len() {
            start = self.host_end(self.wrapped(start, &ring));
        }
        let start = self.wrapped(start, &ring);
        let mut at = start;
        loop {
            let end = self.host_end(at);
            if self.attempt_on_host(at..end) {
                return true;
            }
            at = self.wrapped(end, &ring);
            if at == start {
                return false;
            }
        }
    }

    fn wrapped(&self, place: usize, ring: &Range<usize>) -> usize {
        if place < ring.end { place } else { ring.start }
    }

    /// Returns the place behind the segments of the host at a place.
    fn host_end(&self, first: usize) -> usize {
        let rows = &self.table.rows;
        let host = rows.row(first).host();
        let is_same =
            |place: &usize| rows.row(*place).host().map(Arc::as_ptr) == host.map(Arc::as_ptr);
        (first..rows.len()).take_while(is_same).count() + first
    }

    /// Tries the segments of a host, which lie together.
    fn attempt_on_host(&mut self, segments: Range<usize>) -> bool {
        let names = self.names(segments);
        let count = names.len();
        let hash = self.request.key_hash.unwrap_or(0);
        // The remainder is below the number of names.
        let first = usize::try_from(hash % count as u64).unwrap_or(0);
        let (before, ring) = names.split_at(first);
        let mut ring = ring.iter().chain(before);
        ring.any(|siblings| {
            let start = siblings.start + self.draw.place(siblings.len());
            // Whether a segment seems to have a hole does not matter: a freed
            // block of the very size may be kept for the writer.
            let mut places = (start..siblings.end).chain(siblings.start..start);
            places.any(|place| self.attempt(place))
        })
    }

    /// Returns the segments of each name among those of a host.
    fn names(&self, segments: Range<usize>) -> SmallVec<[Range<usize>; 8]> {
        let rows = &self.table.rows;
        let mut names: SmallVec<[Range<usize>; 8]> = SmallVec::new();
        for place in segments {
            match names.last_mut() {
                Some(name) if Arc::ptr_eq(rows.row(name.start).name(), rows.row(place).name()) => {
                    name.end = place + 1;
                }
                _ => names.push(place..place + 1),
            }
        }
        names
    }
}
