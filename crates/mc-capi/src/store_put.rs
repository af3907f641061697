//! Puts: space first, the key when the bytes are there.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and keys and bytes are the caller's"
)]

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    ptr,
    time::Duration,
};

use mc_segment::{ReplicaPolicy, Replicas, SegmentId};
use mc_store::{Put, PutRequest};

use crate::{
    arguments::{self, seconds, seconds_if_any, struct_bytes},
    call::run,
    descriptor::{DescriptorVisitor, tell_descriptors},
    exclusive::Exclusive,
    fault::Fault,
    key::Key,
    kind::Kind,
    raw::{self, required},
    segment_options::SegmentNumber,
    status::Status,
    store::StoreHandle,
};

static PUTS: Exclusive<Put> = Exclusive::new(Kind::Put);

/// Names a put. A value with `id` 0 names none.
///
/// Copies name the same put; `mc_put_commit` and `mc_put_abort` make all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PutHandle {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// What an object needs, for as long as it lives.
///
/// `mc_put_options_default` fills in all fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PutTerms {
    /// The library's: what `mc_put_options_default` wrote.
    pub struct_bytes: usize,
    /// Bytes of each replica, if it is of one part.
    pub size: u64,
    /// Bytes of each part, for an object of `part_count` parts that are all stored or none is; null for
    /// one of `size` bytes.
    pub parts: *const u64,
    /// How many parts there are; 0 for an object of `size` bytes.
    pub part_count: usize,
    /// A power of two, in bytes: all pieces and parts begin at addresses that are multiples of it.
    pub align: u64,
    /// Pieces that a replica may be in, at least 1.
    pub extents_max: u32,
    /// How many copies.
    pub replicas: u32,
    /// How few copies are enough; 0 for all of them.
    pub replicas_least: u32,
    /// Objects of a lower one leave before those of a higher one; from -128 to 127.
    pub priority: i32,
    /// The writer's host; null if it is not known.
    pub host: *const c_char,
    /// The tenant whose object it is; null for none.
    pub tenant: *const c_char,
    /// Key of the object before this one in its prompt, which leaves after it; none if it starts at null.
    pub parent: Key,
    /// Segments to be tried first, in this order.
    pub preferred: *const SegmentNumber,
    /// How many there are.
    pub preferred_count: usize,
    /// Segments that must not be used, now or later.
    pub excluded: *const SegmentNumber,
    /// How many there are.
    pub excluded_count: usize,
    /// The time to compute the object again; 0 if it is not known.
    pub cost_seconds: f64,
    /// A time of `mc_store_now` until which the object leaves only if nothing else can; 0 for none.
    pub keep_until_seconds: f64,
    /// The time until the commit; 0 for that of the options of the store.
    pub deadline_seconds: f64,
}

/// What a put has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct PutReport {
    /// The segment of the first replica.
    pub segment: SegmentNumber,
    /// The incarnation of its memory.
    pub epoch: u64,
    /// Address of the first byte: for an object of one part in one piece, all there is to know.
    pub address: u64,
    /// How many replicas there are; 0 once the deadline has passed.
    pub replicas: u64,
    /// The time until the deadline.
    pub left_seconds: f64,
}

/// Returns the defaults for one copy of `size` bytes in one piece anywhere.
///
/// Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_put_options_default(size: u64) -> PutTerms {
    let request = PutRequest::new(size);
    PutTerms {
        struct_bytes: size_of::<PutTerms>(),
        size,
        parts: ptr::null(),
        part_count: 0,
        align: request.align,
        extents_max: request.max_extents,
        replicas: request.replicas.count,
        replicas_least: 0,
        priority: request.priority.into(),
        host: ptr::null(),
        tenant: ptr::null(),
        parent: Key {
            start: ptr::null(),
            bytes: 0,
        },
        preferred: ptr::null(),
        preferred_count: 0,
        excluded: ptr::null(),
        excluded_count: 0,
        cost_seconds: 0.0,
        keep_until_seconds: 0.0,
        deadline_seconds: 0.0,
    }
}

/// Finds space for an object, for which others leave if there is no room.
///
/// The caller owns the put, which is never evicted, and ends it with `mc_put_commit` or `mc_put_abort`;
/// its deadline ends it too. Nobody finds the object before it is committed. Any thread may call this.
///
/// Fails with `MC_STATUS_EXISTS` or `MC_STATUS_IN_FLIGHT` for a key that is stored or being put,
/// `MC_STATUS_NO_SPACE` if all that may leave would not make room, `MC_STATUS_TOO_LARGE` if no segment
/// could ever take it or the options do not allow it, `MC_STATUS_QUOTA_EXCEEDED`,
/// `MC_STATUS_INVALID_ARGUMENT`, `MC_STATUS_JOURNAL`, and with `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`; nothing changed then. `mc_error_figures` has the numbers.
///
/// # Safety
///
/// `bytes` of each key begin at its `start`, texts end with a zero byte, and arrays have as many elements
/// as is said; nobody writes any of them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_put(
    store: StoreHandle,
    key: Key,
    options: Option<&PutTerms>,
    out: Option<&mut MaybeUninit<PutHandle>>,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        // SAFETY: the caller's clause.
        let key = unsafe { key.get("key") }?;
        // SAFETY: the caller's clause.
        let borrowed = unsafe { options.borrow() }?;
        let put = store.with(|store| Ok(store.put(key, &borrowed.request())?))?;
        let id = PUTS.insert(put)?;
        out.write(PutHandle { id });
        Ok(())
    })
}

/// Tells where the first replica is, and the time until the deadline.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_put_describe(
    put: PutHandle,
    out: Option<&mut MaybeUninit<PutReport>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        out.write(put.with(|put| {
            let space = put.replicas();
            let first = space.first();
            let report = PutReport {
                replicas: space.len() as u64,
                left_seconds: put.left().as_secs_f64(),
                ..PutReport::default()
            };
            Ok(first.map_or(report, |first| PutReport {
                segment: SegmentNumber::of(first.segment_id()),
                epoch: first.epoch(),
                address: first.address(),
                ..report
            }))
        })?);
        Ok(())
    })
}

/// Tells `visit` where the replicas are, for writers elsewhere: one descriptor for each part of each,
/// those of one replica together; nothing if the deadline has passed.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_put_descriptors(
    put: PutHandle,
    visit: DescriptorVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let visit = required(visit, "visit")?;
        let descriptors = put.with(|put| Ok(put.descriptors()))?;
        // SAFETY: the caller's clause.
        unsafe { tell_descriptors(&descriptors, visit, context) };
        Ok(())
    })
}

/// Copies `length` bytes to every replica, from the byte `offset` of the object on. The bytes of parts
/// follow one another.
///
/// Any thread may call this; of several for one put, each waits for the others. Fails with
/// `MC_STATUS_EXPIRED` if the deadline has passed, `MC_STATUS_UNREADABLE` if a replica is not in memory of
/// this process, `MC_STATUS_INVALID_ARGUMENT` for bytes that the object does not have, and with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; some bytes may have been written.
///
/// # Safety
///
/// `length` bytes begin at `bytes`, and nobody writes them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_put_write(
    put: PutHandle,
    offset: u64,
    bytes: *const c_void,
    length: usize,
) -> Status {
    run(|| {
        // SAFETY: the caller's clause.
        let bytes = unsafe { raw::array(bytes.cast::<u8>(), length, "bytes") }?;
        put.with(|put| Ok(put.write(offset, bytes)?))
    })
}

/// Says what CRC-32 the bytes have, as whoever writes them knows it: readers are told, and it is compared
/// where the library reads the object.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_put_set_checksum(put: PutHandle, checksum: u32) -> Status {
    run(|| {
        put.with(|put| {
            put.set_checksum(checksum);
            Ok(())
        })
    })
}

/// Makes the object readable under its key. The handle is stale from then on, whatever comes of it.
///
/// Any thread may call this; it waits for writes in progress. Fails with `MC_STATUS_EXPIRED`,
/// `MC_STATUS_UNREADABLE` if the segments went away, and `MC_STATUS_JOURNAL`: the object is not stored
/// then, and its space is given back. Fails also with `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_put_commit(put: PutHandle) -> Status {
    run(|| Ok(PUTS.take(put.id)?.commit()?))
}

/// Gives space and key back. The handle is stale from then on.
///
/// Any thread may call this; it waits for writes in progress. Fails with `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_put_abort(put: PutHandle) -> Status {
    run(|| PUTS.take(put.id).map(drop))
}

impl PutHandle {
    /// Calls `operate` with the put, beside which nobody else uses it.
    fn with<R>(self, operate: impl FnOnce(&mut Put) -> Result<R, Fault>) -> Result<R, Fault> {
        PUTS.with(self.id, operate)
    }
}

/// What a request of the caller says, checked, with the lists that it refers to.
pub(crate) struct Borrowed<'a> {
    terms: &'a PutTerms,
    parts: &'a [u64],
    priority: i8,
    host: &'a str,
    tenant: Option<&'a str>,
    parent: Option<&'a [u8]>,
    preferred: Vec<SegmentId>,
    excluded: Vec<SegmentId>,
    cost: Duration,
    keep_until: Option<Duration>,
    deadline: Option<Duration>,
}

impl PutTerms {
    /// Returns what the options say, which checks the numbers.
    ///
    /// # Safety
    ///
    /// Texts end with a zero byte, keys and arrays have as many elements as is said, and nobody writes
    /// them during `'a`.
    pub(crate) unsafe fn borrow<'a>(&'a self) -> Result<Borrowed<'a>, Fault> {
        struct_bytes::<Self>(self.struct_bytes)?;
        let priority = i8::try_from(self.priority).map_err(|_| Fault::Priority {
            priority: self.priority,
        })?;
        // SAFETY: the caller's clause, as for the other five.
        let parts = unsafe { raw::array(self.parts, self.part_count, "parts") }?;
        // SAFETY: as above.
        let host = unsafe { arguments::text(self.host, "host") }?;
        // SAFETY: as above.
        let tenant = unsafe { arguments::text_or_null(self.tenant, "tenant") }?;
        // SAFETY: as above.
        let parent = unsafe { self.parent.get_if_any("parent") }?;
        // SAFETY: as above.
        let preferred = unsafe { ids(self.preferred, self.preferred_count, "preferred") }?;
        // SAFETY: as above.
        let excluded = unsafe { ids(self.excluded, self.excluded_count, "excluded") }?;
        Ok(Borrowed {
            terms: self,
            parts,
            priority,
            host,
            tenant,
            parent,
            preferred,
            excluded,
            cost: seconds(self.cost_seconds, "cost_seconds")?,
            keep_until: seconds_if_any(self.keep_until_seconds, "keep_until_seconds")?,
            deadline: seconds_if_any(self.deadline_seconds, "deadline_seconds")?,
        })
    }
}

impl Borrowed<'_> {
    pub(crate) fn request(&self) -> PutRequest<'_> {
        let policy = match self.terms.replicas_least {
            0 => ReplicaPolicy::Exact,
            least => ReplicaPolicy::AtLeast(least),
        };
        PutRequest {
            parts: self.parts,
            align: self.terms.align,
            max_extents: self.terms.extents_max,
            replicas: Replicas {
                count: self.terms.replicas,
                policy,
            },
            host: self.host,
            parent: self.parent,
            tenant: self.tenant,
            priority: self.priority,
            keep_until: self.keep_until,
            cost: self.cost,
            preferred: &self.preferred,
            excluded: &self.excluded,
            deadline: self.deadline,
            ..PutRequest::new(self.terms.size)
        }
    }
}

/// Returns a list of segments.
///
/// # Safety
///
/// As [`raw::array`].
unsafe fn ids(
    start: *const SegmentNumber,
    count: usize,
    argument: &'static str,
) -> Result<Vec<SegmentId>, Fault> {
    // SAFETY: the caller's clause.
    let numbers = unsafe { raw::array(start, count, argument) }?;
    Ok(numbers.iter().map(|number| number.id()).collect())
}
