//! Segments in an order of theirs, as a list that is never changed: one more or
//! one less makes another list, which shares nearly all of it with the first.
//!
//! Whoever reads a list keeps it, so that changes wait for nobody and nobody for
//! them. The rows are on shelves of up to [`SHELF_LEN_MAX`]; a change copies one
//! shelf and the list of shelves.

use std::{cmp::Ordering, fmt, sync::Arc};

use crate::{draw::Draw, mounted::Mounted};

/// Rows on a shelf at most. With thousands of segments, there are about as many
/// shelves as rows on each.
const SHELF_LEN_MAX: usize = 96;

/// An ordered list of segments.
#[derive(Clone)]
pub(crate) struct Rows {
    shelves: Vec<Placed>,
    len: usize,
    /// Bytes of all rows.
    bytes: u128,
    order: fn(&Mounted, &Mounted) -> Ordering,
}

/// A shelf, and what comes before it.
#[derive(Clone)]
struct Placed {
    shelf: Arc<Shelf>,
    rows_before: usize,
    bytes_before: u128,
}

struct Shelf {
    /// In order; at least one.
    rows: Vec<Arc<Mounted>>,
    /// Bytes of the rows up to and including each.
    ends: Vec<u128>,
    /// The least and the most bytes of a row.
    sizes: (u64, u64),
}

impl Rows {
    pub(crate) fn new(order: fn(&Mounted, &Mounted) -> Ordering) -> Self {
        Self {
            shelves: Vec::new(),
            len: 0,
            bytes: 0,
            order,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes of all rows.
    pub(crate) fn bytes(&self) -> u128 {
        self.bytes
    }

    /// Returns the row at a place below the length.
    #[inline]
    pub(crate) fn row(&self, place: usize) -> &Arc<Mounted> {
        let after = self
            .shelves
            .partition_point(|placed| placed.rows_before <= place);
        let placed = &self.shelves[after - 1];
        &placed.shelf.rows[place - placed.rows_before]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Mounted>> {
        self.shelves.iter().flat_map(|placed| &placed.shelf.rows)
    }

    /// Returns the place of the first row that is not before what a key says,
    /// which compares a row with it; the length if there is none.
    pub(crate) fn lower_bound(&self, key: impl Fn(&Mounted) -> Ordering) -> usize {
        let is_before = |row: &Arc<Mounted>| key(row) == Ordering::Less;
        let shelf = self
            .shelves
            .partition_point(|placed| placed.shelf.rows.last().is_some_and(is_before));
        let Some(placed) = self.shelves.get(shelf) else {
            return self.len;
        };
        placed.rows_before + placed.shelf.rows.partition_point(is_before)
    }

    /// Draws a place with chances as the bytes of the rows; none if there is no
    /// row.
    #[inline]
    pub(crate) fn draw(&self, draw: &mut Draw) -> Option<usize> {
        let last = self.shelves.last()?;
        let (least, most) = last.shelf.sizes;
        let sizes = || self.shelves.iter().map(|placed| placed.shelf.sizes);
        // Then a place is drawn without a search.
        if least == most && sizes().all(|sizes| sizes == (least, most)) {
            return Some(draw.place(self.len));
        }
        let drawn = draw.below_wide(self.bytes);
        let after = self
            .shelves
            .partition_point(|placed| placed.bytes_before <= drawn);
        let placed = &self.shelves[after - 1];
        let within = drawn - placed.bytes_before;
        let ends = &placed.shelf.ends;
        Some(placed.rows_before + ends.partition_point(|&end| end <= within))
    }

    /// Returns the list with one more row.
    pub(crate) fn with(&self, row: Arc<Mounted>) -> Self {
        let order = self.order;
        let is_before = |other: &Arc<Mounted>| order(other, &row) == Ordering::Less;
        let mut shelves = self.shelves.clone();
        if shelves.is_empty() {
            shelves.push(Placed::new(Vec::from([row])));
            return self.of(shelves);
        }
        let at = shelves.partition_point(|placed| placed.shelf.rows.last().is_some_and(is_before));
        let at = at.min(shelves.len() - 1);
        let mut rows = shelves[at].shelf.rows.clone();
        rows.insert(rows.partition_point(is_before), row);
        if rows.len() > SHELF_LEN_MAX {
            let upper = rows.split_off(rows.len() / 2);
            shelves.insert(at + 1, Placed::new(upper));
        }
        shelves[at] = Placed::new(rows);
        self.of(shelves)
    }

    /// Returns the list without a row, which may not be in it.
    pub(crate) fn without(&self, row: &Arc<Mounted>) -> Self {
        let place = self.lower_bound(|other| (self.order)(other, row));
        if place == self.len || !Arc::ptr_eq(self.row(place), row) {
            return self.clone();
        }
        let mut shelves = self.shelves.clone();
        let at = shelves.partition_point(|placed| placed.rows_before <= place) - 1;
        let mut rows = shelves[at].shelf.rows.clone();
        rows.remove(place - shelves[at].rows_before);
        // Shelves that have become short are joined, so that there are few.
        if let Some(next) = shelves.get(at + 1)
            && rows.len() + next.shelf.rows.len() <= SHELF_LEN_MAX / 2
        {
            rows.extend(next.shelf.rows.iter().cloned());
            shelves.remove(at + 1);
        }
        if rows.is_empty() {
            shelves.remove(at);
        } else {
            shelves[at] = Placed::new(rows);
        }
        self.of(shelves)
    }

    /// Returns the list of shelves in order, whatever is said to come before
    /// each.
    fn of(&self, mut shelves: Vec<Placed>) -> Self {
        let (mut len, mut bytes) = (0, 0);
        for placed in &mut shelves {
            (placed.rows_before, placed.bytes_before) = (len, bytes);
            len += placed.shelf.rows.len();
            bytes += placed.shelf.ends.last().copied().unwrap_or(0);
        }
        Self {
            shelves,
            len,
            bytes,
            order: self.order,
        }
    }
}

impl Placed {
    fn new(rows: Vec<Arc<Mounted>>) -> Self {
        let sizes = rows.iter().map(|row| row.capacity());
        // Read once, as the end of a segment may be moved meanwhile.
        let sizes: Vec<u64> = sizes.collect();
        let sizes = || sizes.iter().copied();
        let mut end = 0;
        let ends = sizes().map(|size| {
            end += u128::from(size);
            end
        });
        let shelf = Shelf {
            ends: ends.collect(),
            sizes: (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0)),
            rows,
        };
        Self {
            shelf: Arc::new(shelf),
            rows_before: 0,
            bytes_before: 0,
        }
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|row| row.info().id))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::SegmentId,
        mounted::Commons,
        segment::{Segment, SegmentInfo},
    };

    fn row(id: u64, size: u64) -> Arc<Mounted> {
        let info = SegmentInfo::new(SegmentId(id.into()), "name", 0, size);
        let mounted = Mounted::new(Segment::remote(info), &Commons::default());
        Arc::new(mounted.unwrap())
    }

    fn by_id(a: &Mounted, b: &Mounted) -> Ordering {
        a.info().id.cmp(&b.info().id)
    }

    fn check(rows: &Rows, expected: &[Arc<Mounted>]) {
        assert_eq!(rows.len(), expected.len());
        assert!(rows.iter().zip(expected).all(|(a, b)| Arc::ptr_eq(a, b)));
        for (place, row) in expected.iter().enumerate() {
            assert!(Arc::ptr_eq(rows.row(place), row));
            assert_eq!(rows.lower_bound(|other| by_id(other, row)), place);
        }
        let bytes: u128 = expected.iter().map(|row| u128::from(row.info().size)).sum();
        assert_eq!(rows.bytes(), bytes);
        let shelves = rows.shelves.len();
        assert!(
            shelves <= 2 + 4 * expected.len() / SHELF_LEN_MAX,
            "{shelves} shelves"
        );
    }

    #[test]
    fn lists_are_in_order_whatever_comes_and_goes_and_are_never_changed() {
        let mut draw = Draw::new(1, 1);
        let mut rows = Rows::new(by_id);
        let mut expected: Vec<Arc<Mounted>> = Vec::new();
        for step in 0..500 {
            let before = (rows.clone(), expected.clone());
            // Grows for the first part and shrinks for the second.
            if draw.below(500) > step || expected.is_empty() {
                let row = row(draw.number() >> 1, 1 + draw.below(1000));
                rows = rows.with(Arc::clone(&row));
                let at = expected.partition_point(|other| by_id(other, &row).is_lt());
                expected.insert(at, row);
            } else {
                let gone = expected.remove(draw.place(expected.len()));
                rows = rows.without(&gone);
                rows = rows.without(&gone);
            }
            check(&rows, &expected);
            check(&before.0, &before.1);
        }
        for row in expected {
            rows = rows.without(&row);
        }
        check(&rows, &[]);
        assert_eq!(rows.draw(&mut draw), None);
    }

    #[test]
    fn rows_are_drawn_as_often_as_they_have_bytes() {
        let mut rows = Rows::new(by_id);
        for id in 0..300 {
            rows = rows.with(row(id, if id < 150 { 100 } else { 300 }));
        }
        let mut small = 0;
        let mut seen = vec![false; 300];
        for ticket in 0..20_000 {
            let place = rows.draw(&mut Draw::new(7, ticket)).unwrap();
            small += u32::from(place < 150);
            seen[place] = true;
        }
        assert!((4_700..5_300).contains(&small), "{small}");
        assert!(seen.iter().all(|&seen| seen));
    }
}
