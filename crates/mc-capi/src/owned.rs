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

use std::{
    mem::{MaybeUninit, offset_of},
    ptr,
};

use mc_offset::Handle;

use crate::{
    offset::{Entry, OFFSETS, Offset},
    offset_report::Block,
    raw::required,
    status::{Status, allocated, answer, ask, run},
};

/// An allocation with one owner, as a class wraps it. Empty iff `size` is 0.
///
/// It may be moved to another place as bytes are, but of two copies only one may be used again.
/// Set it to zero, or let the library write it, before it is used.
///
/// The address of its first byte is `base + offset`.
#[derive(Debug)]
#[repr(C)]
pub struct OwnedAllocation {
    /// Address of the first byte of the allocator's range.
    pub base: u64,
    /// Offset of the first byte from there.
    pub offset: u64,
    /// Bytes asked for.
    pub size: u64,
    /// The library's.
    pub handle: [MaybeUninit<u64>; 2],
}

/// All but the base is a handle, as it lies in memory.
const HANDLE_AT: usize = offset_of!(OwnedAllocation, offset);
const _: () = assert!(
    size_of::<Handle>() <= size_of::<OwnedAllocation>() - HANDLE_AT
        && align_of::<Handle>() <= align_of::<OwnedAllocation>(),
    "a handle fits the words kept for it"
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
            let handle = match align {
                0 | 1 => entry.allocator.allocate(size),
                align => {
                    entry.check_align(align)?;
                    entry.allocator.allocate_aligned(size, align)
                }
            };
            allocated(handle, |handle| own(entry, handle, out))
        };
        // SAFETY: the caller's clause.
        unsafe { OFFSETS.with_unpinned(allocator.id, allocate) }
    })
}

/// Gives a restored allocation an owner that frees itself; otherwise as `mc_offset_claim`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_owned_claim(
    allocator: Offset,
    block: Block,
    out: Option<&mut MaybeUninit<OwnedAllocation>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        OFFSETS.with(allocator.id, |entry| {
            own(entry, entry.claim(block)?, out);
            Ok(())
        })
    })
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
        unsafe { handle_of(owned).drop_in_place() };
        owned.size = 0;
        Ok(())
    })
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
    ask(|| {
        let Some(owned) = owned.filter(|owned| owned.size != 0) else {
            return Ok(false);
        };
        // SAFETY: (1) the words are aligned and large enough for a handle: asserted above; (2) they
        // hold one: `size` is not 0, by the caller's clause.
        let handle = unsafe { &*handle_of(ptr::from_ref(owned).cast_mut()) };
        Ok(handle.is_allocator_alive())
    })
}

/// Moves a handle into storage of the caller.
#[inline]
fn own(entry: &Entry, handle: Handle, out: &mut MaybeUninit<OwnedAllocation>) {
    let owned = out.write(OwnedAllocation {
        base: entry.base,
        offset: handle.offset(),
        size: handle.size(),
        handle: [MaybeUninit::uninit(); 2],
    });
    // SAFETY: the words are aligned and large enough for a handle, asserted above, and borrowed
    // exclusively.
    unsafe { handle_of(owned).write(handle) };
}

/// Returns where the handle lies, or is to lie.
#[inline]
fn handle_of(owned: *mut OwnedAllocation) -> *mut Handle {
    owned.wrapping_byte_add(HANDLE_AT).cast()
}
