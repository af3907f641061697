//! Plans: which objects leave so that a hole appears.
//!
//! A plan is found first and carried out then, or not at all. It is about one
//! segment that the request may use. Whoever has the least worth in the
//! policy's order leaves first, as long as places of a few together make the
//! hole; otherwise the neighbors leave that are worth least together.
//!
//! [`freed`] adds up the holes that objects leave behind, [`window`] weighs
//! neighbors; neither locks anything.

mod freed;
mod window;

use std::sync::Arc;

use mc_segment::{PlacedBuffer, SegmentId, SegmentInfo, SegmentPool, SegmentView};

pub(crate) use self::{freed::Freed, window::WindowSearch};
use crate::object::{Object, WeakObjects};

/// What a hole is needed for, and where it may be.
#[derive(Debug)]
pub(crate) struct Demand<'a> {
    pub(crate) size: u64,
    pub(crate) align: u64,
    pub(crate) extents_max: u32,
    pub(crate) excluded: &'a [SegmentId],
    /// Names of segments that hold a replica already, or will.
    pub(crate) names: Vec<Arc<str>>,
}

/// Who leaves for a hole, and where it is.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) segment: SegmentId,
    pub(crate) victims: WeakObjects,
}

impl Demand<'_> {
    /// Returns whether the place of a buffer could serve the demand.
    #[inline]
    pub(crate) fn may_use(&self, buffer: &PlacedBuffer) -> bool {
        buffer.is_placeable()
            && self.is_aligned(buffer.registration().start)
            && !self.excluded.contains(&buffer.segment_id())
            && !self.has_name(&buffer.segment().name)
    }

    /// Returns whether a registration that begins at an address is one that the
    /// demand may be placed in.
    pub(crate) fn is_aligned(&self, start: u64) -> bool {
        start.is_multiple_of(self.align)
    }

    /// Returns the bytes that a hole in a segment needs from its first address on
    /// that is aligned as demanded, if there can be such a hole.
    pub(crate) fn needed_in(&self, segment: &SegmentInfo) -> Option<u64> {
        segment.hole_size(self.size, self.align)
    }

    /// Returns whether some place of an object could serve the demand.
    pub(crate) fn may_use_any(&self, object: &Object) -> bool {
        object.replicas().any(|buffer| self.may_use(buffer))
    }

    /// Returns the segment of an object whose place alone serves the demand,
    /// whatever is free beside it. Nothing is said of objects in several places.
    pub(crate) fn own_place(&self, object: &Object) -> Option<SegmentId> {
        let only = single(object.replicas())?;
        let place = single(only.extents())?;
        let serves = place.size >= self.size && place.address.is_multiple_of(self.align);
        let is_found = || {
            let segment = only.segment();
            let needed = self.needed_in(segment);
            needed.is_some_and(|needed| segment.charged_size(place.size) >= Some(needed))
        };
        (serves && self.may_use(only) && is_found()).then(|| only.segment_id())
    }

    /// Returns the segments that may be used.
    pub(crate) fn segments(&self, pool: &SegmentPool) -> Vec<SegmentId> {
        let views = pool.segments();
        let usable = views.iter().filter(|view| self.may_use_segment(view));
        usable.map(|view| view.id).collect()
    }

    /// Returns whether a segment may be used.
    pub(crate) fn may_use_segment(&self, view: &SegmentView) -> bool {
        view.state.is_placeable() && !self.excluded.contains(&view.id) && !self.has_name(&view.name)
    }

    fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|taken| **taken == *name)
    }

    /// Returns the bytes of a hole from one address to another, from the first
    /// that is aligned as demanded.
    pub(crate) fn room(&self, start: u64, end: u64) -> u64 {
        let aligned = start.checked_next_multiple_of(self.align);
        aligned.and_then(|at| end.checked_sub(at)).unwrap_or(0)
    }
}

/// Returns the only one of some, if there is only one.
fn single<T>(mut all: impl ExactSizeIterator<Item = T>) -> Option<T> {
    (all.len() == 1).then(|| all.next())?
}

/// Returns the whole part of what is lost with an object, at least 1: whoever
/// plans counts in whole numbers, which lose no digits to one another.
pub(crate) fn whole(loss: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is out of range is clamped"
    )]
    let whole = loss as u64;
    whole.max(1)
}
