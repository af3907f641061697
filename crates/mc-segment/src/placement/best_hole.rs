//! The segment whose largest hole fits most tightly.

use super::Search;

impl Search<'_> {
    /// Reads one number of every segment; of equal holes the first after a
    /// random start is taken.
    pub(super) fn choose_best_hole(&mut self) -> Option<usize> {
        let size = self.request.size;
        let entries = &self.table.entries;
        let start = self.draw.place(entries.len());
        let mut best = None;
        // What remains of a hole. That of one too small wraps around to at
        // least this bound, as no request is empty.
        let mut least = size.wrapping_neg();
        for places in [start..entries.len(), 0..start] {
            let first = places.start;
            for (index, entry) in entries[places].iter().enumerate() {
                let rest = entry.recent_largest_hole().wrapping_sub(size);
                if rest < least && self.is_eligible(first + index) {
                    (best, least) = (Some(first + index), rest);
                }
            }
        }
        best
    }
}
