//! Process-wide buffers: from the arena of the environment while it has room, from a mapping of
//! their own otherwise.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names"
)]

use std::{
    collections::BTreeMap,
    ffi::c_void,
    mem::MaybeUninit,
    sync::{Mutex, MutexGuard, PoisonError},
};

use mc_arena::{Buffer, buffers};

use crate::{
    fault::Fault,
    raw::required,
    status::{Status, ask, run},
};

/// The buffers that C code holds, by address.
static HELD: Mutex<BTreeMap<usize, Buffer<'static>>> = Mutex::new(BTreeMap::new());

/// What the buffers of the process have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct BufferReport {
    /// Bytes of the arena; 0 if there is none.
    pub arena_capacity_bytes: u64,
    /// Bytes that the arena has handed out.
    pub arena_reserved_bytes: u64,
    /// Requests that found the arena full and got a mapping of their own.
    pub arena_fallbacks: u64,
    /// Buffers from the arena that were freed; their memory stays with the arena.
    pub arena_frees: u64,
    /// Mappings made.
    pub direct_buffers: u64,
    /// Buffers that were not freed yet.
    pub live_buffers: u64,
}

/// Returns `size` zeroed bytes at an address that is a multiple of `align`, a power of two, and of
/// 64 at least; 0 means 64.
///
/// The first call sets the arena up, as the environment describes it; see
/// `mc_arena_create_from_environment`. A set-up that failed is tried again by the next call. The
/// caller owns the buffer and ends it with `mc_buffer_free`. Any thread may call this.
///
/// Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes or an alignment that is no power of two,
/// `MC_STATUS_INVALID_ENVIRONMENT`, and `MC_STATUS_SYSTEM`; `out` is not written then.
#[unsafe(no_mangle)]
pub extern "C" fn mc_buffer_allocate(
    size: usize,
    align: usize,
    out: Option<&mut MaybeUninit<*mut c_void>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let align = if align == 0 {
            mc_arena::ALIGN_DEFAULT
        } else {
            align
        };
        let mut buffer = buffers::allocate(size, align)?;
        let start = buffer.as_mut_ptr();
        held().insert(start.addr(), buffer);
        out.write(start.cast());
        Ok(())
    })
}

/// Ends a buffer: a mapping of its own is unmapped; what came from the arena stays there. Null is
/// left alone.
///
/// Any thread may call this. Fails with `MC_STATUS_NOT_LIVE` for an address at which no buffer
/// begins.
#[unsafe(no_mangle)]
pub extern "C" fn mc_buffer_free(address: *mut c_void) -> Status {
    run(|| {
        if address.is_null() {
            return Ok(());
        }
        let address = address.addr();
        let buffer = held().remove(&address);
        // Dropped with the lock released: unmapping takes a while.
        drop(buffer.ok_or(Fault::UnknownBuffer { address })?);
        Ok(())
    })
}

/// Says whether an address lies in the arena of the process. Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_buffer_is_from_arena(address: *const c_void) -> bool {
    ask(|| Ok(buffers::is_arena_address(address.cast())))
}

/// Tells what the buffers of the process have done. Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_buffer_describe(out: Option<&mut MaybeUninit<BufferReport>>) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let stats = buffers::stats();
        let arena = stats.arena.unwrap_or_default();
        out.write(BufferReport {
            arena_capacity_bytes: arena.capacity_bytes,
            arena_reserved_bytes: arena.reserved_bytes,
            arena_fallbacks: stats.arena_fallbacks,
            arena_frees: stats.arena_drops,
            direct_buffers: stats.direct_buffers,
            live_buffers: held().len() as u64,
        });
        Ok(())
    })
}

fn held() -> MutexGuard<'static, BTreeMap<usize, Buffer<'static>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}
