//! Leases: objects that stay while they are held.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and keys and bytes are the caller's"
)]

use std::{ffi::c_void, mem::MaybeUninit};

use mc_store::Lease;

use crate::{
    arguments::seconds,
    call::run,
    descriptor::{DescriptorVisitor, tell_descriptors},
    fault::Fault,
    key::Key,
    kind::Kind,
    raw::{self, required},
    segment_options::SegmentNumber,
    shelves::Shelves,
    status::Status,
    store::StoreHandle,
};

static LEASES: Shelves<Lease> = Shelves::new(Kind::Lease);

/// Names a lease. A value with `id` 0 names none.
///
/// Copies name the same lease; `mc_lease_release` makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LeaseHandle {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// What is leased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LeaseReport {
    /// Bytes of the object: those of all its parts.
    pub size: u64,
    /// The segment of the first replica that is readable.
    pub segment: SegmentNumber,
    /// The incarnation of its memory.
    pub epoch: u64,
    /// Address of the first byte there: for an object of one part in one piece, all there is to know.
    pub address: u64,
    /// How many parts the object has.
    pub parts: u64,
    /// How many replicas are readable. If there are none, `address` is 0.
    pub readable: u64,
    /// CRC-32 of the bytes, if `has_checksum` is 1.
    pub checksum: u32,
    /// 1 if a checksum was taken at the commit or said by the writer, 0 otherwise.
    pub has_checksum: u32,
}

/// Returns the object of a key, and notes that it was used. It stays where it is as long as the lease is
/// held.
///
/// The caller owns the lease and ends it with `mc_lease_release`. Any thread may call this. Fails with
/// `MC_STATUS_NOT_STORED`, `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// As `mc_store_exists`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_get(
    store: StoreHandle,
    key: Key,
    out: Option<&mut MaybeUninit<LeaseHandle>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        // SAFETY: the caller's clause.
        let key = unsafe { key.get("key") }?;
        let lease = store.with(|store| Ok(store.get(key)))?;
        keep(lease, out)
    })
}

/// As `mc_store_get`; the object also stays for so many seconds from now on, held or not, so that another
/// process can read it: at most `lease_max_seconds` of the options. A lease that lasts longer is not
/// shortened.
///
/// Fails also with `MC_STATUS_INVALID_ARGUMENT` for a time below 0.
///
/// # Safety
///
/// As `mc_store_exists`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_get_for(
    store: StoreHandle,
    key: Key,
    lease_seconds: f64,
    out: Option<&mut MaybeUninit<LeaseHandle>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let time = seconds(lease_seconds, "lease_seconds")?;
        // SAFETY: the caller's clause.
        let key = unsafe { key.get("key") }?;
        let lease = store.with(|store| Ok(store.get_for(key, time)))?;
        keep(lease, out)
    })
}

/// Writes leases of the objects of the first keys, up to the first that is not stored, to `leases`, which
/// has room for `key_count`, and their number to `found`: what is behind it in a prompt is of no use
/// without it.
///
/// The caller owns the leases. Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `key_count` keys begin at `keys`, as for `mc_store_exists`; room for as many leases begins at `leases`,
/// and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_get_many(
    store: StoreHandle,
    keys: *const Key,
    key_count: usize,
    leases: *mut LeaseHandle,
    found: Option<&mut MaybeUninit<usize>>,
) -> Status {
    run(|| {
        let found = required(found, "found")?;
        // SAFETY: the caller's clause.
        let keys = unsafe { raw::array(keys, key_count, "keys") }?;
        // SAFETY: the caller's clause.
        let room = unsafe { raw::room(leases, key_count, "leases") }?;
        // SAFETY: the caller's clause.
        let keys = keys.iter().map(|key| unsafe { key.get("key") });
        let keys: Vec<&[u8]> = keys.collect::<Result<_, _>>()?;
        let held = store.with(|store| Ok(store.get_many(&keys)))?;
        let count = held.len();
        let mut ids = Vec::with_capacity(count);
        for lease in held {
            match LEASES.insert(lease) {
                Ok(id) => ids.push(LeaseHandle { id }),
                Err(error) => {
                    for lease in ids {
                        // Nobody else knows of it.
                        drop(LEASES.take(lease.id));
                    }
                    return Err(error);
                }
            }
        }
        raw::fill(room, found, count, ids.into_iter())
    })
}

/// Copies the bytes of an object to `bytes`, which has room for `room` of them, and writes their number
/// to `length`.
///
/// An object whose bytes have not the checksum of its commit is dropped and counts as not stored. Nothing
/// is written to `bytes` if they are more than `room`: the call fails with `MC_STATUS_ARRAY_TOO_SHORT`.
/// `bytes` may be null if `room` is 0. Any thread may call this. Fails also with `MC_STATUS_NOT_STORED`,
/// `MC_STATUS_UNREADABLE` if no replica is in memory of this process, and with `MC_STATUS_STALE_HANDLE`
/// or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// As `mc_store_exists`; room for `room` bytes begins at `bytes`, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_read(
    store: StoreHandle,
    key: Key,
    bytes: *mut c_void,
    room: usize,
    length: Option<&mut MaybeUninit<usize>>,
) -> Status {
    run(|| {
        let length = required(length, "length")?;
        // SAFETY: the caller's clause.
        let key = unsafe { key.get("key") }?;
        // SAFETY: the caller's clause.
        let room = unsafe { raw::room(bytes.cast::<u8>(), room, "bytes") }?;
        let read = store.with(|store| Ok(store.read(key)?))?;
        let read = read.ok_or(Fault::NotStored)?;
        raw::fill(room, length, read.len(), read.into_iter())
    })
}

/// Tells what is leased and where its first replica is.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_lease_describe(
    lease: LeaseHandle,
    out: Option<&mut MaybeUninit<LeaseReport>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        out.write(report(&LEASES.get(lease.id)?));
        Ok(())
    })
}

/// Tells `visit` where the readable replicas are, for readers elsewhere: one descriptor for each part of
/// each, those of one replica together.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_lease_descriptors(
    lease: LeaseHandle,
    visit: DescriptorVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let visit = required(visit, "visit")?;
        let descriptors = LEASES.get(lease.id)?.descriptors();
        // SAFETY: the caller's clause.
        unsafe { tell_descriptors(&descriptors, visit, context) };
        Ok(())
    })
}

/// Writes the bytes of each part to `sizes`, which has room for `room` of them, and their number to
/// `count`.
///
/// Nothing is written to `sizes` if they are more than `room`: the call fails with
/// `MC_STATUS_ARRAY_TOO_SHORT`. `sizes` may be null if `room` is 0. Any thread may call this. Fails also
/// with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// Room for `room` numbers begins at `sizes`, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_lease_parts(
    lease: LeaseHandle,
    sizes: *mut u64,
    room: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> Status {
    run(|| {
        let count = required(count, "count")?;
        // SAFETY: the caller's clause.
        let sizes = unsafe { raw::room(sizes, room, "sizes") }?;
        let lease = LEASES.get(lease.id)?;
        let parts = lease.parts();
        raw::fill(sizes, count, parts.len(), parts)
    })
}

/// Copies `length` bytes of the object to `into`, from its byte `offset` on, from the first replica that
/// this process can read. The bytes of parts follow one another. No checksum is compared.
///
/// Any thread may call this. Fails with `MC_STATUS_UNREADABLE` if no replica is in memory of this
/// process, `MC_STATUS_INVALID_ARGUMENT` for bytes that the object does not have, and with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; some bytes may have been copied.
///
/// # Safety
///
/// Room for `length` bytes begins at `into`, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_lease_read(
    lease: LeaseHandle,
    offset: u64,
    into: *mut c_void,
    length: usize,
) -> Status {
    run(|| {
        // SAFETY: the caller's clause.
        let into = unsafe { raw::bytes_mut(into.cast::<u8>(), length, "into") }?;
        let lease = LEASES.get(lease.id)?;
        Ok(lease.read_at(offset, into)?)
    })
}

/// Copies all bytes of the object to `bytes`, which has room for `room` of them, and writes their number
/// to `length`. If a checksum was taken at the commit or said by the writer, it is compared.
///
/// Nothing is written to `bytes` if they are more than `room`: the call fails with
/// `MC_STATUS_ARRAY_TOO_SHORT`. `bytes` may be null if `room` is 0. Any thread may call this. Fails also
/// with `MC_STATUS_CORRUPT` if no replica has the bytes of the checksum, `MC_STATUS_UNREADABLE` if none is
/// in memory of this process, and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// Room for `room` bytes begins at `bytes`, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_lease_read_all(
    lease: LeaseHandle,
    bytes: *mut c_void,
    room: usize,
    length: Option<&mut MaybeUninit<usize>>,
) -> Status {
    run(|| {
        let length = required(length, "length")?;
        // SAFETY: the caller's clause.
        let room = unsafe { raw::room(bytes.cast::<u8>(), room, "bytes") }?;
        let lease = LEASES.get(lease.id)?;
        let size = usize::try_from(lease.size()).unwrap_or(usize::MAX);
        // So that nothing is read in vain.
        if room.len() < size {
            return raw::fill(room, length, size, std::iter::empty());
        }
        let read = lease.read()?;
        raw::fill(room, length, read.len(), read.into_iter())
    })
}

/// Ends a lease; its handle is stale from then on. A time that was asked for goes on.
///
/// Any thread may call this; calls in progress keep the object until they have finished. Fails with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_lease_release(lease: LeaseHandle) -> Status {
    run(|| {
        drop(LEASES.take(lease.id)?);
        Ok(())
    })
}

fn keep(lease: Option<Lease>, out: &mut MaybeUninit<LeaseHandle>) -> Result<(), Fault> {
    let Some(lease) = lease else {
        return Err(Fault::NotStored);
    };
    let id = LEASES.insert(lease)?;
    out.write(LeaseHandle { id });
    Ok(())
}

fn report(lease: &Lease) -> LeaseReport {
    let readable = || lease.replicas().filter(|replica| replica.is_readable());
    let checksum = lease.checksum();
    let report = LeaseReport {
        size: lease.size(),
        parts: lease.parts().len() as u64,
        readable: readable().count() as u64,
        checksum: checksum.unwrap_or(0),
        has_checksum: u32::from(checksum.is_some()),
        ..LeaseReport::default()
    };
    readable().next().map_or(report, |first| LeaseReport {
        segment: SegmentNumber::of(first.segment_id()),
        epoch: first.epoch(),
        address: first.address(),
        ..report
    })
}
