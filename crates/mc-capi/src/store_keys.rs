//! What is asked about single keys of a store: is it there, does it stay, may it go.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and keys are the caller's"
)]

use std::ffi::c_void;

use mc_store::{ObjectStore, Removal};

use crate::{
    call::{ask, run},
    fault::Fault,
    key::{Key, KeyVisitor, tell_keys},
    raw::{self, required},
    status::Status,
    store::StoreHandle,
    store_options::choice,
};

/// Removes nothing if the object is leased or pinned.
pub const MC_REMOVE_IF_IDLE: u32 = 0;
/// Frees the key at once, and the bytes when the last lease ends; a pinned object stays.
pub const MC_REMOVE_DETACH: u32 = 1;
/// Removes the object, pinned or not, and in spite of timed leases.
pub const MC_REMOVE_NOW: u32 = 2;

/// Says whether an object is stored under a key, without counting as a use. A stale handle has none.
///
/// Any thread may call this.
///
/// # Safety
///
/// `bytes` of `key` begin at its `start`, and nobody writes them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_exists(store: StoreHandle, key: Key) -> bool {
    ask(|| {
        // SAFETY: the caller's clause.
        let key = unsafe { key.get("key") }?;
        store.with(|store| Ok(store.exists(key)))
    })
}

/// Removes an object, as one of the `MC_REMOVE_` constants says.
///
/// Any thread may call this. Fails with `MC_STATUS_NOT_STORED`, `MC_STATUS_LEASED` or `MC_STATUS_PINNED`,
/// and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; nothing changed then.
///
/// # Safety
///
/// As `mc_store_exists`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_remove(store: StoreHandle, key: Key, mode: u32) -> Status {
    run(|| {
        let mode = removal(mode)?;
        // SAFETY: the caller's clause.
        let key = unsafe { key.get("key") }?;
        store.with(|store| Ok(store.remove(key, mode)?))
    })
}

/// Removes several objects, as one of the `MC_REMOVE_` constants says, and writes to `results`, which has
/// room for `key_count`, what `mc_store_remove` would have returned for each. Objects that are freed together
/// cost less than one by one.
///
/// Any thread may call this. Fails with `MC_STATUS_INVALID_ARGUMENT`, `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`; nothing changed then, and `results` were not written.
///
/// # Safety
///
/// `key_count` keys begin at `keys`, as for `mc_store_exists`; room for as many statuses begins at `results`,
/// and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_remove_many(
    store: StoreHandle,
    keys: *const Key,
    key_count: usize,
    mode: u32,
    results: *mut Status,
) -> Status {
    run(|| {
        let mode = removal(mode)?;
        // SAFETY: the caller's clause.
        let keys = unsafe { raw::array(keys, key_count, "keys") }?;
        // SAFETY: the caller's clause.
        let room = unsafe { raw::room(results, key_count, "results") }?;
        // SAFETY: the caller's clause.
        let keys = keys.iter().map(|key| unsafe { key.get("key") });
        let keys: Vec<&[u8]> = keys.collect::<Result<_, _>>()?;
        let removed = store.with(|store| Ok(store.remove_many(&keys, mode)))?;
        for (place, removed) in room.iter_mut().zip(removed) {
            place.write(match removed {
                Ok(()) => Status::Ok,
                Err(error) => Fault::from(error).status(),
            });
        }
        Ok(())
    })
}

/// Keeps an object from leaving until it is unpinned.
///
/// Any thread may call this. Fails with `MC_STATUS_NOT_STORED`, `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// As `mc_store_exists`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_pin(store: StoreHandle, key: Key) -> Status {
    // SAFETY: the caller's clause.
    unsafe { expect_stored(store, key, ObjectStore::pin) }
}

/// Lets a pinned object leave again, as if it was used now; otherwise as `mc_store_pin`.
///
/// # Safety
///
/// As `mc_store_exists`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_unpin(store: StoreHandle, key: Key) -> Status {
    // SAFETY: the caller's clause.
    unsafe { expect_stored(store, key, ObjectStore::unpin) }
}

/// Ends the timed lease of an object, whoever took it; leases that are held stay.
///
/// Any thread may call this. Fails with `MC_STATUS_NOT_STORED` if there was none, and with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// As `mc_store_exists`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_end_lease(store: StoreHandle, key: Key) -> Status {
    // SAFETY: the caller's clause.
    unsafe { expect_stored(store, key, ObjectStore::end_lease) }
}

/// Tells `visit` the keys of all objects, in no order, in time linear in their number.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_keys(
    store: StoreHandle,
    visit: KeyVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        required(visit, "visit")?;
        let keys = store.with(|store| Ok(store.keys()))?;
        // SAFETY: the caller's clause.
        unsafe { tell_keys(&keys, visit, context) };
        Ok(())
    })
}

fn removal(mode: u32) -> Result<Removal, Fault> {
    let modes = [Removal::IfIdle, Removal::Detach, Removal::Now];
    choice(&modes, "mode", mode, "one of the MC_REMOVE_ constants")
}

/// Runs a call that says whether it found what it is about.
///
/// # Safety
///
/// As `mc_store_exists`.
unsafe fn expect_stored(
    store: StoreHandle,
    key: Key,
    call: impl FnOnce(&ObjectStore, &[u8]) -> bool,
) -> Status {
    run(|| {
        // SAFETY: the caller's clause.
        let key = unsafe { key.get("key") }?;
        match store.with(|store| Ok(call(store, key)))? {
            true => Ok(()),
            false => Err(Fault::NotStored),
        }
    })
}
