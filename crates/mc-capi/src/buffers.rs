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
    sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError},
};

use arc_swap::ArcSwapOption;
use mc_arena::{
    ArenaConfig, Buffer, BufferError, OtherProcess, Process,
    buffers::{self, Buffers},
};

use crate::{
    call::{ask, causes, run},
    fault::Fault,
    log,
    raw::{self, required},
    status::Status,
};

/// The buffers that the code of this process holds. A child begins with none of its own: those of its
/// parent are not there, and their lock may be a thread's that the child does not have.
static HELD: ArcSwapOption<Held> = ArcSwapOption::const_empty();

/// Where buffers come from if those of the environment cannot be set up: mappings of their own.
static PLAIN: LazyLock<Buffers> = LazyLock::new(|| Buffers::new(|| Ok(ArenaConfig::default())));

struct Held {
    process: Process,
    /// Set iff the process that this one was forked from held buffers.
    parent: Option<OtherProcess>,
    /// By address. Locked for as long as an entry takes to find.
    buffers: Mutex<BTreeMap<usize, Buffer<'static>>>,
}

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
/// Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes or an alignment that is not a power of two,
/// `MC_STATUS_INVALID_ENVIRONMENT`, `MC_STATUS_SYSTEM`, and `MC_STATUS_OTHER_PROCESS` in a child whose
/// parent has set the arena up; `out` is not written then.
#[unsafe(no_mangle)]
pub extern "C" fn mc_buffer_allocate(
    size: usize,
    align: usize,
    out: Option<&mut MaybeUninit<*mut c_void>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let align = align_or_default(align);
        keep(buffers::allocate(size, align)?, out)
    })
}

/// As `mc_buffer_allocate`, for a process that would rather run without its arena than not at all: if
/// the environment has a value that is not accepted, or its arena cannot be mapped, each buffer is a
/// mapping of its own in ordinary pages.
///
/// The first time, the callback of `mc_log_set` is told why, or standard error if there is none. Fails
/// as `mc_buffer_allocate`, but not with `MC_STATUS_INVALID_ENVIRONMENT`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_buffer_allocate_or_plain(
    size: usize,
    align: usize,
    out: Option<&mut MaybeUninit<*mut c_void>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let align = align_or_default(align);
        let buffer = match buffers::allocate(size, align) {
            Err(
                error
                @ (BufferError::Config(_) | BufferError::ArenaPool(_) | BufferError::Arena(_)),
            ) => {
                static IS_TOLD: Once = Once::new();
                IS_TOLD.call_once(|| {
                    let cause = causes(&Fault::from(error));
                    log::warn(&format!("{cause}; buffers are mapped one by one"));
                });
                PLAIN.allocate(size, align)?
            }
            buffer => buffer?,
        };
        keep(buffer, out)
    })
}

/// Returns `size` zeroed bytes in a mapping of their own, one contiguous part on each of the listed
/// NUMA nodes, in their order; otherwise as `mc_buffer_allocate`.
///
/// No byte is lost where the size does not divide: pages that are left over go to the first nodes.
/// Each part has its memory when the call returns.
///
/// Fails as `mc_buffer_allocate`, and with `MC_STATUS_INVALID_ARGUMENT` for an empty list or a node
/// that the system does not have.
///
/// # Safety
///
/// `node_count` numbers begin at `nodes`, and nobody writes them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_buffer_allocate_over_nodes(
    size: usize,
    align: usize,
    nodes: *const u32,
    node_count: usize,
    out: Option<&mut MaybeUninit<*mut c_void>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        // SAFETY: the caller's clause.
        let nodes = unsafe { raw::array(nodes, node_count, "nodes") }?;
        let align = align_or_default(align);
        keep(buffers::allocate_over_nodes(size, align, nodes)?, out)
    })
}

/// Ends a buffer: a mapping of its own is unmapped; what came from the arena stays there. Null is
/// left alone.
///
/// Any thread may call this. Fails with `MC_STATUS_NOT_LIVE` for an address at which no buffer
/// begins, and with `MC_STATUS_OTHER_PROCESS` in a child for a buffer of its parent: it stays the
/// parent's, and whatever the child has at that address the child's.
#[unsafe(no_mangle)]
pub extern "C" fn mc_buffer_free(address: *mut c_void) -> Status {
    run(|| {
        if address.is_null() {
            return Ok(());
        }
        let address = address.addr();
        let held = held()?;
        let buffer = held.lock().remove(&address);
        match (buffer, held.parent) {
            // With the lock released: unmapping takes a while.
            (Some(buffer), _) => drop(buffer),
            (None, Some(parent)) => return Err(Fault::OtherProcess(parent)),
            (None, None) => return Err(Fault::UnknownBuffer { address }),
        }
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
            direct_buffers: stats.direct_buffers + PLAIN.stats().direct_buffers,
            live_buffers: held()?.lock().len() as u64,
        });
        Ok(())
    })
}

fn align_or_default(align: usize) -> usize {
    match align {
        0 => mc_arena::ALIGN_DEFAULT,
        align => align,
    }
}

/// Keeps a buffer until it is freed, and tells where it begins.
fn keep(mut buffer: Buffer<'static>, out: &mut MaybeUninit<*mut c_void>) -> Result<(), Fault> {
    let start = buffer.as_mut_ptr();
    held()?.lock().insert(start.addr(), buffer);
    out.write(start.cast());
    Ok(())
}

/// Returns the buffers of the process that calls.
fn held() -> Result<Arc<Held>, Fault> {
    let mut found = HELD.load_full();
    loop {
        if let Some(held) = &found
            && held.process.is_current()
        {
            return Ok(Arc::clone(held));
        }
        let fresh = Arc::new(Held {
            process: Process::current().map_err(Fault::Process)?,
            parent: found.as_ref().and_then(|held| held.process.check().err()),
            buffers: Mutex::default(),
        });
        let before = HELD.compare_and_swap(&found, Some(fresh));
        if before.as_ref().map(Arc::as_ptr) == found.as_ref().map(Arc::as_ptr) {
            found = HELD.load_full();
        } else {
            found = arc_swap::Guard::into_inner(before);
        }
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Buffer<'static>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
