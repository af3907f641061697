//! Arenas: memory out of one mapping by an atomic addition.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and options hold an array"
)]

use std::{ffi::c_void, mem::MaybeUninit};

use mc_arena::{Arena, ArenaConfig, PoolOptions, Tier};

use crate::{
    arena_options::ArenaOptions,
    call::{ask, run},
    fault::Fault,
    kind::Kind,
    raw::required,
    registry::Registry,
    status::Status,
};

static ARENAS: Registry<Arena> = Registry::new(Kind::Arena);

/// Base pages back the arena.
pub const MC_TIER_BASE: u32 = 0;
/// Base pages that the kernel gathers into huge ones.
pub const MC_TIER_TRANSPARENT: u32 = 1;
/// Reserved huge pages.
pub const MC_TIER_HUGETLB: u32 = 2;

/// Names an arena. A value with `id` 0 names none.
///
/// Copies name the same arena; `mc_arena_destroy` makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ArenaHandle {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// What an arena is and what it has handed out. While other threads allocate, the numbers may be
/// from slightly different moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ArenaReport {
    /// First byte of the pool.
    pub pool: *const c_void,
    /// Bytes of the pool.
    pub pool_bytes: u64,
    /// Bytes of the pages that back it.
    pub page_bytes: u64,
    /// One of the `MC_TIER_` constants: the pages obtained.
    pub tier: u32,
    /// 0.
    pub reserved: u32,
    /// Alignment of every slice in bytes.
    pub align: u64,
    /// Bytes that can be handed out in all.
    pub capacity_bytes: u64,
    /// Bytes handed out, padding included; never goes back, so it is its own peak.
    pub reserved_bytes: u64,
    /// Slices handed out.
    pub allocations: u64,
    /// Requests refused.
    pub refusals: u64,
}

/// Maps a pool and makes an arena over it.
///
/// The caller owns the handle and ends it with `mc_arena_destroy`. Any thread may call this.
///
/// Fails with `MC_STATUS_INVALID_ARGUMENT` for options that no arena can have, and
/// `MC_STATUS_SYSTEM` if the system refuses, as when the pages required are not there; nothing
/// stays mapped then.
///
/// # Safety
///
/// Unless `numa_nodes` of the options is null, `numa_node_count` numbers begin there, and nobody
/// writes them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_arena_create(
    options: Option<&ArenaOptions>,
    out: Option<&mut MaybeUninit<ArenaHandle>>,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        // SAFETY: the caller's clause.
        let (pool, align) = unsafe { options.pool() }?;
        register(&pool, align, out)
    })
}

/// Makes the arena that the environment describes.
///
/// `MC_MMAP_ARENA_POOL_SIZE` gives its size, `MC_STORE_USE_HUGEPAGE` and `MC_STORE_HUGEPAGE_SIZE`
/// its pages, `MC_DISABLE_MMAP_ARENA` switches it off. Otherwise as `mc_arena_create`.
///
/// Fails with `MC_STATUS_NOT_CONFIGURED` if no arena is asked for or it is switched off, and with
/// `MC_STATUS_INVALID_ENVIRONMENT` for a value that is not accepted.
#[unsafe(no_mangle)]
pub extern "C" fn mc_arena_create_from_environment(
    out: Option<&mut MaybeUninit<ArenaHandle>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let pool = ArenaConfig::from_env()?.pool_options();
        let pool = pool.ok_or(Fault::NotConfigured)?;
        register(&pool, mc_arena::ALIGN_DEFAULT, out)
    })
}

/// Ends an arena and unmaps its memory: whatever it handed out must not be touched any more.
///
/// Any thread may call this at any time; calls in progress finish first. Fails with
/// `MC_STATUS_STALE_HANDLE`, and with `MC_STATUS_OTHER_PROCESS` in a child for an arena of its parent,
/// of which nothing is unmapped then.
#[unsafe(no_mangle)]
pub extern "C" fn mc_arena_destroy(arena: ArenaHandle) -> Status {
    run(|| {
        // Before the lock of the registry, which a thread that a child does not have may hold for ever.
        ARENAS.with(arena.id, |arena| Ok(arena.pool().process().check()?))?;
        ARENAS.remove(arena.id)
    })
}

/// Hands out `size` zeroed bytes at an address that is a multiple of `align`, a power of two, and
/// of the arena's alignment; 0 means the arena's.
///
/// The bytes belong to the caller until the arena is destroyed; they are not given back one by one.
/// Any thread may call this; it takes no lock.
///
/// Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes or an alignment that is not a power of two,
/// `MC_STATUS_TOO_LARGE`, `MC_STATUS_NO_SPACE` if not so much is left, `MC_STATUS_STALE_HANDLE`, or
/// `MC_STATUS_OTHER_PROCESS` in a child of the process that made the arena; `out` is not written then.
#[unsafe(no_mangle)]
pub extern "C" fn mc_arena_allocate(
    arena: ArenaHandle,
    size: usize,
    align: usize,
    out: Option<&mut MaybeUninit<*mut c_void>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        ARENAS.with(arena.id, |arena| {
            let bytes = match align {
                0 => arena.allocate(size)?,
                align => arena.allocate_aligned(size, align)?,
            };
            out.write(bytes.as_mut_ptr().cast());
            Ok(())
        })
    })
}

/// Backs a part of the arena's pool with memory now: `size` bytes from `offset` bytes into the pool on,
/// in whole pages. What has been written there stays. For arenas that are populated lazily.
///
/// Any thread may call this. Fails with `MC_STATUS_INVALID_ARGUMENT` for bytes that are not in the
/// pool, `MC_STATUS_SYSTEM` if there is not so much memory, before the system would end a process for
/// it, `MC_STATUS_STALE_HANDLE`, or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_arena_populate(arena: ArenaHandle, offset: usize, size: usize) -> Status {
    run(|| {
        ARENAS.with(arena.id, |arena| {
            let end = offset.saturating_add(size);
            Ok(arena.pool().populate(offset..end)?)
        })
    })
}

/// Says whether an address lies in the arena's pool, handed out or not; none does in a child of the
/// process that made the arena. Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_arena_owns(arena: ArenaHandle, address: *const c_void) -> bool {
    ask(|| ARENAS.with(arena.id, |arena| Ok(arena.owns(address.cast()))))
}

/// Tells what the arena is and has handed out. Any thread may call this. Fails with
/// `MC_STATUS_STALE_HANDLE`, and `MC_STATUS_OTHER_PROCESS` in a child of the process that made it.
#[unsafe(no_mangle)]
pub extern "C" fn mc_arena_describe(
    arena: ArenaHandle,
    out: Option<&mut MaybeUninit<ArenaReport>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        ARENAS.with(arena.id, |arena| {
            arena.pool().process().check()?;
            out.write(report(arena));
            Ok(())
        })
    })
}

fn register(
    pool: &PoolOptions,
    align: usize,
    out: &mut MaybeUninit<ArenaHandle>,
) -> Result<(), Fault> {
    let arena = Arena::with_align(pool.map()?, align)?;
    let id = ARENAS.insert(arena)?;
    out.write(ArenaHandle { id });
    Ok(())
}

fn report(arena: &Arena) -> ArenaReport {
    let (pool, stats) = (arena.pool(), arena.stats());
    let tier = match pool.tier() {
        Tier::Transparent => MC_TIER_TRANSPARENT,
        Tier::Hugetlb { .. } => MC_TIER_HUGETLB,
        // Arenas of C are mapped here, never taken over.
        _ => MC_TIER_BASE,
    };
    ArenaReport {
        pool: pool.as_ptr().cast(),
        pool_bytes: pool.len() as u64,
        page_bytes: pool.page_bytes() as u64,
        tier,
        reserved: 0,
        align: arena.align() as u64,
        capacity_bytes: stats.capacity_bytes,
        reserved_bytes: stats.reserved_bytes,
        allocations: stats.allocations,
        refusals: stats.refusals,
    }
}
