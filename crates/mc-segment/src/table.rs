//! The segments that are open to placement: an immutable table, replaced as a
//! whole when one comes or goes.

use std::{ops::Range, sync::Arc};

use crate::{mounted::Mounted, segment::SegmentId};

/// The segments open to placement, and what strategies look up about them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// In the order of host, name and id.
    pub(crate) entries: Vec<Entry>,
    /// The hosts that are known, in order, and their entries.
    pub(crate) hosts: Vec<(String, Range<usize>)>,
    /// Places in `entries` in the order of the ids.
    by_id: Vec<(SegmentId, usize)>,
}

/// One segment of a [`Table`].
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) mounted: Arc<Mounted>,
    /// Equal iff the names of two entries are.
    pub(crate) name: u32,
}

impl Table {
    /// Makes the table of some segments.
    pub(crate) fn new(segments: impl IntoIterator<Item = Arc<Mounted>>) -> Self {
        let mut segments: Vec<_> = segments.into_iter().collect();
        segments.sort_by(|a, b| key(a).cmp(&key(b)));
        let mut names: Vec<_> = segments
            .iter()
            .map(|one| one.info().name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        let name_of = |mounted: &Mounted| {
            let place = names.binary_search(&mounted.info().name.as_str());
            place.expect("every name was listed")
        };
        let numbers: Vec<_> = segments.iter().map(|one| name_of(one)).collect();

        let mut table = Self::default();
        for (place, (mounted, name)) in segments.into_iter().zip(numbers).enumerate() {
            let info = mounted.info();
            table.by_id.push((info.id, place));
            match table.hosts.last_mut() {
                Some((host, entries)) if *host == info.host => entries.end = place + 1,
                _ if info.host.is_empty() => {}
                _ => table.hosts.push((info.host.clone(), place..place + 1)),
            }
            table.entries.push(Entry {
                name: u32::try_from(name).expect("fewer than 2^32 segments"),
                mounted,
            });
        }
        table.by_id.sort_unstable();
        table
    }

    /// Returns the place of a segment.
    pub(crate) fn place_of(&self, id: SegmentId) -> Option<usize> {
        let found = self.by_id.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        Some(self.by_id[found].1)
    }
}

fn key(mounted: &Mounted) -> (&str, &str, SegmentId) {
    let info = mounted.info();
    (&info.host, &info.name, info.id)
}
