//! Choosing segments for the replicas of a request.
//!
//! A [`Strategy`] only decides what is tried first. Whatever it is, a request
//! is refused only after every segment that it may go to has been tried: those
//! that seem to have a hole, and then those where freed blocks may yet merge
//! into one.

mod best_hole;
mod capacity_weighted;
mod free_ratio_first;
mod local_first;
mod strategy;
mod walk;

use smallvec::SmallVec;

use crate::{
    buffer::PlacedBuffer,
    request::Request,
    table::{Entry, Table},
};

pub use self::strategy::Strategy;
pub(crate) use self::walk::Draw;
use self::walk::Walk;

/// Choices of a strategy that may fail before any segment will do. They fail
/// only where a hole is there and not aligned, or another thread was faster.
const CHOICES_MAX: u32 = 4;

/// One request on its way through a table.
pub(crate) struct Search<'a> {
    table: &'a Table,
    request: &'a Request<'a>,
    draw: Draw,
    /// Names that hold a replica.
    taken: SmallVec<[u32; 4]>,
    /// Segments that have refused a replica. They are not tried for the next
    /// one either, which is no smaller.
    refused: PlaceSet,
}

impl<'a> Search<'a> {
    #[inline]
    pub(crate) fn new(table: &'a Table, request: &'a Request<'a>, draw: Draw) -> Self {
        Self {
            table,
            request,
            draw,
            taken: SmallVec::new(),
            refused: PlaceSet(SmallVec::new()),
        }
    }

    /// Places as many replicas as asked for, or as many as there is room for.
    #[inline]
    pub(crate) fn place(&mut self, strategy: Strategy) -> Vec<PlacedBuffer> {
        let mut buffers = Vec::new();
        for _ in 0..self.request.replicas.count {
            let Some(place) = self.place_one(strategy) else {
                break;
            };
            buffers.push(place);
        }
        buffers
    }

    #[inline]
    fn place_one(&mut self, strategy: Strategy) -> Option<PlacedBuffer> {
        let preferred = self.request.preferred.iter();
        let mut preferred = preferred.filter_map(|&id| self.table.place_of(id));
        if let Some(placed) = preferred.find_map(|place| self.attempt(place)) {
            return Some(placed);
        }
        let chosen = match strategy {
            Strategy::Random => None,
            Strategy::LocalFirst => self.attempt_local(),
            Strategy::FreeRatioFirst => self.attempt_choices(Self::choose_free_ratio),
            Strategy::CapacityWeighted => self.attempt_choices(Self::choose_weighted),
            Strategy::BestHole => self.attempt_choices(Self::choose_best_hole),
        };
        chosen.or_else(|| self.attempt_any())
    }

    /// Tries what a strategy chooses.
    #[inline]
    fn attempt_choices(
        &mut self,
        choose: impl Fn(&mut Self) -> Option<usize>,
    ) -> Option<PlacedBuffer> {
        for _ in 0..CHOICES_MAX {
            let place = choose(self)?;
            if let Some(placed) = self.attempt(place) {
                return Some(placed);
            }
        }
        None
    }

    /// Tries all segments in random order, first those that seem to have a
    /// hole.
    #[inline]
    fn attempt_any(&mut self) -> Option<PlacedBuffer> {
        for place in self.walk() {
            if self.seems_to_fit(place)
                && let Some(placed) = self.attempt(place)
            {
                return Some(placed);
            }
        }
        self.walk().find_map(|place| self.attempt(place))
    }

    /// Places a replica in a segment if it may go there and was not refused.
    #[inline]
    fn attempt(&mut self, place: usize) -> Option<PlacedBuffer> {
        if !self.is_eligible(place) {
            return None;
        }
        let Entry { mounted, name, .. } = self.entry(place);
        let Request {
            size,
            align,
            max_extents,
            ..
        } = *self.request;
        match mounted.allocate(size, align, max_extents) {
            // The state is read after space was taken: whoever closes the
            // segment either is seen here, or sees the space taken.
            Ok((chunk, pieces)) if mounted.state().is_placeable() => {
                self.taken.push(*name);
                return Some(PlacedBuffer::new(mounted, chunk, pieces));
            }
            Ok(_) => {}
            Err(error) => mounted.refusals.count(&error),
        }
        self.refused.insert(place);
        None
    }

    /// Returns whether a replica may go to a segment that has not refused it.
    #[inline]
    fn is_eligible(&self, place: usize) -> bool {
        let entry = self.entry(place);
        let Request {
            size,
            align,
            excluded,
            ..
        } = *self.request;
        entry.could_take(size, align)
            && (excluded.is_empty() || !excluded.contains(&entry.mounted.info().id))
            && !self.taken.contains(&entry.name)
            && !self.refused.contains(place)
    }

    #[inline]
    fn seems_to_fit(&self, place: usize) -> bool {
        self.request.size <= self.entry(place).recent_largest_hole()
    }

    /// Returns whether a choice among segments may fall on this one.
    #[inline]
    fn is_candidate(&self, place: usize) -> bool {
        self.seems_to_fit(place) && self.is_eligible(place)
    }

    #[inline]
    fn entry(&self, place: usize) -> &'a Entry {
        &self.table.entries[place]
    }

    #[inline]
    fn walk(&mut self) -> Walk {
        Walk::new(&mut self.draw, self.table.entries.len())
    }
}

/// A set of places in a table; those of 128 segments do not need the heap.
struct PlaceSet(SmallVec<[u64; 2]>);

impl PlaceSet {
    #[inline]
    fn contains(&self, place: usize) -> bool {
        let word = self.0.get(place / 64);
        word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn insert(&mut self, place: usize) {
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        self.0[place / 64] |= 1 << (place % 64);
    }
}
