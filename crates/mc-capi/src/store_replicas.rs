//! Replicas of single objects: added, missed, and dropped with their objects.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and functions of the caller are called"
)]

use std::ffi::c_void;

use mc_segment::PlacedBuffer;
use mc_store::{UnderReplicated, copy_bytes};

use crate::{
    call::run,
    key::{Key, KeyVisitor, tell_keys},
    raw::required,
    status::Status,
    store::StoreHandle,
    store_fault::StoreFault,
    store_options::{CopyCallback, copy_by},
};

/// A function that is told objects with fewer replicas than their puts asked for, one with each call: how
/// many can be read, 0 for an object that an unmount has lost, and how many were asked for, 0 where that is
/// not known any more. It is called without a lock, and may use the library. It must not throw.
pub type ReplicaVisitor =
    Option<unsafe extern "C" fn(context: *mut c_void, key: Key, readable: u32, wanted: u32)>;

/// Adds a replica to an object, where the options of its put allow and no segment of the same name has one;
/// others leave for it as for a put. It may get more than were asked for. That is no use of the object.
///
/// `copy` copies the bytes; null copies within memory of this process. No lock is held meanwhile. Takes the
/// time of a put and of the copy. Any thread may call this.
///
/// Fails with `MC_STATUS_NOT_STORED`, `MC_STATUS_BUSY` if the object is leased, or was moved or removed
/// meanwhile, `MC_STATUS_NO_SPACE` if all that may leave would not make room, `MC_STATUS_TOO_LARGE` if no
/// segment of another name could ever take it, `MC_STATUS_QUOTA_EXCEEDED`, `MC_STATUS_COPY_FAILED` if
/// `copy` does, `MC_STATUS_UNREADABLE` without one for memory of another host, `MC_STATUS_JOURNAL`, and with
/// `MC_STATUS_INVALID_ARGUMENT`, `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; the object is as it
/// was then. `mc_error_figures` has the numbers.
///
/// # Safety
///
/// As `mc_store_exists`; unless it is null, `copy` may be called with `copy_context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_add_replica(
    store: StoreHandle,
    key: Key,
    copy: CopyCallback,
    copy_context: *mut c_void,
) -> Status {
    run(|| {
        // SAFETY: the caller's clause.
        let key = unsafe { key.get("key") }?;
        let copy = |from: &PlacedBuffer, to: &mut PlacedBuffer| {
            // SAFETY: the caller's clause.
            unsafe { copy_replica(copy, copy_context, from, to) }
        };
        store.with(|store| Ok(store.add_replica(key, copy)??))
    })
}

/// Tells `visit` the objects that have fewer readable replicas than their puts asked for, but at least one,
/// in no order, in time linear in the objects of the store.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_under_replicated(
    store: StoreHandle,
    visit: ReplicaVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        required(visit, "visit")?;
        let found = store.with(|store| Ok(store.under_replicated()))?;
        // SAFETY: the caller's clause.
        unsafe { tell_under_replicated(&found, visit, context) };
        Ok(())
    })
}

/// Drops the objects none of whose segments is readable any more, and tells `visit`, unless that is null,
/// their keys. A get drops the one that it meets; this drops all, in time linear in the objects of the store.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// Unless it is null, `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_drop_unreadable(
    store: StoreHandle,
    visit: KeyVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let dropped = store.with(|store| Ok(store.drop_unreadable()))?;
        // SAFETY: the caller's clause.
        unsafe { tell_keys(&dropped, visit, context) };
        Ok(())
    })
}

/// Copies a replica by a function of the caller, or within this process if there is none.
///
/// # Safety
///
/// Unless it is null, `copy` may be called with `context`.
pub(crate) unsafe fn copy_replica(
    copy: CopyCallback,
    context: *mut c_void,
    from: &PlacedBuffer,
    to: &mut PlacedBuffer,
) -> Result<(), StoreFault> {
    match copy {
        // SAFETY: the caller's clause.
        Some(copy) => Ok(unsafe { copy_by(copy, context, from, to, 0, from.size()) }?),
        None => Ok(copy_bytes(from, to)?),
    }
}

/// Tells objects that lack replicas to a function of the caller, if there is one.
///
/// # Safety
///
/// `visit` may be called with `context`.
pub(crate) unsafe fn tell_under_replicated(
    objects: &[UnderReplicated],
    visit: ReplicaVisitor,
    context: *mut c_void,
) {
    let Some(visit) = visit else {
        return;
    };
    for object in objects {
        let key = Key::of(&object.key);
        // SAFETY: the caller's clause; the key lives through the call.
        unsafe { visit(context, key, object.readable, object.wanted) };
    }
}
