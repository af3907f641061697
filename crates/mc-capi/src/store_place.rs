//! Space in the segments of a store for whoever keeps his own keys.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and bytes are the caller's"
)]

use std::{ffi::c_void, mem::MaybeUninit};

use mc_segment::{BufferDescriptor, PlaceRequest, PlacedBuffer};

use crate::{
    call::run,
    descriptor::{DescriptorVisitor, tell_descriptors},
    exclusive::Exclusive,
    fault::Fault,
    kind::Kind,
    raw::{self, required},
    status::Status,
    store::StoreHandle,
    store_put::PutTerms,
};

static PLACEMENTS: Exclusive<Vec<PlacedBuffer>> = Exclusive::new(Kind::Placement);

/// Names space without a key. A value with `id` 0 names none.
///
/// Copies name the same space; `mc_placement_free` makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PlacementHandle {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// Finds space for replicas in the segments of a store, without a key: it is neither found nor evicted nor
/// moved, and nobody leaves for it.
///
/// Of the options, size, alignment, pieces, replicas, host and the two lists of segments count. The caller
/// owns the space and ends it with `mc_placement_free`. Any thread may call this. Fails with
/// `MC_STATUS_NO_SPACE` if too few segments have a hole, `MC_STATUS_TOO_LARGE` if none could ever take it,
/// `MC_STATUS_INVALID_ARGUMENT`, also for parts, and with `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`; nothing changed then.
///
/// # Safety
///
/// As `mc_store_put`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_place(
    store: StoreHandle,
    options: Option<&PutTerms>,
    out: Option<&mut MaybeUninit<PlacementHandle>>,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        if options.part_count != 0 {
            let accepted = "0 for space without a key";
            let parts = options.part_count as u64;
            return Err(Fault::option("part_count", parts, accepted));
        }
        // SAFETY: the caller's clause.
        let borrowed = unsafe { options.borrow() }?;
        let request = borrowed.request();
        let request = PlaceRequest {
            align: request.align,
            max_extents: request.max_extents,
            replicas: request.replicas,
            preferred: request.preferred,
            excluded: request.excluded,
            host: request.host,
            ..PlaceRequest::new(request.size)
        };
        let buffers = store.with(|store| Ok(store.pool().place(&request)?))?;
        let id = PLACEMENTS.insert(buffers)?;
        out.write(PlacementHandle { id });
        Ok(())
    })
}

/// Tells `visit` where the replicas are, one descriptor for each.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_placement_descriptors(
    placement: PlacementHandle,
    visit: DescriptorVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let visit = required(visit, "visit")?;
        let describe = |buffers: &mut [PlacedBuffer]| -> Result<Vec<BufferDescriptor>, Fault> {
            Ok(buffers.iter().map(PlacedBuffer::descriptor).collect())
        };
        let descriptors = placement.with(describe)?;
        // SAFETY: the caller's clause.
        unsafe { tell_descriptors(&descriptors, visit, context) };
        Ok(())
    })
}

/// Copies `length` bytes to every replica, from the byte `offset` of it on.
///
/// Any thread may call this; of several for one placement, each waits for the others. Fails with
/// `MC_STATUS_UNREADABLE` if a replica is not in memory of this process or its segment went away,
/// `MC_STATUS_INVALID_ARGUMENT` for bytes that it does not have, and with `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`; some bytes may have been written.
///
/// # Safety
///
/// `length` bytes begin at `bytes`, and nobody writes them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_placement_write(
    placement: PlacementHandle,
    offset: u64,
    bytes: *const c_void,
    length: usize,
) -> Status {
    run(|| {
        // SAFETY: the caller's clause.
        let bytes = unsafe { raw::array(bytes.cast::<u8>(), length, "bytes") }?;
        placement.with(|buffers| {
            for buffer in buffers {
                buffer.write_at(offset, bytes)?;
            }
            Ok(())
        })
    })
}

/// Copies `length` bytes of the first replica that this process can read to `into`, from the byte `offset`
/// of it on. Fails as `mc_placement_write`.
///
/// # Safety
///
/// Room for `length` bytes begins at `into`, and nobody else uses it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_placement_read(
    placement: PlacementHandle,
    offset: u64,
    into: *mut c_void,
    length: usize,
) -> Status {
    run(|| {
        // SAFETY: the caller's clause.
        let into = unsafe { raw::bytes_mut(into.cast::<u8>(), length, "into") }?;
        placement.with(|buffers| {
            let mut first = Ok(());
            for buffer in buffers {
                match buffer.read_at(offset, into) {
                    Ok(()) => return Ok(()),
                    Err(error) => first = first.and(Err(error)),
                }
            }
            Ok(first?)
        })
    })
}

/// Gives space back. The handle is stale from then on.
///
/// Any thread may call this; it waits for reads and writes in progress. Fails with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_placement_free(placement: PlacementHandle) -> Status {
    run(|| PLACEMENTS.take(placement.id).map(drop))
}

impl PlacementHandle {
    /// Calls `operate` with the replicas, beside which nobody else uses them.
    fn with<R>(
        self,
        operate: impl FnOnce(&mut [PlacedBuffer]) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        PLACEMENTS.with(self.id, |buffers| operate(buffers))
    }
}
