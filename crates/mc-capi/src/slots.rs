//! Allocators of slots of one size.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and one takes an array"
)]

use std::mem::MaybeUninit;

use mc_offset::{SlotAllocator, SlotIndex};

use crate::{
    call::{ask, run},
    kind::Kind,
    raw::{self, required},
    registry::Registry,
    status::Status,
};

static SLOTS: Registry<SlotAllocator> = Registry::new(Kind::Slots);

/// Names an allocator of slots. A value with `id` 0 names none.
///
/// Copies name the same allocator; `mc_slots_destroy` makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Slots {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// What an allocator of slots has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SlotsReport {
    /// Bytes of one slot; slot `i` begins at offset `i * slot_bytes`.
    pub slot_bytes: u64,
    /// Slots, live and free.
    pub slot_count: u32,
    /// Slots that are live, or promised to calls in progress.
    pub live_count: u32,
    /// Memory of the allocator itself, in bytes.
    pub metadata_bytes: u64,
}

/// Makes an allocator of `slot_count` free slots of `slot_bytes` bytes each, at offsets from 0 on.
///
/// The caller owns the handle and ends it with `mc_slots_destroy`. Any thread may call this.
///
/// Fails with `MC_STATUS_INVALID_ARGUMENT` if either is 0 or the range passes 2^64 - 1.
#[unsafe(no_mangle)]
pub extern "C" fn mc_slots_create(
    slot_bytes: u64,
    slot_count: u32,
    out: Option<&mut MaybeUninit<Slots>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let id = SLOTS.insert(SlotAllocator::new(slot_bytes, slot_count)?)?;
        out.write(Slots { id });
        Ok(())
    })
}

/// Ends an allocator; its handle is stale from then on. Calls in progress finish first.
///
/// Any thread may call this at any time. Fails with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_slots_destroy(slots: Slots) -> Status {
    run(|| SLOTS.remove(slots.id))
}

/// Hands out a free slot; which one is not specified.
///
/// The caller owns the slot and gives it back with `mc_slots_free`. Any thread may call this; no
/// call waits for another.
///
/// Fails with `MC_STATUS_NO_SPACE` if all slots are live, and with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_slots_allocate(slots: Slots, index: Option<&mut MaybeUninit<u32>>) -> Status {
    run(|| {
        let index = required(index, "index")?;
        let slot = SLOTS.with(slots.id, |slots| Ok(slots.allocate()?))?;
        index.write(slot.as_u32());
        Ok(())
    })
}

/// Hands out slot `index`, as when live slots written down elsewhere are restored.
///
/// As `mc_slots_allocate`; fails with `MC_STATUS_OCCUPIED` if the slot is live, and with
/// `MC_STATUS_INVALID_ARGUMENT` if there is none of that index.
#[unsafe(no_mangle)]
pub extern "C" fn mc_slots_allocate_at(slots: Slots, index: u32) -> Status {
    run(|| {
        SLOTS.with(slots.id, |slots| {
            Ok(slots.allocate_at(SlotIndex::new(index))?)
        })
    })
}

/// Takes a slot back. Any thread may call this.
///
/// Fails with `MC_STATUS_NOT_LIVE` if the slot is free or there is none of that index, and with
/// `MC_STATUS_STALE_HANDLE`. A slot has no generation: an index that was freed and handed out again
/// is the new owner's.
#[unsafe(no_mangle)]
pub extern "C" fn mc_slots_free(slots: Slots, index: u32) -> Status {
    run(|| SLOTS.with(slots.id, |slots| Ok(slots.free(SlotIndex::new(index))?)))
}

/// Says whether a slot is live; one that does not exist is not. Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_slots_is_live(slots: Slots, index: u32) -> bool {
    ask(|| SLOTS.with(slots.id, |slots| Ok(slots.is_live(SlotIndex::new(index)))))
}

/// Tells what the allocator has. Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_slots_describe(
    slots: Slots,
    out: Option<&mut MaybeUninit<SlotsReport>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let report = |slots: &SlotAllocator| SlotsReport {
            slot_bytes: slots.slot_bytes(),
            slot_count: slots.capacity(),
            live_count: slots.live_count(),
            metadata_bytes: slots.metadata_bytes() as u64,
        };
        out.write(SLOTS.with(slots.id, |slots| Ok(report(slots)))?);
        Ok(())
    })
}

/// Writes the live slots in ascending order to `indices`, which has room for `room` of them, and
/// their number to `count`.
///
/// Nothing is written to `indices` if they are more than `room`: the call fails with
/// `MC_STATUS_ARRAY_TOO_SHORT`. `indices` may be null if `room` is 0. Any thread may call this;
/// beside other calls in progress each slot is read at a moment of its own. Fails also with
/// `MC_STATUS_STALE_HANDLE`.
///
/// # Safety
///
/// Room for `room` numbers begins at `indices`, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_slots_live(
    slots: Slots,
    indices: *mut u32,
    room: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> Status {
    run(|| {
        let count = required(count, "count")?;
        // SAFETY: the caller's clause.
        let indices = unsafe { raw::room(indices, room, "indices") }?;
        SLOTS.with(slots.id, |slots| {
            let live: Vec<u32> = slots.live_slots().map(SlotIndex::as_u32).collect();
            raw::fill(indices, count, live.len(), live.into_iter())
        })
    })
}
