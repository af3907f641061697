//! A picture of who lies where in a pool: the pool in cells of equal size, and of each cell the
//! share that small and that large objects hold.

use crate::subject::Placement;

/// Cells of a picture.
pub const CELLS: u32 = 1_024;

/// Shares are kept to this fraction, so that a document stays readable.
const STEPS: f64 = 1e4;

/// Which shares of its cells a pool's objects hold; the rest is free.
#[derive(Clone, Debug, PartialEq)]
pub struct Occupancy {
    /// Share of each cell that small objects hold, in address order.
    pub small: Vec<f64>,
    /// Share of each cell that all other objects hold.
    pub large: Vec<f64>,
}

impl Occupancy {
    /// Returns the picture of the objects of a pool of at least one byte per cell.
    ///
    /// # Panics
    ///
    /// Panics when the pool is smaller or an object does not lie within it.
    #[must_use]
    pub fn of(layout: &[Placement], pool_bytes: u64, small_bytes_max: u64) -> Self {
        let cell_bytes = pool_bytes.div_ceil(u64::from(CELLS));
        assert!(cell_bytes > 0, "an empty pool has no cells");
        let (mut small, mut large) = (vec![0; CELLS as usize], vec![0; CELLS as usize]);
        for &Placement {
            offset_bytes,
            size_bytes,
        } in layout
        {
            let end = offset_bytes + size_bytes;
            assert!(end <= pool_bytes, "{offset_bytes}..{end} leaves the pool");
            let cells = if size_bytes <= small_bytes_max {
                &mut small
            } else {
                &mut large
            };
            for (cell, held) in (0..).zip(cells.iter_mut()) {
                let start = offset_bytes.max(cell * cell_bytes);
                let stop = end.min((cell + 1) * cell_bytes);
                *held += stop.saturating_sub(start);
            }
        }
        // Rounded up, so that no object vanishes from the picture.
        let share = |held: u64| (held as f64 / cell_bytes as f64 * STEPS).ceil() / STEPS;
        Self {
            small: small.into_iter().map(share).collect(),
            large: large.into_iter().map(share).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_count_in_the_cells_they_lie_in() {
        let placement = |offset_bytes, size_bytes| Placement {
            offset_bytes,
            size_bytes,
        };
        // Cells of four bytes.
        let layout = [placement(1, 2), placement(6, 10)];
        let Occupancy { small, large } = Occupancy::of(&layout, 4 * u64::from(CELLS), 2);
        assert_eq!(small[..3], [0.5, 0.0, 0.0]);
        assert_eq!(large[..5], [0.0, 0.5, 1.0, 1.0, 0.0]);
    }
}
