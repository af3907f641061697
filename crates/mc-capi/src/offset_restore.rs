//! Offset allocators from snapshots and lists, and owners for what is restored.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names and take arrays"
)]

use std::{collections::BTreeMap, mem::MaybeUninit};

use mc_offset::{Handle, OffsetAllocator, SharedAllocator, Snapshot};

use crate::{
    call::run,
    fault::Fault,
    offset::{Entry, OFFSETS, Offset, Token, Unclaimed},
    offset_options::OffsetOptions,
    offset_report::Block,
    raw::{self, required},
    status::Status,
};

/// Writes the state of an allocator to `bytes`, which has room for `room` of them, and their number
/// to `length`.
///
/// The bytes are versioned, checksummed, the same on every machine, and those of `Snapshot` in the
/// Rust crate `mc-offset`; the base is not in them. Nothing is written to `bytes` if they are more
/// than `room`: the call fails with `MC_STATUS_ARRAY_TOO_SHORT`, and may be made again with room
/// for `length`. `bytes` may be null if `room` is 0.
///
/// Any thread may call this; others that use the allocator wait meanwhile. Fails also with
/// `MC_STATUS_STALE_HANDLE`.
///
/// # Safety
///
/// Room for `room` bytes begins at `bytes`, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_offset_snapshot(
    allocator: Offset,
    bytes: *mut u8,
    room: usize,
    length: Option<&mut MaybeUninit<usize>>,
) -> Status {
    run(|| {
        let length = required(length, "length")?;
        // SAFETY: the caller's clause.
        let bytes = unsafe { raw::room(bytes, room, "bytes") }?;
        OFFSETS.with(allocator.id, |entry| {
            let snapshot = entry.allocator.inspect(OffsetAllocator::snapshot);
            let encoded = snapshot.encode();
            raw::fill(bytes, length, encoded.len(), encoded.into_iter())
        })
    })
}

/// Makes an allocator over `base` in the state that `length` bytes of `mc_offset_snapshot`
/// describe.
///
/// Its allocations have no owner: `mc_offset_live` lists them and `mc_offset_claim` gives each a
/// token. The caller owns the handle. Any thread may call this.
///
/// Fails with `MC_STATUS_INVALID_STATE` for bytes that are not exactly a snapshot,
/// `MC_STATUS_INVALID_ARGUMENT` for a base that is too high, and `MC_STATUS_OUT_OF_MEMORY`.
///
/// # Safety
///
/// `length` bytes begin at `bytes`, and nobody writes them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_offset_restore(
    base: u64,
    bytes: *const u8,
    length: usize,
    out: Option<&mut MaybeUninit<Offset>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        // SAFETY: the caller's clause.
        let bytes = unsafe { raw::array(bytes, length, "bytes") }?;
        let snapshot = Snapshot::decode(bytes)?;
        let (allocator, handles) = SharedAllocator::restore(&snapshot)?;
        allocator.set_base(base)?;
        let unclaimed = by_offset(&allocator, handles);
        out.write(Entry::new(allocator, unclaimed).register()?);
        Ok(())
    })
}

/// Makes an allocator in which the `count` elements of `blocks`, in any order, are live and the
/// rest is free.
///
/// `tokens` has room for `count` and gets their tokens in the order of the list. If it is null the
/// allocations have no owner, as after `mc_offset_restore`. The caller owns the handle. Any thread
/// may call this.
///
/// Fails with `MC_STATUS_INVALID_STATE` for a list that describes no allocator, whose message names
/// the element, and as `mc_offset_create`.
///
/// # Safety
///
/// `count` blocks begin at `blocks`, which nobody writes during the call; unless `tokens` is null,
/// room for `count` tokens begins there, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_offset_restore_from(
    options: Option<&OffsetOptions>,
    blocks: *const Block,
    count: usize,
    out: Option<&mut MaybeUninit<Offset>>,
    tokens: *mut Token,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        // SAFETY: the caller's clause.
        let blocks = unsafe { raw::array(blocks, count, "blocks") }?;
        let room = if tokens.is_null() { 0 } else { count };
        // SAFETY: the caller's clause.
        let tokens = unsafe { raw::room(tokens, room, "tokens") }?;
        let (allocator, handles) = with_blocks(options, blocks)?;
        if tokens.is_empty() {
            let unclaimed = by_offset(&allocator, handles);
            out.write(Entry::new(allocator, unclaimed).register()?);
            return Ok(());
        }
        let entry = Entry::new(allocator, BTreeMap::new());
        out.write(entry.register()?);
        for (place, handle) in tokens.iter_mut().zip(handles) {
            place.write(Token::from_handle(handle));
        }
        Ok(())
    })
}

/// Gives a restored allocation an owner: the token that frees it.
///
/// `block` is what `mc_offset_live` lists. Any thread may call this.
///
/// Fails with `MC_STATUS_NOT_LIVE` unless an allocation of exactly this node, offset and size was
/// restored and has no owner yet, and with `MC_STATUS_STALE_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_claim(
    allocator: Offset,
    block: Block,
    out: Option<&mut MaybeUninit<Token>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let handle = OFFSETS.with(allocator.id, |entry| entry.claim(block))?;
        out.write(Token::from_handle(handle));
        Ok(())
    })
}

/// Makes an allocator in which blocks are live; their handles are in the order of the list.
pub(crate) fn with_blocks(
    options: &OffsetOptions,
    blocks: &[Block],
) -> Result<(SharedAllocator, Vec<Handle>), Fault> {
    let base = options.base;
    // An offset that wraps is the difference of the base and an address below it.
    if let Some(entry) = blocks
        .iter()
        .position(|block| base.checked_add(block.offset).is_none())
    {
        let Block { offset, size, .. } = blocks[entry];
        let address = base.wrapping_add(offset);
        return Err(Fault::EntryBelowBase {
            entry,
            size,
            address,
            base,
        });
    }
    let entries = blocks.iter().map(|block| (block.offset, block.size));
    let (allocator, handles) = SharedAllocator::restore_from(options.options()?, entries)?;
    allocator.set_base(base)?;
    Ok((allocator, handles))
}

/// Returns the handles of a restored allocator, which are all there are, as they wait for owners.
fn by_offset(allocator: &SharedAllocator, mut handles: Vec<Handle>) -> Unclaimed {
    handles.sort_unstable_by_key(Handle::offset);
    allocator.inspect(|core| {
        let nodes = core.allocations().map(|allocation| allocation.node());
        let waiting = nodes.zip(handles);
        waiting
            .map(|(node, handle)| (handle.offset(), (node, handle)))
            .collect()
    })
}

impl Entry {
    /// Gives up the library's own handle of a restored allocation.
    pub(crate) fn claim(&self, block: Block) -> Result<Handle, Fault> {
        let Block { offset, size, node } = block;
        self.take_unclaimed(offset, |other, handle| {
            u64::from(other) == node && handle.size() == size
        })
        .ok_or(Fault::NotClaimable { node, offset, size })
    }

    /// Gives up the library's own handle of the restored allocation at an offset, with another size
    /// unless that is 0.
    pub(crate) fn adopt(&self, offset: u64, size: u64) -> Result<Handle, Fault> {
        let handle = self.take_unclaimed(offset, |_, _| true);
        let address = self.allocator.base().wrapping_add(offset);
        let mut handle = handle.ok_or(Fault::NothingToAdopt { address })?;
        if size == 0 || size == handle.size() {
            return Ok(handle);
        }
        match self.allocator.resize_in_place(&mut handle, size) {
            Ok(()) => Ok(handle),
            Err(error) => {
                let node = handle.allocation().node();
                self.unclaimed().insert(offset, (node, handle));
                Err(error.into())
            }
        }
    }

    fn take_unclaimed(
        &self,
        offset: u64,
        is_meant: impl FnOnce(u32, &Handle) -> bool,
    ) -> Option<Handle> {
        let mut unclaimed = self.unclaimed();
        let (node, handle) = unclaimed.get(&offset)?;
        if !is_meant(*node, handle) {
            return None;
        }
        unclaimed.remove(&offset).map(|(_, handle)| handle)
    }
}
