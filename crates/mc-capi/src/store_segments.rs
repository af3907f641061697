//! The segments of a store: mounted, drained, moved out of, unmounted.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and functions of the caller are called"
)]

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
};

use mc_segment::{Mounting, PlacedBuffer, SegmentPool, SegmentState, TransitionError};

use crate::{
    call::run,
    descriptor::c_text,
    fault::Fault,
    key::{Key, KeyVisitor, tell_keys},
    raw::required,
    segment_options::{SegmentNumber, SegmentTerms},
    status::Status,
    store::StoreHandle,
    store_options::CopyCallback,
    store_replicas::{ReplicaVisitor, copy_replica, tell_under_replicated},
};

/// The segment is readable and open to placement.
pub const MC_SEGMENT_OK: u32 = 0;
/// It is read where nothing else is; nothing new is placed.
pub const MC_SEGMENT_SUSPENDED: u32 = 1;
/// Its objects are being moved away; nothing new is placed.
pub const MC_SEGMENT_DRAINING: u32 = 2;
/// It is empty after draining.
pub const MC_SEGMENT_DRAINED: u32 = 3;
/// It is readable until it is unmounted.
pub const MC_SEGMENT_GRACEFULLY_UNMOUNTING: u32 = 4;
/// Its objects are gone; its addresses are taken until the unmount is finished.
pub const MC_SEGMENT_UNMOUNTING: u32 = 5;

/// The segment is new.
pub const MC_MOUNTED: u32 = 0;
/// It was mounted with the same fields before, and stays as it is.
pub const MC_ALREADY_MOUNTED: u32 = 1;
/// It took the place of an older epoch, whose objects are lost.
pub const MC_REPLACED: u32 = 2;

/// A mounted segment at a glance.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SegmentReport {
    /// The identity.
    pub id: SegmentNumber,
    /// The incarnation of its memory.
    pub epoch: u64,
    /// The name.
    pub name: *const c_char,
    /// The host; empty if it is not known.
    pub host: *const c_char,
    /// Bytes in all.
    pub capacity: u64,
    /// Free bytes.
    pub free_bytes: u64,
    /// Bytes of the largest hole, or a few more.
    pub largest_hole: u64,
    /// Bytes of all objects and puts in it, as they were asked for.
    pub placed_bytes: u64,
    /// One of the `MC_SEGMENT_` constants.
    pub state: u32,
    /// 0.
    pub reserved: u32,
}

/// A function that is told segments, one with each call. What `segment` points to is valid during the
/// call. It is called without a lock, and may use the library. It must not throw.
pub type SegmentVisitor =
    Option<unsafe extern "C" fn(context: *mut c_void, segment: *const SegmentReport)>;

/// What moving the objects of a segment did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MoveReport {
    /// Replicas that are elsewhere.
    pub replicas: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that still have a replica in the segment.
    pub left: u64,
}

/// What giving up the end of a segment took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ShrinkReport {
    /// Replicas that lay there and are elsewhere.
    pub moved_replicas: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// Objects that left, wherever they lay.
    pub evicted_objects: u64,
    /// Their bytes.
    pub evicted_bytes: u64,
    /// Bytes of the pages that the system has back.
    pub released_bytes: u64,
}

/// Adds a segment and opens it to placement; one of the constants `MC_MOUNTED`, `MC_ALREADY_MOUNTED` and
/// `MC_REPLACED` is written to `mounting`, unless that is null.
///
/// Any thread may call this. Fails with `MC_STATUS_INVALID_ARGUMENT` for numbers that no segment can have
/// and for one that is mounted with others, `MC_STATUS_OCCUPIED` if another segment has some of the
/// addresses or of the memory, `MC_STATUS_WRONG_STATE` for an older epoch and for a segment that is being
/// unmounted, `MC_STATUS_BUSY` if the older epoch is being read or written, and with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; nothing changed then.
///
/// # Safety
///
/// Unless they are null, the texts of `segment` end with a zero byte, and nobody writes them during the
/// call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_mount(
    store: StoreHandle,
    segment: Option<&SegmentTerms>,
    mounting: Option<&mut MaybeUninit<u32>>,
) -> Status {
    run(|| {
        let segment = required(segment, "segment")?;
        // SAFETY: the caller's clause.
        let described = unsafe { segment.described(store.fleeting_epoch(segment.id)?) }?;
        let done = store.with(|store| Ok(store.pool().mount(described.segment())?))?;
        if let Some(mounting) = mounting {
            mounting.write(match done {
                Mounting::AlreadyMounted(_) => MC_ALREADY_MOUNTED,
                Mounting::Replaced(_) => MC_REPLACED,
                _ => MC_MOUNTED,
            });
        }
        Ok(())
    })
}

/// Unmounts a segment, and tells `visit`, unless that is null, which objects that cost a replica.
///
/// Leases of its objects stay, and cannot read there any more. Any thread may call this. Fails with
/// `MC_STATUS_BUSY` while bytes in it are read or written: its objects are gone then and nobody begins to
/// read there; a second call ends the unmount, and visits what this one would have. Fails also with
/// `MC_STATUS_NOT_MOUNTED`, `MC_STATUS_WRONG_STATE`, `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`; nothing changed then.
///
/// # Safety
///
/// Unless it is null, `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_unmount(
    store: StoreHandle,
    id: SegmentNumber,
    visit: ReplicaVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let id = id.id();
        let unmounted = store.with(|store| Ok(store.unmount(id)?))?;
        let Some(visit) = visit else {
            return Ok(());
        };
        for key in &unmounted.lost {
            // SAFETY: the caller's clause.
            unsafe { visit(context, Key::of(key), 0, 0) };
        }
        // SAFETY: the caller's clause.
        unsafe { tell_under_replicated(&unmounted.survivors, Some(visit), context) };
        Ok(())
    })
}

/// Closes a segment to placement while its objects stay, to be read where nothing else is.
///
/// Any thread may call this. Fails with `MC_STATUS_NOT_MOUNTED`, with `MC_STATUS_WRONG_STATE` if its
/// state does not allow it, and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; nothing
/// changed then.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_suspend(store: StoreHandle, id: SegmentNumber) -> Status {
    transition(store, |pool| pool.suspend(id.id()))
}

/// Closes a segment to placement so that its objects can be moved out; otherwise as `mc_store_suspend`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_drain(store: StoreHandle, id: SegmentNumber) -> Status {
    transition(store, |pool| pool.drain(id.id()))
}

/// States that a draining segment is empty; otherwise as `mc_store_suspend`. Fails with `MC_STATUS_BUSY`
/// if it is not.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_finish_drain(store: StoreHandle, id: SegmentNumber) -> Status {
    transition(store, |pool| pool.finish_drain(id.id()))
}

/// Opens a suspended, draining or drained segment again; otherwise as `mc_store_suspend`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_resume(store: StoreHandle, id: SegmentNumber) -> Status {
    transition(store, |pool| pool.resume(id.id()))
}

/// Closes a segment to placement for good; its objects are readable until it is unmounted. Otherwise as
/// `mc_store_suspend`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_unmount_gracefully(store: StoreHandle, id: SegmentNumber) -> Status {
    transition(store, |pool| pool.unmount_gracefully(id.id()))
}

/// Tells `visit` all mounted segments in the order of their ids, whatever their states. The numbers of
/// segments in use may be of slightly different moments.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_segments(
    store: StoreHandle,
    visit: SegmentVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let visit = required(visit, "visit")?;
        for view in store.with(|store| Ok(store.pool().segments()))? {
            let (name, host) = (c_text(&view.name), c_text(&view.host));
            let report = SegmentReport {
                id: SegmentNumber::of(view.id),
                epoch: view.epoch,
                name: name.as_ptr(),
                host: host.as_ptr(),
                capacity: view.capacity,
                free_bytes: view.free_bytes,
                largest_hole: view.largest_hole,
                placed_bytes: view.placed_bytes,
                state: number(view.state),
                reserved: 0,
            };
            // SAFETY: the caller's clause; the report and its texts live through the call.
            unsafe { visit(context, &raw const report) };
        }
        Ok(())
    })
}

/// Moves the replicas in a segment to others, where objects leave if need be; `visit`, unless that is
/// null, is told the keys of the objects that stay, because they are leased or there is no room.
///
/// Drain the segment before, so that nothing new is placed in it. `copy` copies the bytes; null copies
/// within memory of this process. Any thread may call this; `out` may be null.
///
/// Fails with `MC_STATUS_NOT_MOUNTED`, `MC_STATUS_COPY_FAILED` if `copy` does, `MC_STATUS_UNREADABLE` without
/// one for memory of another host, and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; what has
/// moved before stays where it is then.
///
/// # Safety
///
/// Unless they are null, `copy` may be called with `copy_context`, and `visit` with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_move_out(
    store: StoreHandle,
    id: SegmentNumber,
    copy: CopyCallback,
    copy_context: *mut c_void,
    visit: KeyVisitor,
    context: *mut c_void,
    out: Option<&mut MaybeUninit<MoveReport>>,
) -> Status {
    run(|| {
        let copy = |from: &PlacedBuffer, to: &mut PlacedBuffer| {
            // SAFETY: the caller's clause.
            unsafe { copy_replica(copy, copy_context, from, to) }
        };
        let id = id.id();
        let moved = store.with(|store| match store.pool().state(id) {
            Some(_) => Ok(store.move_out(id, copy)?),
            None => Err(TransitionError::NotMounted { id }.into()),
        })?;
        if let Some(out) = out {
            out.write(MoveReport {
                replicas: moved.replicas,
                bytes: moved.bytes,
                left: moved.left.len() as u64,
            });
        }
        // SAFETY: the caller's clause.
        unsafe { tell_keys(&moved.left, visit, context) };
        Ok(())
    })
}

/// Makes larger holes ahead of need by moving at most `budget_bytes`; nobody leaves. The bytes that were
/// copied are written to `copied_bytes`, unless that is null.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_compact(
    store: StoreHandle,
    budget_bytes: u64,
    copied_bytes: Option<&mut MaybeUninit<u64>>,
) -> Status {
    run(|| {
        let bytes = store.with(|store| Ok(store.compact(budget_bytes).bytes))?;
        if let Some(copied_bytes) = copied_bytes {
            copied_bytes.write(bytes);
        }
        Ok(())
    })
}

/// Leaves a segment `size` bytes: what lies behind moves, and where there is too little room, objects
/// leave. The pages of a pool go back to the system. `out` may be null.
///
/// Any thread may call this. Fails with `MC_STATUS_NOT_MOUNTED`, `MC_STATUS_INVALID_ARGUMENT` for a size
/// that it cannot have, `MC_STATUS_BUSY` if what is there neither moves nor leaves, and with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_shrink(
    store: StoreHandle,
    id: SegmentNumber,
    size: u64,
    out: Option<&mut MaybeUninit<ShrinkReport>>,
) -> Status {
    run(|| {
        let shrunk = store.with(|store| Ok(store.shrink(id.id(), size)?))?;
        if let Some(out) = out {
            out.write(ShrinkReport {
                moved_replicas: shrunk.moved.objects,
                moved_bytes: shrunk.moved.bytes,
                evicted_objects: shrunk.evicted.objects,
                evicted_bytes: shrunk.evicted.bytes,
                released_bytes: shrunk.released_bytes,
            });
        }
        Ok(())
    })
}

/// Gives a segment that shrank `size` bytes again, at most those that it was mounted with.
///
/// Any thread may call this. Fails as `mc_store_shrink`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_grow(store: StoreHandle, id: SegmentNumber, size: u64) -> Status {
    run(|| store.with(|store| Ok(store.grow(id.id(), size)?)))
}

fn transition(
    store: StoreHandle,
    change: impl FnOnce(&SegmentPool) -> Result<(), TransitionError>,
) -> Status {
    run(|| store.with(|store| Ok::<_, Fault>(change(store.pool())?)))
}

fn number(state: SegmentState) -> u32 {
    match state {
        SegmentState::Ok => MC_SEGMENT_OK,
        SegmentState::Suspended => MC_SEGMENT_SUSPENDED,
        SegmentState::Draining => MC_SEGMENT_DRAINING,
        SegmentState::Drained => MC_SEGMENT_DRAINED,
        SegmentState::GracefullyUnmounting => MC_SEGMENT_GRACEFULLY_UNMOUNTING,
        _ => MC_SEGMENT_UNMOUNTING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared;

    #[test]
    fn constants_stand_for_what_they_are_named_after() {
        for state in SegmentState::ALL {
            declared::assert_named("MC_SEGMENT_", &state, number(state));
        }
        assert_eq!(declared::count("MC_SEGMENT_"), SegmentState::ALL.len());
    }
}
