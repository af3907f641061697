//! What a segment is, as C says it.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and texts are the caller's"
)]

use std::{
    ffi::c_char,
    ptr,
    time::{SystemTime, UNIX_EPOCH},
};

use mc_offset::Options;
use mc_segment::{
    Memory, RegistrationLimit, Segment, SegmentId, SegmentInfo, SegmentOptions as Placing,
};

use crate::{
    arguments::{self, struct_bytes},
    fault::Fault,
    offset_options::{self, MC_FIT_ADAPTIVE},
    pool::PoolHandle,
};

/// The identity of a segment, unique among all segments of a store: a number of 128 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SegmentNumber {
    /// Its upper 64 bits.
    pub high: u64,
    /// Its lower 64 bits.
    pub low: u64,
}

/// What a segment is: a range of memory that objects are placed in.
///
/// `mc_segment_options_default` fills in all fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SegmentTerms {
    /// The library's: what `mc_segment_options_default` wrote.
    pub struct_bytes: usize,
    /// The identity.
    pub id: SegmentNumber,
    /// The name; two replicas of an object are never under the same. Null makes one of the id.
    pub name: *const c_char,
    /// The host whose memory it is; null if that is not known.
    pub host: *const c_char,
    /// Where a transport reaches the segment; address ranges on one endpoint must not overlap. Null makes
    /// one of name and id.
    pub endpoint: *const c_char,
    /// How a transport reaches it; null is `tcp`.
    pub protocol: *const c_char,
    /// Address of the first byte, from which descriptors count: that of the memory, if addresses are to
    /// be pointers in this process.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// The incarnation of the memory, which its owner counts up when the bytes in it are lost. One above
    /// that of a segment mounted under the id replaces it. 0 takes that of the memory's file; memory
    /// without one gets, in a store with a directory, that of the segment mounted under the id, or else a
    /// new one, as its bytes end with the process.
    pub epoch: u64,
    /// The memory that the library reads and writes; with `id` 0, that of another host.
    pub memory: PoolHandle,
    /// Where in the memory the segment begins, in bytes.
    pub memory_start: u64,
    /// Bytes to whose multiples objects are charged and placed; a power of two that divides base and
    /// size.
    pub granule: u64,
    /// One of the `MC_FIT_` constants.
    pub fit: u32,
    /// As in `mc_offset_options`.
    pub probes: u32,
    /// The most pieces of objects that may be live at once; 0 for no limit.
    pub max_allocations: u32,
    /// Must be 0.
    pub reserved: u32,
    /// The most bytes that a device registers at once, which no object straddles; 0 for no limit.
    pub registration_bytes_max: u64,
    /// Registrations are cut at multiples of this power of two; not looked at without a limit.
    pub registration_align: u64,
}

/// Returns the defaults for `size` bytes from `base` on: another host's memory of epoch 0, byte granule,
/// adaptive fit, no limits.
///
/// Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_segment_options_default(
    id: SegmentNumber,
    base: u64,
    size: u64,
) -> SegmentTerms {
    SegmentTerms {
        struct_bytes: size_of::<SegmentTerms>(),
        id,
        name: ptr::null(),
        host: ptr::null(),
        endpoint: ptr::null(),
        protocol: ptr::null(),
        base,
        size,
        epoch: 0,
        memory: PoolHandle::default(),
        memory_start: 0,
        granule: 1,
        fit: MC_FIT_ADAPTIVE,
        probes: 0,
        max_allocations: 0,
        reserved: 0,
        registration_bytes_max: 0,
        registration_align: 1,
    }
}

/// A segment as often as it is needed.
pub(crate) struct Described {
    info: SegmentInfo,
    memory: Memory,
    /// Whether the bytes end with the process and no epoch was given for them.
    is_fleeting: bool,
}

impl SegmentNumber {
    pub(crate) fn of(id: SegmentId) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
        Self {
            high: (id.0 >> 64) as u64,
            low: id.0 as u64,
        }
    }

    pub(crate) fn id(self) -> SegmentId {
        SegmentId(u128::from(self.high) << 64 | u128::from(self.low))
    }
}

impl SegmentTerms {
    /// Returns the segment, which checks the numbers. `fleeting_epoch` is that of memory which ends with the
    /// process, where none is given.
    ///
    /// # Safety
    ///
    /// Unless they are null, the texts end with a zero byte, and nobody writes them during the call.
    pub(crate) unsafe fn described(&self, fleeting_epoch: u64) -> Result<Described, Fault> {
        struct_bytes::<Self>(self.struct_bytes)?;
        if self.reserved != 0 {
            return Err(Fault::option("reserved", self.reserved, "0"));
        }
        // SAFETY: the caller's clause, as for the other three.
        let name = unsafe { arguments::text(self.name, "name") }?;
        // SAFETY: as above.
        let host = unsafe { arguments::text(self.host, "host") }?;
        // SAFETY: as above.
        let endpoint = unsafe { arguments::text(self.endpoint, "endpoint") }?;
        // SAFETY: as above.
        let protocol = unsafe { arguments::text(self.protocol, "protocol") }?;
        let id = self.id.id();
        let own = format!("{:x}", id.0);
        let (name, own) = match name {
            "" => (own.clone(), own),
            name => (name.to_owned(), format!("{name}/{own}")),
        };
        let mut info = SegmentInfo::new(id, name, self.base, self.size);
        host.clone_into(&mut info.host);
        info.endpoint = if endpoint.is_empty() {
            own
        } else {
            endpoint.to_owned()
        };
        if !protocol.is_empty() {
            protocol.clone_into(&mut info.protocol);
        }
        info.epoch = self.epoch;
        info.options = self.placing()?;
        let memory = self.memory()?;
        let mut is_fleeting = false;
        if let (0, Memory::Pool { bytes, .. }) = (info.epoch, &memory) {
            is_fleeting = bytes.pool().epoch().is_none();
            info.epoch = bytes.pool().epoch().unwrap_or(fleeting_epoch);
        }
        Ok(Described {
            info,
            memory,
            is_fleeting,
        })
    }

    fn placing(&self) -> Result<Placing, Fault> {
        let Options {
            granule,
            fit,
            max_allocations,
            ..
        } = offset_options::options(
            self.size,
            self.granule,
            self.fit,
            self.probes,
            self.max_allocations,
        )?;
        let limit = RegistrationLimit {
            max_bytes: self.registration_bytes_max,
            align: self.registration_align,
        };
        Ok(Placing {
            granule,
            fit,
            max_allocations,
            registration: (limit.max_bytes != 0).then_some(limit),
        })
    }

    fn memory(&self) -> Result<Memory, Fault> {
        if self.memory.id == 0 {
            return match self.memory_start {
                0 => Ok(Memory::Remote),
                start => Err(Fault::option("memory_start", start, "0 without a memory")),
            };
        }
        let start = usize::try_from(self.memory_start).map_err(|_| {
            let accepted = "bytes that fit the address space";
            Fault::option("memory_start", self.memory_start, accepted)
        })?;
        let bytes = self.memory.bytes()?;
        Ok(Memory::Pool { bytes, start })
    }
}

impl Described {
    pub(crate) fn id(&self) -> SegmentId {
        self.info.id
    }

    pub(crate) fn segment(&self) -> Segment {
        Segment::local(self.info.clone(), self.memory.clone())
    }

    /// Returns the segment for a store that had one of an epoch in its directory: fleeting bytes are newer, even
    /// where the clock was set back.
    pub(crate) fn segment_after(&self, epoch: u64) -> Segment {
        let mut info = self.info.clone();
        if let (true, Some(next)) = (self.is_fleeting, epoch.checked_add(1)) {
            info.epoch = info.epoch.max(next);
        }
        Segment::local(info, self.memory.clone())
    }
}

/// Returns an epoch that memory has not had before.
pub(crate) fn nanoseconds_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
