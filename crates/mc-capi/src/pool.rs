//! Pools: memory of segments, which the library reads and writes.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and memory may be the caller's"
)]

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    ptr::NonNull,
};

use mc_arena::{Contents, Pool, PoolBytes, Tier};

use crate::{
    arena::{MC_TIER_BASE, MC_TIER_HUGETLB, MC_TIER_TRANSPARENT},
    arena_options::ArenaOptions,
    arguments,
    call::run,
    fault::Fault,
    kind::Kind,
    raw::required,
    registry::Registry,
    status::Status,
};

static POOLS: Registry<PoolBytes> = Registry::new(Kind::Pool);

/// Names a pool. A value with `id` 0 names none.
///
/// Copies name the same pool; `mc_pool_destroy` makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PoolHandle {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// What a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PoolReport {
    /// First byte of the pool.
    pub address: *mut c_void,
    /// Bytes of the pool.
    pub bytes: u64,
    /// Bytes of the pages that back it.
    pub page_bytes: u64,
    /// The incarnation of the bytes, which rises whenever they are lost; 0 for a pool without a file.
    pub epoch: u64,
    /// One of the `MC_TIER_` constants: the pages obtained.
    pub tier: u32,
    /// 1 if the bytes are those that an earlier pool has left in the file, 0 otherwise.
    pub is_kept: u32,
}

/// Maps memory for segments, as the options of an arena say.
///
/// With `file`, a path, the bytes are in that file: they are found again after the end of the process,
/// however it ended, until the machine goes down. Null is memory that ends with the process. The caller
/// owns the handle and ends it with `mc_pool_destroy`. Any thread may call this.
///
/// Fails as `mc_arena_create`, also for an empty path, and with `MC_STATUS_SYSTEM` for a file that cannot be
/// opened, for example because another pool has it.
///
/// # Safety
///
/// As `mc_arena_create`; unless `file` is null, it is a text that ends with a zero byte, and nobody
/// writes it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_pool_create(
    options: Option<&ArenaOptions>,
    file: *const c_char,
    out: Option<&mut MaybeUninit<PoolHandle>>,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        // SAFETY: the caller's clause.
        let file = unsafe { arguments::text_or_null(file, "file") }?;
        // SAFETY: the caller's clause.
        let (options, _) = unsafe { options.pool() }?;
        let options = match file {
            None => options,
            Some("") => return Err(Fault::NoPath { argument: "file" }),
            Some(file) => options.file(file),
        };
        register(options.map()?, out)
    })
}

/// Makes a pool of memory that the caller has: a slice of an arena, pages that a driver has pinned.
///
/// It is never unmapped. The caller owns the handle and ends it with `mc_pool_destroy`. Any thread may
/// call this. Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes, for null, and for bytes that pass the end
/// of the address space.
///
/// # Safety
///
/// As long as the pool, a segment of it, or a put or lease in such a segment is there, `bytes` bytes from
/// `address` on are mapped readable and writable, and hold initialized bytes. Nobody writes what belongs
/// to an object that is committed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_pool_over(
    address: *mut c_void,
    bytes: usize,
    out: Option<&mut MaybeUninit<PoolHandle>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let argument = "address";
        let start = NonNull::new(address.cast()).ok_or(Fault::Null { argument })?;
        let end = start.addr().get().checked_add(bytes);
        if end.is_none() || isize::try_from(bytes).is_err() {
            let accepted = "bytes that fit the address space behind their address";
            return Err(Fault::option("bytes", bytes as u64, accepted));
        }
        // SAFETY: (1) mapped and initialized until the pool is dropped, as nobody uses it afterwards: the
        // caller's clause; (2) not too long: checked above.
        let pool = unsafe { Pool::from_foreign(start, bytes, ()) }?;
        register(pool, out)
    })
}

/// Ends a handle. The memory is unmapped once no segment has it any more.
///
/// Any thread may call this at any time. Fails with `MC_STATUS_STALE_HANDLE`, and with
/// `MC_STATUS_OTHER_PROCESS` in a child of the process that made the pool.
#[unsafe(no_mangle)]
pub extern "C" fn mc_pool_destroy(pool: PoolHandle) -> Status {
    run(|| {
        pool.bytes()?;
        POOLS.remove(pool.id)
    })
}

/// Tells what a pool is. Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`, and with
/// `MC_STATUS_OTHER_PROCESS` in a child of the process that made it.
#[unsafe(no_mangle)]
pub extern "C" fn mc_pool_describe(
    pool: PoolHandle,
    out: Option<&mut MaybeUninit<PoolReport>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        out.write(report(pool.bytes()?.pool()));
        Ok(())
    })
}

impl PoolHandle {
    /// Returns the bytes, which stay mapped as long as they are held.
    pub(crate) fn bytes(self) -> Result<PoolBytes, Fault> {
        POOLS.with(self.id, |bytes| {
            bytes.pool().process().check()?;
            Ok(bytes.clone())
        })
    }
}

fn register(pool: Pool, out: &mut MaybeUninit<PoolHandle>) -> Result<(), Fault> {
    let id = POOLS.insert(PoolBytes::new(pool))?;
    out.write(PoolHandle { id });
    Ok(())
}

fn report(pool: &Pool) -> PoolReport {
    let tier = match pool.tier() {
        Tier::Transparent => MC_TIER_TRANSPARENT,
        Tier::Hugetlb { .. } => MC_TIER_HUGETLB,
        // What the pages of the caller's memory are is not known.
        _ => MC_TIER_BASE,
    };
    PoolReport {
        address: pool.as_mut_ptr().cast(),
        bytes: pool.len() as u64,
        page_bytes: pool.page_bytes() as u64,
        epoch: pool.epoch().unwrap_or(0),
        tier,
        is_kept: u32::from(pool.contents() == Contents::Kept),
    }
}
