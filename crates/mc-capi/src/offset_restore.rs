//! Offset allocators from snapshots and lists, and owners for what is restored.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names and take arrays"
)]

use std::{collections::BTreeMap, mem::MaybeUninit};

use mc_offset::{Handle, OffsetAllocator, SharedAllocator, Snapshot};

use crate::{
    fault::Fault,
    offset::{Entry, OFFSETS, Offset, Token},
    offset_options::OffsetOptions,
    offset_report::Block,
    raw::{self, required},
    status::{Status, run},
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
        let unclaimed = by_node(&allocator, handles);
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
        let entries = blocks.iter().map(|block| (block.offset, block.size));
        let (allocator, handles) = SharedAllocator::restore_from(options.options()?, entries)?;
        allocator.set_base(options.base)?;
        if tokens.is_empty() {
            let unclaimed = by_node(&allocator, handles);
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

/// Returns the handles of a restored allocator, which are all there are, by node.
fn by_node(allocator: &SharedAllocator, mut handles: Vec<Handle>) -> BTreeMap<u32, Handle> {
    handles.sort_unstable_by_key(Handle::offset);
    allocator.inspect(|core| {
        let nodes = core.allocations().map(|allocation| allocation.node());
        nodes.zip(handles).collect()
    })
}

impl Entry {
    /// Gives up the library's own handle of a restored allocation.
    pub(crate) fn claim(&self, block: Block) -> Result<Handle, Fault> {
        let Block { offset, size, node } = block;
        let mut unclaimed = self.unclaimed();
        let key = u32::try_from(node).ok();
        let handle = key.and_then(|key| unclaimed.get(&key));
        let is_same =
            handle.is_some_and(|handle| (handle.offset(), handle.size()) == (offset, size));
        let handle = key
            .filter(|_| is_same)
            .and_then(|key| unclaimed.remove(&key));
        handle.ok_or(Fault::NotClaimable { node, offset, size })
    }
}
