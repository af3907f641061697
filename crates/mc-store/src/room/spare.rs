//! Objects that plans of moves may let go.

use std::collections::HashMap;

use mc_segment::{BlockPlan, BufferToken, PlacedBuffer, SegmentId};
use smallvec::SmallVec;

use crate::{
    object::{Object, WeakObject, WeakObjects},
    policy::ObjectId,
};

/// An object that may leave for a plan. Its places are free as soon as somebody
/// else lets it go: a plan passes over what has left before it is made, and fails
/// by what leaves afterwards.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) seen: WeakObject,
    /// Those that all replicas take.
    pub(super) bytes: u64,
    /// The replicas in segments that are open to placement. A segment of an older
    /// epoch is not, and something else may have its addresses now.
    places: SmallVec<[BufferToken; 1]>,
}

impl Spare {
    pub(super) fn new(object: &Object) -> Self {
        let open = object.replicas().filter(|buffer| buffer.is_placeable());
        Self {
            seen: object.downgrade(),
            bytes: object.bytes(),
            places: open.map(PlacedBuffer::token).collect(),
        }
    }

    pub(super) fn id(&self) -> ObjectId {
        self.seen.id
    }

    /// Returns the segments that it is in.
    pub(super) fn segments(&self) -> impl Iterator<Item = SegmentId> {
        self.places.iter().map(BufferToken::segment_id)
    }

    /// Returns its replicas in a segment.
    fn here(&self, segment: SegmentId) -> impl Iterator<Item = &BufferToken> {
        let places = self.places.iter();
        places.filter(move |place| place.segment_id() == segment)
    }

    /// Returns the addresses of its pieces in a segment.
    fn addresses(&self, segment: SegmentId) -> impl Iterator<Item = u64> {
        let extents = self.here(segment).flat_map(BufferToken::extents);
        extents.map(|extent| extent.address)
    }
}

/// Returns the bytes that some spares have in a segment.
pub(super) fn bytes_in(segment: SegmentId, spares: &[Spare]) -> u64 {
    let here = spares.iter().flat_map(|spare| spare.here(segment));
    here.map(BufferToken::size).sum()
}

/// Returns the replicas of some spares in a segment.
pub(super) fn leaving_in(segment: SegmentId, spares: &[Spare]) -> Vec<BufferToken> {
    let here = spares.iter().flat_map(|spare| spare.here(segment));
    here.cloned().collect()
}

/// Returns what is lost with each block that may leave in a segment, by its
/// address.
pub(super) fn losses_in(segment: SegmentId, spares: &[Spare], losses: &[u64]) -> HashMap<u64, u64> {
    let leaving = spares.iter().zip(losses);
    let blocks = leaving.flat_map(|(spare, &loss)| {
        let addresses = spare.addresses(segment);
        addresses.map(move |address| (address, loss))
    });
    blocks.collect()
}

/// Returns the objects that a plan lets go.
pub(super) fn named(spares: &[Spare], segment: SegmentId, plan: &BlockPlan) -> WeakObjects {
    let is_evicted = |address| plan.evictions.iter().any(|block| block.address == address);
    let named = spares
        .iter()
        .filter(|spare| spare.addresses(segment).any(is_evicted));
    named.map(|spare| spare.seen).collect()
}
