//! The segments that are open to placement: an immutable table, replaced as a
//! whole when one comes or goes, and nearly all of it shared with the one
//! before.

mod rows;

use std::{cmp::Ordering, sync::Arc};

pub(crate) use self::rows::Rows;
use crate::{id::SegmentId, mounted::Mounted};

/// The segments open to placement, and what strategies look up about them.
#[derive(Debug)]
pub(crate) struct Table {
    /// In the order of host, name and id: all segments of a host lie together,
    /// and those that are known to have none come first.
    pub(crate) rows: Rows,
    /// The same in the order of the ids.
    by_id: Rows,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            rows: Rows::new(by_host),
            by_id: Rows::new(by_id),
        }
    }

    /// Returns the table with one more segment.
    pub(crate) fn with(&self, mounted: &Arc<Mounted>) -> Self {
        Self {
            rows: self.rows.with(Arc::clone(mounted)),
            by_id: self.by_id.with(Arc::clone(mounted)),
        }
    }

    /// Returns the table without a segment, which may not be in it.
    pub(crate) fn without(&self, mounted: &Arc<Mounted>) -> Self {
        Self {
            rows: self.rows.without(mounted),
            by_id: self.by_id.without(mounted),
        }
    }

    /// Returns the place of a segment that is open.
    pub(crate) fn place_of(&self, id: SegmentId) -> Option<usize> {
        let found = self.by_id.lower_bound(|other| other.info().id.cmp(&id));
        let found = (found < self.by_id.len()).then(|| self.by_id.row(found))?;
        let is_it = found.info().id == id;
        is_it.then(|| self.rows.lower_bound(|other| by_host(other, found)))
    }

    pub(crate) fn contains(&self, mounted: &Arc<Mounted>) -> bool {
        let place = self.place_of(mounted.info().id);
        place.is_some_and(|place| Arc::ptr_eq(self.rows.row(place), mounted))
    }

    /// Returns the place of the first segment of a host, or of the next one if
    /// it has none.
    pub(crate) fn host_at_or_after(&self, host: &str) -> usize {
        self.rows
            .lower_bound(|other| (*other.info().host).cmp(host))
    }
}

fn by_host(a: &Mounted, b: &Mounted) -> Ordering {
    let (a, b) = (a.info(), b.info());
    (&a.host, &a.name, a.id).cmp(&(&b.host, &b.name, b.id))
}

fn by_id(a: &Mounted, b: &Mounted) -> Ordering {
    a.info().id.cmp(&b.info().id)
}
