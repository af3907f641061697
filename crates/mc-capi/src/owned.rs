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
    offset::{Entry, OFFSETS, Offset},
    offset_report::Block,
    raw::required,
    status::{Status, run},
};

/// Words that hold a handle.
const HANDLE_WORDS: usize = 5;
const _: () = assert!(
    size_of::<Handle>() <= HANDLE_WORDS * size_of::<u64>()
        && align_of::<Handle>() <= align_of::<u64>(),
    "a handle fits the words kept for it"
);

/// An allocation with one owner, as a class wraps it. Empty iff `size` is 0.
///
/// It may be moved to another place as bytes are, but of two copies only one may be used again.
/// Set it to zero, or let the library write it, before it is used.
#[derive(Debug)]
#[repr(C)]
pub struct OwnedAllocation {
    /// Address of the first byte, the base included.
    pub address: u64,
    /// Bytes asked for.
    pub size: u64,
    /// The allocator.
    pub allocator: Offset,
    /// The library's.
    pub handle: [MaybeUninit<u64>; 5],
}

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
    run(|| {
        let out = required(out, "out")?;
        let allocate = |entry: &Entry| {
            let handle = match align {
                0 | 1 => entry.allocator.allocate(size)?,
                align => entry.allocate_aligned(size, align)?,
            };
            own(allocator, entry, handle, out);
            Ok(())
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
            own(allocator, entry, entry.claim(block)?, out);
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
        (owned.address, owned.size, owned.allocator) = (0, 0, Offset::default());
        let handle = ptr::from_mut(&mut owned.handle).cast::<Handle>();
        // SAFETY: (1) the words are aligned and large enough for a handle: asserted above; (2) they
        // hold one: `size` was not 0, which only `own` writes, by the caller's clause; (3) it is
        // dropped once: `size` is 0 from here on, and no copy is used, by the caller's clause.
        unsafe { handle.drop_in_place() };
        Ok(())
    })
}

/// Moves a handle into storage of the caller.
#[inline]
fn own(allocator: Offset, entry: &Entry, handle: Handle, out: &mut MaybeUninit<OwnedAllocation>) {
    let owned = out.write(OwnedAllocation {
        address: entry.base + handle.offset(),
        size: handle.size(),
        allocator,
        handle: [MaybeUninit::uninit(); HANDLE_WORDS],
    });
    let words = ptr::from_mut(&mut owned.handle).cast::<Handle>();
    // SAFETY: the words are aligned and large enough for a handle, asserted above, and borrowed
    // exclusively.
    unsafe { words.write(handle) };
}
