//! Two choices weighted by capacity (M. Mitzenmacher: "The power of two choices
//! in randomized load balancing", 1996).

use super::Search;

impl Search<'_> {
    pub(super) fn choose_weighted(&mut self) -> Option<usize> {
        let rows = &self.table.rows;
        let (a, b) = (rows.draw(&mut self.draw)?, rows.draw(&mut self.draw)?);
        match (self.is_candidate(a), self.is_candidate(b)) {
            (true, true) if rows.row(b).is_emptier_than(rows.row(a)) => Some(b),
            (true, _) => Some(a),
            (false, true) => Some(b),
            (false, false) => None,
        }
    }
}
