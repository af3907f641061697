//! Whether a segment may be mounted beside those that are.

use std::{cmp::Ordering, sync::Arc};

use super::{Registry, Replaced};
use crate::{
    error::{MountError, SegmentField},
    mounted::Mounted,
    segment::{Segment, SegmentInfo},
    state::{SegmentState, Step, Transition},
};

/// What a segment is to those that are mounted.
pub(super) enum Admission {
    /// No segment has its id.
    New,
    /// It is mounted with the same fields, and in this state.
    Mounted(SegmentState),
    /// This older incarnation of it is mounted.
    Newer(Arc<Mounted>),
}

/// Compares a segment with the one that is mounted under its id.
pub(super) fn admit(registry: &Registry, info: &SegmentInfo) -> Result<Admission, MountError> {
    let (id, epoch) = (info.id, info.epoch);
    let Some(known) = registry.get(&id) else {
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
pub(super) fn retire(older: &Mounted) -> Result<Replaced, MountError> {
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

/// Refuses a segment that shares addresses of its endpoint, or bytes of its
/// memory, with a mounted one of another id.
pub(super) fn check_disjoint(registry: &Registry, segment: &Segment) -> Result<(), MountError> {
    let info = &segment.info;
    let (id, base, size) = (info.id, info.base, info.size);
    let overlaps = |other: &SegmentInfo| {
        other.endpoint == info.endpoint && overlap((base, size), (other.base, other.size))
    };
    let others = || registry.values().filter(|other| other.info().id != id);
    let mut infos = others().map(|mounted| mounted.info());
    if let Some(other) = infos.find(|other| overlaps(other)) {
        return Err(MountError::Overlap {
            id,
            base,
            size,
            other: other.id,
            other_base: other.base,
            other_size: other.size,
        });
    }
    let Some((memory, start)) = segment.memory.origin() else {
        return Ok(());
    };
    for mounted in others() {
        let SegmentInfo {
            id: other,
            size: other_size,
            ..
        } = *mounted.info();
        if let Some((other_memory, other_start)) = mounted.memory().origin()
            && memory == other_memory
            && overlap((start, size), (other_start, other_size))
        {
            return Err(MountError::SharedMemory {
                id,
                start,
                size,
                other,
                other_start,
                other_size,
            });
        }
    }
    Ok(())
}

/// Returns whether two ranges, each of a start and a length, share a number.
fn overlap(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1)
}
