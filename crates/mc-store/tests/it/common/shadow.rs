//! What a store must have, kept beside it.

use std::collections::BTreeMap;

use mc_segment::{BufferDescriptor, SegmentId};
use mc_store::{Cause, Event, EventKind};

use super::objects::number_of;

/// An object that must be there.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) version: u64,
    pub(crate) size: u64,
    /// Segment and epoch of each replica.
    pub(crate) places: Vec<(u128, u64)>,
}

/// The objects of a store, as its calls and events say.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    pub(crate) stored: BTreeMap<u64, Known>,
    /// The epochs that can be read.
    pub(crate) epochs: BTreeMap<u128, u64>,
    /// What is about to be told as committed.
    pub(crate) coming: BTreeMap<u64, Known>,
}

impl Shadow {
    pub(crate) fn is_alive(&self, known: &Known) -> bool {
        let mut places = known.places.iter();
        places.any(|(id, epoch)| self.epochs.get(id) == Some(epoch))
    }

    /// Returns the object of a number that can be read.
    pub(crate) fn alive(&self, number: u64) -> Option<&Known> {
        let known = self.stored.get(&number)?;
        self.is_alive(known).then_some(known)
    }

    /// Returns the numbers of the objects that can be read.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        let alive = self.stored.iter().filter(|(_, known)| self.is_alive(known));
        alive.map(|(&number, _)| number)
    }

    /// Follows events; returns who was evicted and for what.
    #[track_caller]
    pub(crate) fn follow(&mut self, events: &[Event]) -> Vec<(u64, Known, Cause)> {
        let mut evicted = Vec::new();
        for event in events {
            let number = number_of(&event.key);
            match event.kind {
                EventKind::Committed => {
                    let known = self.coming.remove(&number).expect("nobody commits it");
                    let before = self.stored.insert(number, known);
                    assert!(before.is_none(), "{number} came twice");
                }
                EventKind::Left(cause) => {
                    let known = self.stored.remove(&number).expect("it was not there");
                    match cause {
                        Cause::Unreadable => assert!(!self.is_alive(&known)),
                        Cause::Removed => {}
                        _ => evicted.push((number, known, cause)),
                    }
                }
                EventKind::Moved { from, to } => {
                    let places = &self.epochs;
                    let known = self.stored.get_mut(&number).expect("it is not there");
                    let new = (to.0, places[&to.0]);
                    let is_old = |place: &(u128, u64)| {
                        place.0 == from.0 && places.get(&place.0) == Some(&place.1)
                    };
                    match known.places.iter().position(is_old) {
                        Some(old) if from != to => known.places[old] = new,
                        _ => known.places.push(new),
                    }
                }
                _ => {}
            }
        }
        evicted
    }
}

/// Returns segment and epoch of each replica of an object of so many parts.
pub(crate) fn places(descriptors: &[BufferDescriptor], parts: usize) -> Vec<(u128, u64)> {
    let places = descriptors.iter().step_by(parts);
    places.map(|place| (place.segment.0, place.epoch)).collect()
}

/// Pieces of memory that somebody has, and who.
#[derive(Debug, Default)]
pub(crate) struct Pieces(Vec<Piece>);

/// Segment, epoch, address and size, and the number and version of the owner.
type Piece = (SegmentId, u64, u64, u64, (u64, u64));

impl Pieces {
    pub(crate) fn add(&mut self, number: u64, version: u64, descriptors: &[BufferDescriptor]) {
        for place in descriptors {
            let pieces = place.extents.iter();
            let owner = (number, version);
            self.0.extend(
                pieces.map(|piece| (place.segment, place.epoch, piece.address, piece.size, owner)),
            );
        }
    }

    /// Checks that no byte is of two.
    #[track_caller]
    pub(crate) fn check(mut self) {
        self.0.sort_unstable();
        self.0.dedup();
        for pair in self.0.windows(2) {
            let ((segment, epoch, start, size, _), next) = (pair[0], pair[1]);
            let is_same = (segment, epoch) == (next.0, next.1);
            assert!(!is_same || start + size <= next.2, "{pair:?}");
        }
    }
}
