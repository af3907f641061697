//! All mounted segments, whatever their states, and whether another may be
//! mounted beside them.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, btree_map},
    sync::Arc,
};

use super::Replaced;
use crate::{
    error::{MountError, SegmentField},
    id::SegmentId,
    mounted::Mounted,
    segment::SegmentInfo,
    state::{SegmentState, Step, Transition},
};

/// All mounted segments, whatever their states.
///
/// Whatever is looked up takes time logarithmic in their number.
#[derive(Debug, Default)]
pub(super) struct Registry {
    by_id: BTreeMap<SegmentId, Arc<Mounted>>,
    /// The segments by where they begin on their endpoint.
    by_address: BTreeMap<(Arc<str>, u64), SegmentId>,
}

impl Registry {
    pub(super) fn get(&self, id: SegmentId) -> Option<&Arc<Mounted>> {
        self.by_id.get(&id)
    }

    /// Returns the segments in the order of their ids.
    pub(super) fn iter(&self) -> btree_map::Values<'_, SegmentId, Arc<Mounted>> {
        self.by_id.values()
    }

    /// Adds a segment that was [admitted](Self::admit) and is
    /// [disjoint](Self::check_disjoint) from all others.
    pub(super) fn insert(&mut self, mounted: Arc<Mounted>) {
        let info = mounted.info();
        let id = info.id;
        self.remove(id);
        let address = (Arc::clone(mounted.endpoint()), info.base);
        self.by_address.insert(address, id);
        self.by_id.insert(id, mounted);
    }

    /// Removes a segment, if it is there.
    pub(super) fn remove(&mut self, id: SegmentId) {
        let Some(mounted) = self.by_id.remove(&id) else {
            return;
        };
        let address = (Arc::clone(mounted.endpoint()), mounted.info().base);
        self.by_address.remove(&address);
    }

    /// Compares a segment with the one that is mounted under its id.
    pub(super) fn admit(&self, info: &SegmentInfo) -> Result<Admission, MountError> {
        let (id, epoch) = (info.id, info.epoch);
        let Some(known) = self.get(id) else {
            return Ok(Admission::New);
        };
        let mounted_epoch = known.info().epoch;
        match epoch.cmp(&mounted_epoch) {
            Ordering::Less => Err(MountError::OlderEpoch {
                id,
                epoch,
                mounted_epoch,
            }),
            Ordering::Greater => Ok(Admission::Newer(Arc::clone(known))),
            Ordering::Equal => mount_again(known, info).map(Admission::Mounted),
        }
    }

    /// Refuses a segment that shares addresses of its endpoint with a mounted one
    /// of another id, or bytes of its memory with any; it has them from then on.
    pub(super) fn check_disjoint(&self, segment: &Mounted) -> Result<(), MountError> {
        let info = segment.info();
        let (id, base, size) = (info.id, info.base, info.size);
        let endpoint = segment.endpoint();
        let from = (Arc::clone(endpoint), 0);
        let to = (Arc::clone(endpoint), base.saturating_add(size));
        // As those that are mounted do not overlap, only the last that begins
        // before the end can.
        let below = self.by_address.range(from..to).rev();
        let other = self.first_of_another(below, id);
        if let Some((other, (_, other_base))) = other
            && overlap((base, size), (*other_base, other.size))
        {
            return Err(MountError::Overlap {
                id,
                base,
                size,
                other: other.id,
                other_base: *other_base,
                other_size: other.size,
            });
        }
        segment.occupy(self.get(id).map(|older| &**older))
    }

    /// Returns the first segment whose id is another, and its key.
    fn first_of_another<'a, K>(
        &'a self,
        mut segments: impl Iterator<Item = (&'a K, &'a SegmentId)>,
        id: SegmentId,
    ) -> Option<(&'a SegmentInfo, &'a K)> {
        let (key, other) = segments.find(|(_, other)| **other != id)?;
        Some((self.get(*other)?.info(), key))
    }
}

/// What a segment is to those that are mounted.
pub(super) enum Admission {
    /// No segment has its id.
    New,
    /// It is mounted with the same fields, and in this state.
    Mounted(SegmentState),
    /// This older incarnation of it is mounted.
    Newer(Arc<Mounted>),
}

/// Finds a segment mounted with the same fields, or says why it cannot be.
fn mount_again(known: &Mounted, info: &SegmentInfo) -> Result<SegmentState, MountError> {
    let id = info.id;
    if let Some(field) = first_difference(known.info(), info) {
        return Err(MountError::Differs { id, field });
    }
    let state = known.state();
    match SegmentState::step(Some(state), Transition::Mount) {
        Step::Stay => Ok(state),
        Step::To(_) | Step::Forget | Step::Refuse => Err(MountError::Leaving { id, state }),
    }
}

/// Makes the buffers of an older incarnation invalid and lets go of its memory,
/// unless it is being read or written.
pub(super) fn retire(older: &Mounted, registry: &mut Registry) -> Result<Replaced, MountError> {
    let (id, mounted_epoch) = (older.info().id, older.info().epoch);
    let state = older.state();
    if let Err(accesses) = older.gate.close_if_idle() {
        return Err(MountError::Busy {
            id,
            mounted_epoch,
            accesses,
        });
    }
    older.set_state(SegmentState::Unmounting);
    registry.remove(id);
    older.release_memory();
    Ok(Replaced {
        epoch: mounted_epoch,
        state,
        placed_bytes: older.placed.bytes(),
    })
}

/// Returns the first field in which two segments with one id differ.
fn first_difference(a: &SegmentInfo, b: &SegmentInfo) -> Option<SegmentField> {
    let differences = [
        (SegmentField::Name, a.name != b.name),
        (SegmentField::Host, a.host != b.host),
        (SegmentField::Endpoint, a.endpoint != b.endpoint),
        (SegmentField::Protocol, a.protocol != b.protocol),
        (SegmentField::Base, a.base != b.base),
        (SegmentField::Size, a.size != b.size),
        (
            SegmentField::Granule,
            a.options.granule != b.options.granule,
        ),
        (SegmentField::Fit, a.options.fit != b.options.fit),
        (
            SegmentField::MaxAllocations,
            a.options.max_allocations != b.options.max_allocations,
        ),
        (
            SegmentField::Registration,
            a.options.registration != b.options.registration,
        ),
    ];
    let mut differences = differences.into_iter();
    differences
        .find(|(_, differs)| *differs)
        .map(|(field, _)| field)
}

/// Returns whether two ranges, each of a start and a length, share a number.
fn overlap(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1)
}
