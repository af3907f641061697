//! The segment whose largest hole fits most tightly.

use super::Search;

impl Search<'_> {
    /// Reads one number of every segment; of equal holes the first after a
    /// random start is taken.
    pub(super) fn choose_best_hole(&mut self) -> Option<usize> {
        let size = self.request.size;
        let len = self.table.rows.len();
        let start = self.draw.place(len);
        let mut best = None;
        // What remains of a hole. That of one too small wraps around to at
        // least this bound, as no request is empty.
        let mut least = size.wrapping_neg();
        for place in (start..len).chain(0..start) {
            let rest = self.segment(place).recent_largest_hole().wrapping_sub(size);
            if rest < least && self.is_eligible(place) {
                (best, least) = (Some(place), rest);
            }
        }
        best
    }
}
