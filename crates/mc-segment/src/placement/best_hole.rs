//! The segment whose largest hole fits most tightly.

use super::Search;

impl Search<'_> {
    /// Reads one number of every segment; of equal holes the first after a
    /// random start is taken.
    pub(super) fn choose_best_hole(&mut self) -> Option<usize> {
        let size = self.request.size;
        let len = self.table.entries.len();
        let start = self.draw.place(len);
        let mut best: Option<(u64, usize)> = None;
        for place in (start..len).chain(0..start) {
            let hole = self.entry(place).recent_largest_hole();
            let is_better = best.is_none_or(|(least, _)| hole < least);
            if size <= hole && is_better && self.is_eligible(place) {
                best = Some((hole, place));
            }
        }
        best.map(|(_, place)| place)
    }
}
