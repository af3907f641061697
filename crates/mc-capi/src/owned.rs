//! Allocations that free themselves, for classes of other languages: a handle of Rust in storage of
//! the caller.
//!
//! A token is checked under the allocator's lock each time. A handle is not, because nobody can
//! copy it; so it is freed without the lock where its size repeats, and it keeps the allocator's
//! tables alive by itself.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and handles lie in memory of the \
              caller"
)]

use std::{mem::MaybeUninit, ptr};

use mc_offset::Handle;

use crate::{
    call::{allocated, answer, ask, run},
    fault::Fault,
    offset::{Entry, OFFSETS, Offset, Unclaimed},
    offset_options::OffsetOptions,
    offset_report::Block,
    offset_restore::with_blocks,
    raw::{self, required},
    status::Status,
};

/// An allocation with one owner, as a class wraps it. Empty iff `size` is 0.
///
/// It may be moved to another place as bytes are, but of two copies only one may be used again.
/// Set it to zero, or let the library write it, before it is used.
#[derive(Debug)]
#[repr(C)]
pub struct OwnedAllocation {
    /// Offset of the first byte from the base of the allocator; `mc_owned_address` adds the two.
    pub offset: u64,
    /// Bytes asked for.
    pub size: u64,
    /// The library's.
    pub handle: [MaybeUninit<u64>; 2],
}

// No larger than the handle in it: what a store keeps for every object decides how many of them the
// caches hold.
const _: () = assert!(
    size_of::<OwnedAllocation>() == size_of::<Handle>()
        && align_of::<OwnedAllocation>() == align_of::<Handle>(),
    "an owned allocation is a handle as it lies in memory"
);

/// Finds a place for `size` bytes at an address that is a multiple of `align`, a power of two; 0
/// and 1 mean any.
///
/// The caller owns `out`, whose contents before are not looked at, and ends it with
/// `mc_owned_free`. Any thread may call this; sizes that a thread repeats take no lock.
///
/// Fails as `mc_offset_allocate` and `mc_offset_allocate_aligned`; `out` is not written then.
///
/// # Safety
///
/// No `mc_offset_destroy` of `allocator` runs during the call; one that ended before it is an error
/// as elsewhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_owned_allocate(
    allocator: Offset,
    size: u64,
    align: u64,
    out: Option<&mut MaybeUninit<OwnedAllocation>>,
) -> Status {
    answer(|| {
        let out = required(out, "out")?;
        let allocate = |entry: &Entry| {
            // Two calls of `own`, as a handle that comes from two places is copied once more.
            if align <= 1 {
                return allocated(entry.allocator.allocate(size), |handle| own(handle, out));
            }
            entry.check_align(align)?;
            let handle = entry.allocator.allocate_aligned(size, align);
            allocated(handle, |handle| own(handle, out))
        };
        // SAFETY: the caller's clause.
        unsafe { OFFSETS.with_unpinned(allocator.id, allocate) }
    })
}

/// Allocates `size` bytes at exactly `offset` from the base.
///
/// The caller owns `out` as after `mc_owned_allocate`; otherwise as `mc_offset_allocate_at`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_owned_allocate_at(
    allocator: Offset,
    offset: u64,
    size: u64,
    out: Option<&mut MaybeUninit<OwnedAllocation>>,
) -> Status {
    own_found(allocator, out, |entry| entry.allocate_at(offset, size))
}

/// Makes an allocator in which the `count` elements of `blocks`, in any order, are live and the
/// rest is free, and writes their owners to `owners`, in the order of the list.
///
/// The caller owns the handle and all of `owners`. Any thread may call this. Fails as
/// `mc_offset_restore_from`; nothing is written then.
///
/// # Safety
///
/// `count` blocks begin at `blocks`, which nobody writes during the call; room for `count` owners
/// begins at `owners`, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_owned_restore_from(
    options: Option<&OffsetOptions>,
    blocks: *const Block,
    count: usize,
    out: Option<&mut MaybeUninit<Offset>>,
    owners: *mut OwnedAllocation,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        // SAFETY: the caller's clause.
        let blocks = unsafe { raw::array(blocks, count, "blocks") }?;
        // SAFETY: the caller's clause.
        let owners = unsafe { raw::room(owners, count, "owners") }?;
        let (allocator, handles) = with_blocks(options, blocks)?;
        out.write(Entry::new(allocator, Unclaimed::new()).register()?);
        for (owner, handle) in owners.iter_mut().zip(handles) {
            own(handle, owner);
        }
        Ok(())
    })
}

/// Gives the restored allocation at `offset` from the base an owner that frees itself, whatever size
/// was recorded for it: it gets `size` bytes, or the recorded ones if that is 0.
///
/// Bytes behind a smaller size become free; a larger one takes them from the hole behind it. Any
/// thread may call this.
///
/// Fails with `MC_STATUS_NOT_LIVE` unless an allocation was restored there that has no owner yet,
/// `MC_STATUS_NO_SPACE` if the next allocation is in the way of the size, and with
/// `MC_STATUS_STALE_HANDLE`; nothing changed then.
#[unsafe(no_mangle)]
pub extern "C" fn mc_owned_adopt(
    allocator: Offset,
    offset: u64,
    size: u64,
    out: Option<&mut MaybeUninit<OwnedAllocation>>,
) -> Status {
    own_found(allocator, out, |entry| entry.adopt(offset, size))
}

/// Gives a restored allocation an owner that frees itself; otherwise as `mc_offset_claim`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_owned_claim(
    allocator: Offset,
    block: Block,
    out: Option<&mut MaybeUninit<OwnedAllocation>>,
) -> Status {
    own_found(allocator, out, |entry| entry.claim(block))
}

/// Frees an allocation and empties it; an empty one is left as it is. Harmless if the allocator was
/// destroyed before.
///
/// Any thread may call this, but not two for one allocation. Fails with
/// `MC_STATUS_INVALID_ARGUMENT` for null.
///
/// # Safety
///
/// `owned` is null, set to zero, or was written by the library, and no copy of it was freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_owned_free(owned: Option<&mut OwnedAllocation>) -> Status {
    run(|| {
        let owned = required(owned, "owned")?;
        if owned.size == 0 {
            return Ok(());
        }
        // SAFETY: (1) the words are aligned and large enough for a handle: asserted above; (2) they
        // hold one: `size` is not 0, which only `own` writes, by the caller's clause; (3) it is
        // dropped once: `size` is 0 afterwards, and no copy is used, by the caller's clause. Should
        // freeing panic, the handle has let go of its allocation before, and frees nothing again.
        unsafe { ptr::from_mut(owned).cast::<Handle>().drop_in_place() };
        owned.size = 0;
        Ok(())
    })
}

/// Returns the address of the first byte, the allocator's base included; 0 for an empty allocation
/// and for null. It does not change when the allocator is destroyed.
///
/// Any thread may call this.
///
/// # Safety
///
/// As `mc_owned_is_valid`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_owned_address(owned: Option<&OwnedAllocation>) -> u64 {
    // SAFETY: the caller's clause.
    ask(|| Ok(unsafe { handle(owned) }.map_or(0, Handle::address)))
}

/// Says whether there is an allocation whose allocator was not destroyed.
///
/// Any thread may call this.
///
/// # Safety
///
/// `owned` is null, set to zero, or was written by the library, and no copy of it was freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_owned_is_valid(owned: Option<&OwnedAllocation>) -> bool {
    // SAFETY: the caller's clause.
    ask(|| Ok(unsafe { handle(owned) }.is_some_and(Handle::is_allocator_alive)))
}

/// Says whether there is an allocation and `allocator` made it. No allocation is a destroyed
/// allocator's.
///
/// Any thread may call this.
///
/// # Safety
///
/// As `mc_owned_is_valid`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_owned_is_of(
    owned: Option<&OwnedAllocation>,
    allocator: Offset,
) -> bool {
    ask(|| {
        // SAFETY: the caller's clause.
        let Some(handle) = (unsafe { handle(owned) }) else {
            return Ok(false);
        };
        OFFSETS.with(allocator.id, |entry| Ok(entry.allocator.owns(handle)))
    })
}

/// Moves the handle that an allocator gives into storage of the caller.
fn own_found(
    allocator: Offset,
    out: Option<&mut MaybeUninit<OwnedAllocation>>,
    find: impl FnOnce(&Entry) -> Result<Handle, Fault>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        own(OFFSETS.with(allocator.id, find)?, out);
        Ok(())
    })
}

/// Moves a handle into storage of the caller.
#[inline]
fn own(handle: Handle, out: &mut MaybeUninit<OwnedAllocation>) {
    // SAFETY: the words are aligned and large enough for a handle, asserted above, and borrowed
    // exclusively.
    unsafe { out.as_mut_ptr().cast::<Handle>().write(handle) };
}

/// Returns the handle in storage of the caller, if there is one.
///
/// # Safety
///
/// `owned` is `None`, set to zero, or was written by the library, and no copy of it was freed.
unsafe fn handle(owned: Option<&OwnedAllocation>) -> Option<&Handle> {
    let owned = owned.filter(|owned| owned.size != 0)?;
    // SAFETY: (1) the words are aligned and large enough for a handle: asserted above; (2) they
    // hold one: `size` is not 0, by the caller's clause.
    Some(unsafe { &*ptr::from_ref(owned).cast::<Handle>() })
}
