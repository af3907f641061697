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
use self::walk::Walk;
pub(crate) use self::walk::{Draw, Ring};

/// Choices of a strategy that may fail before any segment will do. They fail
/// only where a hole is there and not aligned, or another thread was faster.
const CHOICES_MAX: u32 = 4;

/// One request on its way through a table.
pub(crate) struct Search<'a> {
    table: &'a Table,
    request: &'a Request<'a>,
    draw: Draw,
    placed: Vec<PlacedBuffer>,
    /// Names that hold a replica.
    taken: SmallVec<[u32; 4]>,
    /// Segments that have refused a replica. They are not tried for the next
    /// one either, which is no smaller.
    refused: PlaceSet,
    /// Whether segments may be excluded, taken or refused; if not, none of the
    /// lists needs a look.
    has_barred: bool,
}

impl<'a> Search<'a> {
    #[inline]
    pub(crate) fn new(table: &'a Table, request: &'a Request<'a>, draw: Draw) -> Self {
        Self {
            table,
            request,
            draw,
            placed: Vec::new(),
            taken: SmallVec::new(),
            refused: PlaceSet(SmallVec::new()),
            has_barred: !request.excluded.is_empty(),
        }
    }

    /// Places as many replicas as asked for, or as many as there is room for.
    #[inline]
    pub(crate) fn place(mut self, strategy: Strategy) -> Vec<PlacedBuffer> {
        let count = self.request.replicas.count;
        // No more than there are segments, whatever was asked for.
        let len = self.table.entries.len().min(count as usize);
        self.placed.reserve_exact(len);
        for _ in 0..count {
            if !self.place_one(strategy) {
                break;
            }
        }
        self.placed
    }

    #[inline]
    fn place_one(&mut self, strategy: Strategy) -> bool {
        let preferred = self.request.preferred.iter();
        let mut preferred = preferred.filter_map(|&id| self.table.place_of(id));
        if preferred.any(|place| self.attempt(place)) {
            return true;
        }
        let is_placed = match strategy {
            Strategy::Random => false,
            Strategy::LocalFirst => self.attempt_local(),
            Strategy::FreeRatioFirst => self.attempt_choices(Self::choose_free_ratio),
            Strategy::CapacityWeighted => self.attempt_choices(Self::choose_weighted),
            Strategy::BestHole => self.attempt_choices(Self::choose_best_hole),
        };
        is_placed || self.attempt_any()
    }

    /// Tries what a strategy chooses.
    #[inline]
    fn attempt_choices(&mut self, choose: impl Fn(&mut Self) -> Option<usize>) -> bool {
        for _ in 0..CHOICES_MAX {
            match choose(self) {
                Some(place) if self.attempt(place) => return true,
                Some(_) => {}
                None => return false,
            }
        }
        false
    }

    /// Tries all segments in random order, first those that seem to have a
    /// hole.
    #[inline]
    fn attempt_any(&mut self) -> bool {
        self.walk()
            .any(|place| self.seems_to_fit(place) && self.attempt(place))
            || self.walk().any(|place| self.attempt(place))
    }

    /// Places a replica in a segment if it may go there and was not refused;
    /// returns whether it did.
    #[inline]
    fn attempt(&mut self, place: usize) -> bool {
        if !self.is_eligible(place) {
            return false;
        }
        let entry = self.entry(place);
        let mounted = &entry.mounted;
        let Request {
            size,
            align,
            max_extents,
            ..
        } = *self.request;
        self.has_barred = true;
        match entry.allocate(size, align, max_extents) {
            // The state is read after space was taken: whoever closes the
            // segment either is seen here, or sees the space taken.
            Ok((chunk, pieces)) if mounted.state().is_placeable() => {
                self.taken.push(entry.name);
                self.placed.push(PlacedBuffer::new(mounted, chunk, pieces));
                return true;
            }
            Ok(_) => {}
            Err(error) => mounted.refusals.count(&error),
        }
        self.refused.insert(place);
        false
    }

    /// Returns whether a replica may go to a segment that has not refused it.
    #[inline]
    fn is_eligible(&self, place: usize) -> bool {
        let entry = self.entry(place);
        entry.could_take(self.request.size, self.request.align)
            && !(self.has_barred && self.is_barred(place, entry))
    }

    fn is_barred(&self, place: usize, entry: &Entry) -> bool {
        self.request.excluded.contains(&entry.mounted.info().id)
            || self.taken.contains(&entry.name)
            || self.refused.contains(place)
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
    fn walk(&mut self) -> Walk<'a> {
        self.table.ring.walk(&mut self.draw)
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
