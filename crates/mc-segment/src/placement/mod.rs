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

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    buffer::PlacedBuffer,
    draw::{Draw, Walk},
    mounted::Mounted,
    request::PlaceRequest,
    strategy::Strategy,
    table::Table,
};

/// Choices of a strategy that may fail before any segment will do. They fail
/// only where a hole is there and not aligned, or another thread was faster.
const CHOICES_MAX: u32 = 4;

/// One request on its way through a table.
pub(crate) struct Search<'a> {
    table: &'a Table,
    request: &'a PlaceRequest<'a>,
    draw: Draw,
    placed: Vec<PlacedBuffer>,
    /// Names that hold a replica.
    taken_names: SmallVec<[*const str; 4]>,
    /// Hosts that hold a replica, those that are not known left out.
    taken_hosts: SmallVec<[*const str; 4]>,
    /// Whether segments of such a host are passed over.
    spread: Spread,
    /// Segments that have refused a replica. They are not tried for the next
    /// one either, which is no smaller.
    refused: PlaceSet,
    /// Whether segments may be excluded, taken or refused; if not, none of the
    /// lists needs a look.
    has_barred: bool,
    met: Met,
}

/// What a search met on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// All segments that it tried were open.
    OpenOnes,
    /// Some were closed after it had begun.
    ClosedOnes,
}

/// How far apart replicas have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    Hosts,
    Names,
}

impl<'a> Search<'a> {
    #[inline]
    pub(crate) fn new(table: &'a Table, request: &'a PlaceRequest<'a>, draw: Draw) -> Self {
        let mut search = Self {
            table,
            request,
            draw,
            placed: Vec::new(),
            taken_names: SmallVec::new(),
            taken_hosts: SmallVec::new(),
            spread: Spread::Names,
            refused: PlaceSet(SmallVec::from_buf([0; 2])),
            has_barred: !request.excluded.is_empty(),
            met: Met::OpenOnes,
        };
        for buffer in request.beside {
            search.take(buffer.mounted());
        }
        search
    }

    /// Places as many replicas as asked for, or as many as there is room for.
    #[inline]
    pub(crate) fn place(mut self, strategy: Strategy) -> (Vec<PlacedBuffer>, Met) {
        for _ in 0..self.request.replicas.count {
            if !self.place_one(strategy) {
                break;
            }
        }
        (self.placed, self.met)
    }

    /// Places a replica on a host that has none, or else under a name that has
    /// none.
    #[inline]
    fn place_one(&mut self, strategy: Strategy) -> bool {
        if !self.taken_hosts.is_empty() {
            self.spread = Spread::Hosts;
            if self.place_apart(strategy) {
                return true;
            }
            self.spread = Spread::Names;
        }
        self.place_apart(strategy)
    }

    #[inline]
    fn place_apart(&mut self, strategy: Strategy) -> bool {
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
        let segment = self.segment(place);
        let PlaceRequest {
            size,
            align,
            max_extents,
            ..
        } = *self.request;
        self.has_barred = true;
        match segment.allocate(size, align, max_extents) {
            Ok(pieces) => {
                if let Some(buffer) = PlacedBuffer::placed(segment, pieces) {
                    self.take(segment);
                    if self.placed.is_empty() {
                        // No more than there are segments, whatever was asked for.
                        let len = self.table.rows.len();
                        let count = self.request.replicas.count as usize;
                        self.placed.reserve_exact(len.min(count));
                    }
                    self.placed.push(buffer);
                    return true;
                }
                self.met = Met::ClosedOnes;
            }
            Err(error) => segment.refusals.count(&error),
        }
        self.refused.insert(place);
        false
    }

    /// Takes note that a segment holds a replica.
    fn take(&mut self, segment: &Mounted) {
        self.has_barred = true;
        self.taken_names.push(Arc::as_ptr(segment.name()));
        self.taken_hosts.extend(segment.host().map(Arc::as_ptr));
    }

    /// Returns whether a replica may go to a segment that has not refused it.
    #[inline]
    fn is_eligible(&self, place: usize) -> bool {
        let segment = self.segment(place);
        segment.could_take(self.request.size, self.request.align)
            && !(self.has_barred && self.is_barred(place, segment))
    }

    fn is_barred(&self, place: usize, segment: &Mounted) -> bool {
        let has = |taken: &[*const str], name: &Arc<str>| {
            taken
                .iter()
                .any(|other| std::ptr::addr_eq(*other, Arc::as_ptr(name)))
        };
        self.request.excluded.contains(&segment.info().id)
            || has(&self.taken_names, segment.name())
            || self.spread == Spread::Hosts
                && segment
                    .host()
                    .is_some_and(|host| has(&self.taken_hosts, host))
            || self.refused.contains(place)
    }

    #[inline]
    fn seems_to_fit(&self, place: usize) -> bool {
        self.request.size <= self.segment(place).recent_largest_hole()
    }

    /// Returns whether a choice among segments may fall on this one.
    #[inline]
    fn is_candidate(&self, place: usize) -> bool {
        self.seems_to_fit(place) && self.is_eligible(place)
    }

    #[inline]
    fn segment(&self, place: usize) -> &'a Arc<Mounted> {
        self.table.rows.row(place)
    }

    #[inline]
    fn walk(&mut self) -> Walk {
        Walk::new(self.table.rows.len(), &mut self.draw)
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
