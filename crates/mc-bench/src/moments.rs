//! What a run looks like at regular moments: figures, and a map of the pool.
//!
//! They become fields of the record whose names end in [`SUFFIX`]; the first figure is what the others are
//! drawn over. Nothing is kept unless a request asks for it, as making a map reads every object.

use crate::record::Run;

/// Ends the names of fields that hold moments.
pub const SUFFIX: &str = "_moments";

/// Field of the maps, one after another: a digit for each cell, 0 for free and 9 for full.
pub const MAP: &str = "map_moments";

/// Cells of a map.
pub const CELLS: u64 = 192;

/// Shares are kept to this fraction, so that a document stays readable.
const SHARE_STEPS: f64 = 1e4;

/// The moments of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    figures: Vec<(&'static str, Vec<f64>)>,
    maps: String,
}

/// Which share of each cell of a pool is held, while objects are added.
#[derive(Clone, Debug)]
pub struct Map {
    pool_bytes: u64,
    held_bytes: Vec<u64>,
}

impl Moments {
    /// Appends a moment: figures under names that end in [`SUFFIX`], and a map where there is one.
    ///
    /// # Panics
    ///
    /// Panics if the names are not those of the moment before.
    pub fn push(&mut self, figures: &[(&'static str, f64)], map: Option<&Map>) {
        if self.figures.is_empty() {
            let empty = figures.iter().map(|&(name, _)| (name, Vec::new()));
            self.figures = empty.collect();
        }
        assert_eq!(self.figures.len(), figures.len(), "a figure is missing");
        for ((name, list), (given, figure)) in self.figures.iter_mut().zip(figures) {
            assert_eq!(name, given, "figures are in another order");
            list.push(*figure);
        }
        self.maps.extend(map.into_iter().flat_map(Map::digits));
    }

    /// Appends what was kept to a run.
    pub fn describe(&self, run: &mut Run) {
        let figures = self.figures.iter();
        figures.for_each(|(name, list)| run.set(name, list.as_slice()));
        if !self.maps.is_empty() {
            run.set(MAP, self.maps.as_str());
        }
    }
}

impl Map {
    /// Creates the map of an empty pool of so many cells.
    #[must_use]
    pub fn new(pool_bytes: u64, cells: u64) -> Self {
        let held_bytes = vec![0; usize::try_from(cells).unwrap_or_default()];
        Self {
            pool_bytes,
            held_bytes,
        }
    }

    /// Adds an object; what lies behind the end of the pool is left out.
    pub fn add(&mut self, offset_bytes: u64, size_bytes: u64) {
        let end = offset_bytes.saturating_add(size_bytes).min(self.pool_bytes);
        let mut start = offset_bytes;
        while start < end {
            let cell = self.cell_of(start);
            let stop = end.min(self.cell_end(cell));
            let index = usize::try_from(cell).unwrap_or(usize::MAX);
            self.held_bytes[index] += stop - start;
            start = stop;
        }
    }

    /// The cell that the byte lies in, where cell `n` ends before byte `(n + 1) * pool / cells`, rounded up.
    fn cell_of(&self, byte: u64) -> u64 {
        let cell = u128::from(byte) * self.cells() / u128::from(self.pool_bytes);
        u64::try_from(cell).unwrap_or(u64::MAX)
    }

    fn cell_end(&self, cell: u64) -> u64 {
        let end = (u128::from(cell) + 1) * u128::from(self.pool_bytes);
        u64::try_from(end.div_ceil(self.cells())).unwrap_or(u64::MAX)
    }

    fn cells(&self) -> u128 {
        self.held_bytes.len() as u128
    }

    /// Returns each cell with its bytes and those of them that are held.
    fn filled(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut start = 0;
        (0..).zip(&self.held_bytes).map(move |(cell, &held)| {
            let end = self.cell_end(cell).min(self.pool_bytes);
            let bytes = end - start;
            start = end;
            (bytes, held)
        })
    }

    /// Returns the share of each cell that is held, rounded up so that no object vanishes from the picture.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let share = |(bytes, held): (u64, u64)| {
            let share = held as f64 / bytes.max(1) as f64;
            (share * SHARE_STEPS).ceil() / SHARE_STEPS
        };
        self.filled().map(share).collect()
    }

    /// Returns a digit for each cell; 0 and 9 stand for nothing and everything alone.
    fn digits(&self) -> impl Iterator<Item = char> {
        self.filled().map(|(bytes, held)| {
            let digit = match held {
                0 => 0,
                held if held >= bytes => 9,
                held => 1 + u128::from(held) * 8 / u128::from(bytes),
            };
            char::from_digit(u32::try_from(digit).unwrap_or(9), 10).unwrap_or('9')
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_map(pool_bytes: u64, objects: &[(u64, u64)], expected_start: &str) {
        let mut map = Map::new(pool_bytes, CELLS);
        objects
            .iter()
            .for_each(|&(offset, size)| map.add(offset, size));
        let digits: String = map.digits().collect();
        assert_eq!(digits.len() as u64, CELLS);
        assert_eq!(&digits[..expected_start.len()], expected_start);
        let held: u64 = objects.iter().map(|(_, size)| size).sum();
        assert_eq!(map.held_bytes.iter().sum::<u64>(), held.min(pool_bytes));
    }

    #[test]
    fn objects_count_in_the_cells_that_they_lie_in() {
        check_map(10 * CELLS, &[], "000");
        check_map(10 * CELLS, &[(0, 10), (15, 25), (49, 1)], "95991");
        check_map(10 * CELLS, &[(0, 10 * CELLS)], &"9".repeat(192));
        // Cells of two bytes and of one in turns.
        check_map(CELLS + 96, &[(0, 2), (3, 1)], "905");
        check_map(CELLS + 96, &[(0, CELLS + 96)], &"9".repeat(192));
    }

    #[test]
    fn an_object_that_fills_a_pool_smaller_than_its_cells_is_seen() {
        check_map(3, &[(0, 3)], "9");
        check_map(u64::MAX, &[(0, u64::MAX)], &"9".repeat(192));
    }

    #[test]
    fn shares_are_of_the_cells_that_objects_lie_in() {
        let mut map = Map::new(4 * 8, 8);
        map.add(1, 2);
        map.add(6, 10);
        assert_eq!(map.shares()[..5], [0.5, 0.5, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn moments_become_lists_of_equal_length() {
        let mut moments = Moments::default();
        let map = Map::new(1 << 20, CELLS);
        moments.push(
            &[("requests_moments", 1.0), ("hits_moments", 0.5)],
            Some(&map),
        );
        moments.push(
            &[("requests_moments", 2.0), ("hits_moments", 0.7)],
            Some(&map),
        );
        let mut run = Run::default();
        moments.describe(&mut run);
        assert_eq!(
            run.value("hits_moments"),
            Some(&[0.5, 0.7].as_slice().into())
        );
        assert_eq!(run.text(MAP).map(str::len), Some(384));
        let mut run = Run::default();
        Moments::default().describe(&mut run);
        assert_eq!(run, Run::default());
    }
}
