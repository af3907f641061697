//! The segments that are open to placement: an immutable table, replaced as a
//! whole when one comes or goes.

use std::{collections::HashMap, ops::Range, sync::Arc};

use mc_offset::{AllocError, SharedAllocator};

use crate::{
    chunk::allocate_pieces,
    mounted::Mounted,
    pieces::Pieces,
    placement::{Draw, Ring},
    segment::SegmentId,
};

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
    /// The places of the entries.
    pub(crate) ring: Ring,
    /// Whether a segment was fresh when the table was made. None becomes so
    /// later: a segment is marked before the table that opens it is made.
    pub(crate) has_fresh: bool,
    /// Places in `hosts` by name.
    host_places: HashMap<String, usize>,
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
    /// Makes the table of some segments; less has to be sorted the more of them
    /// come in the order of a table before.
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
        let hosts = hosts(&segments);
        let host_names = hosts.iter().map(|host| host.name.clone());
        Self {
            host_places: host_names.zip(0..).collect(),
            hosts,
            has_fresh: segments.iter().any(|mounted| mounted.is_fresh()),
            capacity: sizes().map(u128::from).sum(),
            weights: Weights::new(sizes()),
            ring: Ring::new(segments.len()),
            by_id,
            entries: entries(segments),
        }
    }

    /// Returns the place of a host, or of the next one if it has no segment;
    /// the number of hosts if there is none.
    #[inline]
    pub(crate) fn host_at_or_after(&self, name: &str) -> usize {
        match self.host_places.get(name) {
            Some(&place) => place,
            None => self.hosts.partition_point(|host| *host.name < *name),
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

    /// Finds a place as [`Mounted::allocate`].
    #[inline]
    pub(crate) fn allocate(
        &self,
        size: u64,
        align: u64,
        max_extents: u32,
    ) -> Result<(u32, Pieces), AllocError> {
        match &self.sole {
            Some(allocator) => Ok((0, allocate_pieces(allocator, size, align, max_extents)?)),
            None => self.mounted.allocate(size, align, max_extents),
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
        let share = |entry: &Self| (entry.recent_free_bytes(), entry.size);
        is_greater_share(share(self), share(other))
    }
}

/// Returns whether the first part is a greater share of its whole than the
/// second, for pairs of part and whole.
#[inline]
pub(crate) fn is_greater_share(a: (u64, u64), b: (u64, u64)) -> bool {
    u128::from(a.0) * u128::from(b.1) > u128::from(b.0) * u128::from(a.1)
}

fn key(mounted: &Mounted) -> (&str, &str, SegmentId) {
    let info = mounted.info();
    (&info.host, &info.name, info.id)
}

/// Numbers the names of segments.
fn entries(segments: Vec<Arc<Mounted>>) -> Vec<Entry> {
    let names = segments.iter().map(|mounted| mounted.info().name.as_str());
    let mut places: Vec<_> = names.zip(0..).collect();
    places.sort_unstable();
    let mut numbers = vec![0; segments.len()];
    for (number, equal) in (0_u32..).zip(places.chunk_by(|a, b| a.0 == b.0)) {
        for &(_, place) in equal {
            numbers[place] = number;
        }
    }
    let numbered = segments.into_iter().zip(numbers);
    numbered
        .map(|(mounted, number)| Entry::new(mounted, number))
        .collect()
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
