//! Threads that compact a store while it is idle.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names"
)]

use std::mem::MaybeUninit;

use mc_store::IdleCompactor;

use crate::{
    call::run, kind::Kind, raw::required, shelves::Shelves, status::Status, store::StoreHandle,
    store_fault::StoreFault,
};

static COMPACTORS: Shelves<IdleCompactor> = Shelves::new(Kind::IdleCompactor);

/// Names a thread that compacts a store. A value with `id` 0 names none.
///
/// Copies name the same thread; `mc_idle_compactor_stop` makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct IdleCompactorHandle {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// Starts a thread that makes larger holes ahead of need, as `mc_store_compact` does, and copies
/// `bytes_per_second` at most.
///
/// It works while nothing is put or removed, a twentieth of a second after the last change at the earliest,
/// and makes one move at a time; objects larger than what it may copy in a second stay where they are. With
/// nothing to do, it looks at a few counts 20 times a second. What is in memory of another host moves by
/// `copy` of the options of the store, or stays.
///
/// The caller owns the thread and ends it with `mc_idle_compactor_stop`; until then the objects of the store
/// stay in memory, and its directory stays open, also when the store has been destroyed. Any thread may call
/// this. Fails with `MC_STATUS_SYSTEM` if there is no thread to be had, and with `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_compact_when_idle(
    store: StoreHandle,
    bytes_per_second: u64,
    out: Option<&mut MaybeUninit<IdleCompactorHandle>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let start = |store: &mc_store::ObjectStore| {
            let started = store.compact_when_idle(bytes_per_second);
            Ok(started.map_err(StoreFault::Thread)?)
        };
        let id = COMPACTORS.insert(store.with(start)?)?;
        out.write(IdleCompactorHandle { id });
        Ok(())
    })
}

/// Ends a thread that compacts, after the move that it is about to make, and waits for that. The handle is
/// stale from then on.
///
/// Any thread may call this, but for a function that the compacting thread calls: that would wait for
/// itself. Fails with `MC_STATUS_STALE_HANDLE`, and with `MC_STATUS_OTHER_PROCESS` in a child, which has no
/// such thread.
#[unsafe(no_mangle)]
pub extern "C" fn mc_idle_compactor_stop(compactor: IdleCompactorHandle) -> Status {
    run(|| COMPACTORS.take(compactor.id).map(drop))
}
