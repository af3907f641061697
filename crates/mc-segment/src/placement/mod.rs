//! Choosing segments for the replicas of a request.
//!
//! Every [`Strategy`] only decides what is tried first. Whatever it is, a
//! request is refused only after every segment that it may go to has been
//! tried: those that seem to have a hole, and then those where freed blocks
//! may yet merge into one.

mod walk;

use smallvec::SmallVec;

use crate::{
    buffer::PlacedBuffer,
    request::Request,
    table::{Entry, Table},
};

pub(crate) use walk::Draw;
use walk::Walk;

/// Which of the segments that can take a request is given it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Any, with equal chances.
    #[default]
    Random,
}

/// Bits of a set of entries; two words cover 128 segments without the heap.
type Bits = SmallVec<[u64; 2]>;

/// One request on its way through a table.
pub(crate) struct Search<'a> {
    table: &'a Table,
    request: &'a Request<'a>,
    draw: Draw,
    /// Names that hold a replica.
    taken: SmallVec<[u32; 4]>,
}

impl<'a> Search<'a> {
    #[inline]
    pub(crate) fn new(table: &'a Table, request: &'a Request<'a>, draw: Draw) -> Self {
        Self {
            table,
            request,
            draw,
            taken: SmallVec::new(),
        }
    }

    /// Places as many replicas as asked for, or as many as there is room for.
    #[inline]
    pub(crate) fn place(&mut self, strategy: Strategy) -> Vec<PlacedBuffer> {
        let mut buffers = Vec::new();
        for _ in 0..self.request.replicas.count {
            let Some((name, buffer)) = self.place_one(strategy) else {
                break;
            };
            self.taken.push(name);
            buffers.push(buffer);
        }
        buffers
    }

    #[inline]
    fn place_one(&mut self, _strategy: Strategy) -> Option<(u32, PlacedBuffer)> {
        let mut tried = Tried(Bits::new());
        for &id in self.request.preferred {
            if let Some(place) = self.table.place_of(id)
                && let Some(placed) = self.attempt(place, &mut tried)
            {
                return Some(placed);
            }
        }
        let mut walk = Walk::new(&mut self.draw, self.table.entries.len());
        while let Some(place) = walk.find(|&place| self.seems_to_fit(place)) {
            if let Some(placed) = self.attempt(place, &mut tried) {
                return Some(placed);
            }
        }
        let mut walk = Walk::new(&mut self.draw, self.table.entries.len());
        walk.find_map(|place| self.attempt(place, &mut tried))
    }

    /// Places a replica in one segment unless that was tried before.
    #[inline]
    fn attempt(&self, place: usize, tried: &mut Tried) -> Option<(u32, PlacedBuffer)> {
        if tried.contains(place) || !self.is_eligible(place) {
            return None;
        }
        let Entry { mounted, name, .. } = &self.table.entries[place];
        let Request {
            size,
            align,
            max_extents,
            ..
        } = *self.request;
        if let Ok((chunk, pieces)) = mounted.allocate(size, align, max_extents)
            && mounted.state().is_placeable()
        {
            return Some((*name, PlacedBuffer::new(mounted, chunk, pieces)));
        }
        tried.insert(place);
        None
    }

    /// Returns whether a replica may go to a segment, full or not.
    #[inline]
    pub(crate) fn is_eligible(&self, place: usize) -> bool {
        let Entry { mounted, name, .. } = &self.table.entries[place];
        let Request {
            size,
            align,
            excluded,
            ..
        } = *self.request;
        mounted.could_take(size, align)
            && (excluded.is_empty() || !excluded.contains(&mounted.info().id))
            && !self.taken.contains(name)
    }

    #[inline]
    fn seems_to_fit(&self, place: usize) -> bool {
        self.request.size <= self.table.entries[place].mounted.recent_largest_hole()
    }
}

/// Segments that have refused.
struct Tried(Bits);

impl Tried {
    #[inline]
    fn contains(&self, place: usize) -> bool {
        self.0
            .get(place / 64)
            .is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    #[cold]
    fn insert(&mut self, place: usize) {
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        self.0[place / 64] |= 1 << (place % 64);
    }
}
