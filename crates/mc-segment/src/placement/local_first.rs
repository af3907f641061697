//! The writer's host first, then the others in a ring.

use super::Search;
use crate::{buffer::PlacedBuffer, table::Host};

impl Search<'_> {
    /// Tries the hosts in their order; the replicas begin at hosts of their
    /// own as long as there are enough.
    pub(super) fn attempt_local(&mut self) -> Option<PlacedBuffer> {
        if self.request.host.is_empty() {
            return None;
        }
        let hosts = &self.table.hosts;
        let own = hosts.partition_point(|host| host.name.as_str() < self.request.host);
        let first = own + self.taken.len();
        for step in 0..hosts.len() {
            let host = &hosts[(first + step) % hosts.len()];
            if let Some(placed) = self.attempt_on_host(host) {
                return Some(placed);
            }
        }
        None
    }

    fn attempt_on_host(&mut self, host: &Host) -> Option<PlacedBuffer> {
        let count = host.names.len();
        // The remainder is below the number of names.
        let first = usize::try_from(self.request.key_hash % count as u64).unwrap_or(0);
        for step in 0..count {
            let siblings = host.names[(first + step) % count].clone();
            let start = siblings.start + self.draw.place(siblings.len());
            for place in (start..siblings.end).chain(siblings.start..start) {
                // Whether the segment seems to have a hole does not matter: a
                // freed block of the very size may be kept for the writer.
                if let Some(placed) = self.attempt(place) {
                    return Some(placed);
                }
            }
        }
        None
    }
}
