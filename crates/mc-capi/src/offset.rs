//! Offset allocators: made, destroyed, and asked for tokens.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names"
)]

use std::{
    collections::BTreeMap,
    mem::MaybeUninit,
    sync::{Mutex, MutexGuard, PoisonError},
};

use mc_offset::{AllocError, Handle, Options, SharedAllocator};

use crate::{
    call::{allocated, answer, ask, run},
    fault::Fault,
    kind::Kind,
    offset_options::OffsetOptions,
    raw::required,
    registry::Registry,
    status::Status,
};

pub(crate) static OFFSETS: Registry<Entry> = Registry::new(Kind::Offset);

/// Names an offset allocator. A value with `id` 0 names none.
///
/// Copies name the same allocator; `mc_offset_destroy` makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Offset {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// One allocation: where it is, how much was asked for, and the proof that it is live.
///
/// Plain data that may be copied. Freeing one copy makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Token {
    /// Offset of the first byte from the base of the allocator.
    pub offset: u64,
    /// Bytes asked for.
    pub size: u64,
    /// The library's.
    pub serial: u64,
    /// The library's.
    pub check: u64,
}

/// What a handle stands for.
pub(crate) struct Entry {
    /// Those of `allocator`, to be read without its lock.
    pub(crate) options: Options,
    pub(crate) allocator: SharedAllocator,
    /// Restored allocations that wait for an owner, by offset.
    unclaimed: Mutex<Unclaimed>,
}

/// Restored allocations with the nodes by which a list names them.
pub(crate) type Unclaimed = BTreeMap<u64, (u32, Handle)>;

/// Makes an offset allocator; all of its capacity is one hole.
///
/// The caller owns the handle and ends it with `mc_offset_destroy`. Any thread may call this.
///
/// Fails with `MC_STATUS_INVALID_ARGUMENT` for options that no allocator can have, and
/// `MC_STATUS_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_create(
    options: Option<&OffsetOptions>,
    out: Option<&mut MaybeUninit<Offset>>,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        let allocator = SharedAllocator::with_options(options.options()?)?;
        allocator.set_base(options.base)?;
        let entry = Entry::new(allocator, BTreeMap::new());
        out.write(entry.register()?);
        Ok(())
    })
}

/// Ends an allocator; its handle and all tokens are stale from then on.
///
/// Any thread may call this at any time: calls in progress finish first, and
/// `mc_owned`s that outlive the allocator are harmless.
///
/// Fails with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_destroy(allocator: Offset) -> Status {
    run(|| OFFSETS.remove(allocator.id))
}

/// Says whether the handle names an allocator that was not destroyed. Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_is_alive(allocator: Offset) -> bool {
    OFFSETS.contains(allocator.id)
}

/// Finds a place for `size` bytes.
///
/// The caller owns the allocation and frees it with `mc_offset_free`. Any thread may call this.
///
/// Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes, `MC_STATUS_TOO_LARGE`,
/// `MC_STATUS_NO_SPACE` if no hole fits, `MC_STATUS_LIMIT_REACHED`, `MC_STATUS_OUT_OF_MEMORY`, or
/// `MC_STATUS_STALE_HANDLE`; nothing changed then, `out` included.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_allocate(
    allocator: Offset,
    size: u64,
    out: Option<&mut MaybeUninit<Token>>,
) -> Status {
    allocate_into(allocator, out, |entry| Ok(entry.allocator.allocate(size)))
}

/// Finds a place for `size` bytes whose address, the base included, is a multiple of `align`, a
/// power of two.
///
/// As `mc_offset_allocate`; fails with `MC_STATUS_INVALID_ARGUMENT` also if the base is not a
/// multiple of `align`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_allocate_aligned(
    allocator: Offset,
    size: u64,
    align: u64,
    out: Option<&mut MaybeUninit<Token>>,
) -> Status {
    allocate_into(allocator, out, |entry| {
        entry.check_align(align)?;
        Ok(entry.allocator.allocate_aligned(size, align))
    })
}

/// Allocates `size` bytes at exactly `offset` from the base.
///
/// As `mc_offset_allocate`; fails with `MC_STATUS_OCCUPIED` if an allocation is in the way, and
/// with `MC_STATUS_INVALID_ARGUMENT` for a place outside the capacity or off the granule.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_allocate_at(
    allocator: Offset,
    offset: u64,
    size: u64,
    out: Option<&mut MaybeUninit<Token>>,
) -> Status {
    allocate_into(allocator, out, |entry| {
        Ok(Ok(entry.allocate_at(offset, size)?))
    })
}

/// Frees the allocation of a token, which is stale from then on. Any thread may call this.
///
/// Fails with `MC_STATUS_NOT_LIVE` for a token that was freed before, is another allocator's, or
/// was changed, and with `MC_STATUS_STALE_HANDLE`; nothing changed then.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_free(allocator: Offset, token: Token) -> Status {
    run(|| {
        OFFSETS.with(allocator.id, |entry| {
            let token = token.into_allocation()?;
            Ok(entry.allocator.free(token)?)
        })
    })
}

/// Says whether a token names a live allocation of the allocator; one whose handle is stale has
/// none. Any thread may call this. Other threads that use the allocator wait meanwhile.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_is_live(allocator: Offset, token: Token) -> bool {
    ask(|| {
        OFFSETS.with(allocator.id, |entry| {
            let token = token.into_allocation()?;
            Ok(entry.allocator.inspect(|core| core.is_live(token)))
        })
    })
}

fn allocate_into(
    allocator: Offset,
    out: Option<&mut MaybeUninit<Token>>,
    allocate: impl FnOnce(&Entry) -> Result<Result<Handle, AllocError>, Fault>,
) -> Status {
    answer(|| {
        let out = required(out, "out")?;
        allocated(OFFSETS.with(allocator.id, allocate)?, |handle| {
            out.write(Token::from_handle(handle));
        })
    })
}

impl Token {
    pub(crate) fn from_handle(handle: Handle) -> Self {
        let [offset, size, serial, check] = handle.into_token().to_raw();
        Self {
            offset,
            size,
            serial,
            check,
        }
    }

    fn into_allocation(self) -> Result<mc_offset::Allocation, Fault> {
        let raw = [self.offset, self.size, self.serial, self.check];
        mc_offset::Allocation::from_raw(raw).ok_or(Fault::DamagedToken)
    }
}

impl Entry {
    pub(crate) fn new(allocator: SharedAllocator, unclaimed: Unclaimed) -> Self {
        Self {
            options: allocator.inspect(|core| *core.options()),
            allocator,
            unclaimed: Mutex::new(unclaimed),
        }
    }

    pub(crate) fn register(self) -> Result<Offset, Fault> {
        OFFSETS.insert(self).map(|id| Offset { id })
    }

    /// Checks that an offset is a multiple of `align` where the address is.
    pub(crate) fn check_align(&self, align: u64) -> Result<(), Fault> {
        let base = self.allocator.base();
        if align.is_power_of_two() && !base.is_multiple_of(align) {
            return Err(Fault::BaseNotAligned { base, align });
        }
        Ok(())
    }

    /// Allocates at an offset. One that wraps is the difference of the base and an address below it.
    pub(crate) fn allocate_at(&self, offset: u64, size: u64) -> Result<Handle, Fault> {
        let base = self.allocator.base();
        if base.checked_add(offset).is_none() {
            let address = base.wrapping_add(offset);
            return Err(Fault::BelowBase { address, base });
        }
        Ok(self.allocator.allocate_at(offset, size)?)
    }

    pub(crate) fn unclaimed(&self) -> MutexGuard<'_, Unclaimed> {
        self.unclaimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
