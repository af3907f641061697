//! What happens to objects, in queues of the caller.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and a function of the caller is called"
)]

use std::{ffi::c_void, mem::MaybeUninit, sync::Arc};

use mc_store::{Cause, Event, EventKind, Events};

use crate::{
    call::run, key::Key, kind::Kind, raw::required, segment_options::SegmentNumber,
    shelves::Shelves, status::Status, store::StoreHandle,
};

static QUEUES: Shelves<Arc<Events>> = Shelves::new(Kind::Events);

/// An object is readable from now on.
pub const MC_EVENT_COMMITTED: u32 = 0;
/// An object is gone; `cause` says why.
pub const MC_EVENT_LEFT: u32 = 1;
/// A replica is in another segment.
pub const MC_EVENT_MOVED: u32 = 2;
/// A replica is at another place of its segment.
pub const MC_EVENT_MOVED_WITHIN: u32 = 3;
/// Something that this version has no number for.
pub const MC_EVENT_OTHER: u32 = 4;

/// The object is there.
pub const MC_CAUSE_NONE: u32 = 0;
/// A put needed its place.
pub const MC_CAUSE_ON_DEMAND: u32 = 1;
/// A watermark was passed.
pub const MC_CAUSE_WATERMARK: u32 = 2;
/// The end of its segment was given up.
pub const MC_CAUSE_SHRUNK: u32 = 3;
/// Its owner removed it.
pub const MC_CAUSE_REMOVED: u32 = 4;
/// None of its segments is readable any more.
pub const MC_CAUSE_UNREADABLE: u32 = 5;
/// Its bytes are not those that were committed.
pub const MC_CAUSE_CORRUPT: u32 = 6;
/// Something that this version has no number for.
pub const MC_CAUSE_OTHER: u32 = 7;

/// Names a queue of events. A value with `id` 0 names none.
///
/// Copies name the same queue; `mc_events_destroy` makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EventsHandle {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// Something that happened to an object.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StoreEvent {
    /// Its key.
    pub key: Key,
    /// Bytes of all its replicas.
    pub bytes: u64,
    /// One of the `MC_EVENT_` constants.
    pub kind: u32,
    /// One of the `MC_CAUSE_` constants.
    pub cause: u32,
    /// The segment that a replica left by a move.
    pub from: SegmentNumber,
    /// The segment that it is in.
    pub to: SegmentNumber,
}

/// A function that is told events, one with each call. What `event` points to is valid during the call.
/// It is called without a lock, and may use the library. It must not throw.
pub type EventVisitor =
    Option<unsafe extern "C" fn(context: *mut c_void, event: *const StoreEvent)>;

/// Makes a queue of what happens to objects from now on, which holds `capacity` events, at least 1. One
/// that is full drops its oldest event and counts it, so that nothing waits for the reader.
///
/// The caller owns the queue and ends it with `mc_events_destroy`. Any thread may call this. Fails with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_events(
    store: StoreHandle,
    capacity: usize,
    out: Option<&mut MaybeUninit<EventsHandle>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let events = store.with(|store| Ok(store.events(capacity)))?;
        let id = QUEUES.insert(Arc::new(events))?;
        out.write(EventsHandle { id });
        Ok(())
    })
}

/// Tells `visit` the events that were not told yet, the oldest first and `count_max` at most, and writes
/// to `missed`, unless that is null, how many were dropped so far because the queue was full.
///
/// Any thread may call this; each event is told once. It does not wait. Fails with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_events_poll(
    events: EventsHandle,
    count_max: usize,
    visit: EventVisitor,
    context: *mut c_void,
    missed: Option<&mut MaybeUninit<u64>>,
) -> Status {
    run(|| {
        let visit = required(visit, "visit")?;
        let queue = QUEUES.get(events.id)?;
        if let Some(missed) = missed {
            missed.write(queue.missed());
        }
        for _ in 0..count_max {
            let Some(event) = queue.try_next() else {
                break;
            };
            let told = told(&event);
            // SAFETY: the caller's clause; event and key live through the call.
            unsafe { visit(context, &raw const told) };
        }
        Ok(())
    })
}

/// Ends a queue; its handle is stale from then on.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_events_destroy(events: EventsHandle) -> Status {
    run(|| {
        drop(QUEUES.take(events.id)?);
        Ok(())
    })
}

fn told(event: &Event) -> StoreEvent {
    let mut told = StoreEvent {
        key: Key::of(&event.key),
        bytes: event.bytes,
        kind: MC_EVENT_OTHER,
        cause: MC_CAUSE_NONE,
        from: SegmentNumber::default(),
        to: SegmentNumber::default(),
    };
    match event.kind {
        EventKind::Committed => told.kind = MC_EVENT_COMMITTED,
        EventKind::Left(cause) => {
            told.kind = MC_EVENT_LEFT;
            told.cause = number(cause);
        }
        EventKind::Moved { from, to } => {
            told.kind = MC_EVENT_MOVED;
            told.from = SegmentNumber::of(from);
            told.to = SegmentNumber::of(to);
        }
        EventKind::MovedWithin { segment } => {
            told.kind = MC_EVENT_MOVED_WITHIN;
            told.from = SegmentNumber::of(segment);
            told.to = told.from;
        }
        _ => {}
    }
    told
}

fn number(cause: Cause) -> u32 {
    match cause {
        Cause::OnDemand => MC_CAUSE_ON_DEMAND,
        Cause::Watermark => MC_CAUSE_WATERMARK,
        Cause::Shrunk => MC_CAUSE_SHRUNK,
        Cause::Removed => MC_CAUSE_REMOVED,
        Cause::Unreadable => MC_CAUSE_UNREADABLE,
        Cause::Corrupt => MC_CAUSE_CORRUPT,
        _ => MC_CAUSE_OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared;

    #[test]
    fn constants_stand_for_what_they_are_named_after() {
        let causes = [
            Cause::OnDemand,
            Cause::Watermark,
            Cause::Shrunk,
            Cause::Removed,
            Cause::Unreadable,
            Cause::Corrupt,
        ];
        for cause in causes {
            declared::assert_named("MC_CAUSE_", &cause, number(cause));
        }
        // Those for no cause and for one of a later version.
        assert_eq!(declared::count("MC_CAUSE_"), causes.len() + 2);
    }
}
