//! The writer's host first, then the others in a ring.

use super::Search;
use crate::table::Host;

impl Search<'_> {
    /// Tries the hosts in their order; the replicas begin at hosts of their
    /// own as long as there are enough.
    pub(super) fn attempt_local(&mut self) -> bool {
        let hosts = &self.table.hosts;
        if self.request.host.is_empty() || hosts.is_empty() {
            return false;
        }
        let own = self.table.host_at_or_after(self.request.host);
        let first = (own + self.taken.len()) % hosts.len();
        let (before, ring) = hosts.split_at(first);
        let mut ring = ring.iter().chain(before);
        ring.any(|host| self.attempt_on_host(host))
    }

    fn attempt_on_host(&mut self, host: &Host) -> bool {
        let count = host.names.len();
        // The remainder is below the number of names.
        let first = usize::try_from(self.request.key_hash % count as u64).unwrap_or(0);
        let (before, ring) = host.names.split_at(first);
        let mut ring = ring.iter().chain(before);
        ring.any(|siblings| {
            let start = siblings.start + self.draw.place(siblings.len());
            // Whether a segment seems to have a hole does not matter: a freed
            // block of the very size may be kept for the writer.
            let mut places = (start..siblings.end).chain(siblings.start..start);
            places.any(|place| self.attempt(place))
        })
    }
}
