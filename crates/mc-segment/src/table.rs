//! The segments that are open to placement: an immutable table, replaced as a
//! whole when one comes or goes.

use std::{ops::Range, sync::Arc};

use mc_offset::SharedAllocator;

use crate::{mounted::Mounted, placement::Draw, segment::SegmentId};

/// The segments open to placement, and what strategies look up about them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// In the order of host, name and id.
    pub(crate) entries: Vec<Entry>,
    /// The hosts that are known, in the order of their names.
    pub(crate) hosts: Vec<Host>,
    /// Bytes of all entries.
    pub(crate) capacity: u128,
    pub(crate) weights: Weights,
    /// Places in `entries` in the order of the ids.
    by_id: Vec<(SegmentId, usize)>,
}

/// One segment of a [`Table`], with what every strategy reads of it at hand.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) mounted: Arc<Mounted>,
    /// Equal iff the names of two entries are.
    pub(crate) name: u32,
    pub(crate) size: u64,
    base: u64,
    /// The allocator of a segment in one chunk.
    sole: Option<SharedAllocator>,
}

/// One host of a [`Table`].
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// The entries of each segment name on the host, in the order of the names.
    pub(crate) names: Vec<Range<usize>>,
}

/// Chances of the entries according to their capacities.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    /// Sums of the weights up to and including each entry.
    ends: Vec<u64>,
    /// Whether all weights are equal, so that an entry is drawn without a search.
    is_even: bool,
}

impl Table {
    /// Makes the table of some segments.
    pub(crate) fn new(segments: impl IntoIterator<Item = Arc<Mounted>>) -> Self {
        let mut segments: Vec<_> = segments.into_iter().collect();
        segments.sort_by(|a, b| key(a).cmp(&key(b)));
        let sizes = || segments.iter().map(|mounted| mounted.info().size);
        let mut by_id: Vec<_> = segments
            .iter()
            .map(|mounted| mounted.info().id)
            .zip(0..)
            .collect();
        by_id.sort_unstable();
        Self {
            hosts: hosts(&segments),
            capacity: sizes().map(u128::from).sum(),
            weights: Weights::new(sizes()),
            by_id,
            entries: entries(segments),
        }
    }

    /// Returns the place of a segment.
    pub(crate) fn place_of(&self, id: SegmentId) -> Option<usize> {
        let found = self.by_id.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        Some(self.by_id[found].1)
    }
}

impl Entry {
    pub(crate) fn new(mounted: Arc<Mounted>, name: u32) -> Self {
        let sole = match mounted.chunks() {
            [chunk] => Some(chunk.allocator.clone()),
            _ => None,
        };
        Self {
            name,
            size: mounted.info().size,
            base: mounted.info().base,
            sole,
            mounted,
        }
    }

    /// Returns whether the empty segment could take `size` bytes in one piece
    /// at a multiple of `align`.
    #[inline]
    pub(crate) fn could_take(&self, size: u64, align: u64) -> bool {
        match self.sole {
            Some(_) => size <= self.size && self.base & (align - 1) == 0,
            None => self.mounted.could_take(size, align),
        }
    }

    /// Returns the bytes of the largest hole of a moment ago.
    #[inline]
    pub(crate) fn recent_largest_hole(&self) -> u64 {
        match &self.sole {
            Some(allocator) => allocator.recent_largest_hole(),
            None => self.mounted.recent_largest_hole(),
        }
    }

    /// Returns the free bytes of a moment ago.
    #[inline]
    pub(crate) fn recent_free_bytes(&self) -> u64 {
        match &self.sole {
            Some(allocator) => allocator.recent_free_bytes(),
            None => self.mounted.recent_free_bytes(),
        }
    }

    /// Returns whether a greater share of the bytes is free than of another's,
    /// as of a moment ago.
    #[inline]
    pub(crate) fn is_emptier_than(&self, other: &Self) -> bool {
        let share =
            |one: &Self, over: &Self| u128::from(one.recent_free_bytes()) * u128::from(over.size);
        share(self, other) > share(other, self)
    }
}

fn key(mounted: &Mounted) -> (&str, &str, SegmentId) {
    let info = mounted.info();
    (&info.host, &info.name, info.id)
}

/// Numbers the names of segments.
fn entries(segments: Vec<Arc<Mounted>>) -> Vec<Entry> {
    let mut names: Vec<_> = segments.iter().map(|one| one.info().name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let entry = |mounted: Arc<Mounted>| {
        let number = names.partition_point(|name| *name < mounted.info().name);
        let number = u32::try_from(number).expect("fewer than 2^32 segments");
        Entry::new(mounted, number)
    };
    segments.into_iter().map(entry).collect()
}

/// Groups sorted segments by host and name; leaves out those without a host.
fn hosts(segments: &[Arc<Mounted>]) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    let mut start = 0;
    let same_name = |a: &Arc<Mounted>, b: &Arc<Mounted>| {
        let (a, b) = (a.info(), b.info());
        (&a.host, &a.name) == (&b.host, &b.name)
    };
    for siblings in segments.chunk_by(same_name) {
        let range = start..start + siblings.len();
        start = range.end;
        let name = &siblings[0].info().host;
        match hosts.last_mut() {
            _ if name.is_empty() => {}
            Some(host) if host.name == *name => host.names.push(range),
            _ => hosts.push(Host {
                name: name.clone(),
                names: Vec::from([range]),
            }),
        }
    }
    hosts
}

impl Weights {
    fn new(capacities: impl Iterator<Item = u64> + Clone) -> Self {
        // Shifted until the sum fits a word; for address ranges that can exist
        // at once the shift is 0.
        let sum: u128 = capacities.clone().map(u128::from).sum();
        let shift = (u128::BITS - sum.leading_zeros()).saturating_sub(u64::BITS);
        let is_even = capacities.clone().min() == capacities.clone().max();
        let mut end = 0;
        let ends = capacities.map(|capacity| {
            end += capacity >> shift;
            end
        });
        Self {
            ends: ends.collect(),
            is_even,
        }
    }

    /// Draws an entry, or none if there is none.
    #[inline]
    pub(crate) fn draw(&self, draw: &mut Draw) -> Option<usize> {
        let sum = *self.ends.last()?;
        if self.is_even {
            return Some(draw.place(self.ends.len()));
        }
        let drawn = draw.below(sum);
        Some(self.ends.partition_point(|&end| end <= drawn))
    }
}
