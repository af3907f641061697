//! What can go wrong, one enum per operation.

use alloc::collections::TryReserveError;
use core::fmt;

use thiserror::Error;

use crate::{allocation::Allocation, slab::SlabFull};

/// Why an allocator could not be made from its [`Options`](crate::Options).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The capacity is zero.
    #[error("the capacity is 0 bytes; at least one granule is needed")]
    ZeroCapacity,
    /// The granule is zero.
    #[error("the granule is 0 bytes; at least 1 is needed")]
    ZeroGranule,
    /// The capacity is not a multiple of the granule, so that its last bytes
    /// could never be used.
    #[error("the capacity of {capacity} bytes is not a multiple of the granule of {granule_bytes}")]
    CapacityNotGranular {
        /// The capacity asked for, in bytes.
        capacity: u64,
        /// The granule asked for.
        granule_bytes: u64,
    },
    /// A good fit that looks at no hole at all.
    #[error("good fit with 0 probes; at least 1 is needed")]
    ZeroProbes,
    /// The limit on live allocations is zero.
    #[error("a limit of 0 allocations; leave it out for no limit")]
    ZeroAllocations,
    /// The last byte would have no address of 64 bits.
    #[error("base {base:#x} and a capacity of {capacity} bytes pass the end of the address space")]
    BaseTooHigh {
        /// The base asked for.
        base: u64,
        /// Bytes in all.
        capacity: u64,
    },
    /// The heap has no room for the first nodes.
    #[error("the heap has no room for the node table")]
    OutOfMemory,
}

impl From<SlabFull> for OptionsError {
    fn from(SlabFull: SlabFull) -> Self {
        Self::OutOfMemory
    }
}

/// An entry of a list to restore from, as a [`RestoreError`] names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreEntry {
    /// Place in the list, from 0.
    pub position: usize,
    /// Offset of the first byte.
    pub offset: u64,
    /// Bytes asked for.
    pub size: u64,
}

impl fmt::Display for RestoreEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            position,
            offset,
            size,
        } = self;
        write!(f, "entry {position} ({size} bytes at offset {offset})")
    }
}

/// Why an allocator could not be rebuilt from a list of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// There is no allocator with these options.
    #[error("no allocator fits these options")]
    Options(#[from] OptionsError),
    /// The entry has no bytes.
    #[error("{entry} is empty")]
    ZeroSize {
        /// The entry at fault.
        entry: RestoreEntry,
    },
    /// The entry begins where no allocation can.
    #[error("{entry} does not begin at a multiple of the granule of {granule_bytes} bytes")]
    OffGranule {
        /// The entry at fault.
        entry: RestoreEntry,
        /// The granule of the options.
        granule_bytes: u64,
    },
    /// What the entry is charged reaches past the end of the range.
    #[error("{entry} takes bytes beyond the capacity of {capacity}")]
    BeyondCapacity {
        /// The entry at fault.
        entry: RestoreEntry,
        /// Bytes in all.
        capacity: u64,
    },
    /// Two entries claim the same bytes.
    #[error("{entry} begins before offset {other_end}, where {other} ends")]
    Overlap {
        /// Of the two, the one with the higher offset; of equal offsets, the
        /// later in the list.
        entry: RestoreEntry,
        /// The one that it begins in.
        other: RestoreEntry,
        /// Offset behind the last byte that `other` is charged.
        other_end: u64,
    },
    /// The list is longer than the limit on live allocations.
    #[error("{entry} exceeds the limit of {limit} live allocations")]
    LimitReached {
        /// The first entry too many.
        entry: RestoreEntry,
        /// The limit in the options.
        limit: u32,
    },
    /// The heap has no room for the tables or the tokens.
    #[error("the heap has no room for the restored tables")]
    OutOfMemory,
}

impl From<SlabFull> for RestoreError {
    fn from(SlabFull: SlabFull) -> Self {
        Self::OutOfMemory
    }
}

impl From<TryReserveError> for RestoreError {
    fn from(_: TryReserveError) -> Self {
        Self::OutOfMemory
    }
}

/// Why bytes are not an encoded [`Snapshot`](crate::Snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not begin like a snapshot.
    #[error("the bytes do not begin with the mark of a snapshot")]
    NotSnapshot,
    /// The snapshot has a version that this crate cannot read.
    #[error("snapshot version {version}; only version {supported} can be read")]
    UnknownVersion {
        /// The version found.
        version: u32,
        /// The version that can be read.
        supported: u32,
    },
    /// Bytes are missing at the end, or follow it.
    #[error("a snapshot of {actual_bytes} bytes that should have {expected_bytes}")]
    WrongLength {
        /// What the header says; of a cut header, the least it could say.
        expected_bytes: u64,
        /// Bytes given.
        actual_bytes: u64,
    },
    /// Bytes were changed.
    #[error("checksum {computed:#010x} where {stored:#010x} is stored")]
    Checksum {
        /// The checksum at the end of the bytes.
        stored: u32,
        /// The checksum of the bytes before it.
        computed: u32,
    },
    /// This crate has no such rule of placement.
    #[error("no fit has the code {code} with the parameter {parameter}")]
    UnknownFit {
        /// The code found.
        code: u32,
        /// The parameter found.
        parameter: u32,
    },
    /// The entry has a lower offset than the one before it.
    #[error("{entry} follows one at offset {offset_before}")]
    Unsorted {
        /// The entry at fault.
        entry: RestoreEntry,
        /// Offset of the entry before.
        offset_before: u64,
    },
    /// No allocator has these options or these allocations.
    #[error("the snapshot describes no allocator")]
    Contents(#[from] RestoreError),
    /// The heap has no room for the entries.
    #[error("the heap has no room for the entries of the snapshot")]
    OutOfMemory,
}

/// Why a request got no space; the allocator is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AllocError {
    /// A request for no bytes.
    #[error("a request of 0 bytes; at least 1 is needed")]
    ZeroSize,
    /// The alignment is not a power of two.
    #[error("the alignment of {align} bytes is not a power of two")]
    AlignNotPowerOfTwo {
        /// The alignment asked for, in bytes.
        align: u64,
    },
    /// Larger than the whole range: evicting cannot help.
    #[error("a request of {asked} bytes exceeds the capacity of {capacity}")]
    TooLarge {
        /// Bytes asked for.
        asked: u64,
        /// Bytes in all.
        capacity: u64,
    },
    /// No hole takes the request. Where `free >= asked` the space is there in
    /// pieces, otherwise something has to be freed first.
    #[error(
        "no hole for {asked} bytes: {free} bytes are free, the largest hole has {largest_hole}"
    )]
    NoHole {
        /// Bytes asked for.
        asked: u64,
        /// Free bytes in all holes.
        free: u64,
        /// Bytes of the largest hole, as
        /// [`largest_hole`](crate::OffsetAllocator::largest_hole) tells them.
        largest_hole: u64,
    },
    /// A request for no pieces.
    #[error("a request in 0 extents; at least 1 is needed")]
    ZeroExtents,
    /// As many allocations are live as the options allow.
    #[error("the limit of {limit} live allocations is reached")]
    LimitReached {
        /// The limit in force.
        limit: u32,
    },
    /// The heap has no room for another node.
    #[error("the heap has no room for another node")]
    OutOfMemory,
}

impl From<SlabFull> for AllocError {
    fn from(SlabFull: SlabFull) -> Self {
        Self::OutOfMemory
    }
}

/// Why an allocation could not be placed at an offset; the allocator is as it
/// was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The offset is not a multiple of the granule.
    #[error("offset {offset} is not a multiple of the granule of {granule_bytes} bytes")]
    OffGranule {
        /// The offset asked for.
        offset: u64,
        /// The granule in force.
        granule_bytes: u64,
    },
    /// The bytes asked for, or what they are charged as, pass the end.
    #[error("{size} bytes at offset {offset} pass the capacity of {capacity}")]
    OutOfRange {
        /// The offset asked for.
        offset: u64,
        /// Bytes asked for.
        size: u64,
        /// Bytes in all.
        capacity: u64,
    },
    /// An allocation is in the way.
    #[error("the place is occupied by {} bytes at offset {}", by.size(), by.offset())]
    Occupied {
        /// The first allocation in the way.
        by: Allocation,
    },
    /// What would refuse the request at any offset.
    #[error(transparent)]
    Refused(#[from] AllocError),
}

impl From<SlabFull> for PlaceError {
    fn from(SlabFull: SlabFull) -> Self {
        Self::Refused(AllocError::OutOfMemory)
    }
}

/// Why the end of the range stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CapacityError {
    /// No range has this end: it is 0 or off the granule.
    #[error(
        "a capacity of {asked} bytes is not a multiple of the granule of {granule_bytes} bytes above 0"
    )]
    NotGranular {
        /// The capacity asked for, in bytes.
        asked: u64,
        /// The granule in force, in bytes.
        granule_bytes: u64,
    },
    /// A range that was to grow would shrink.
    #[error("a range of {capacity} bytes cannot grow to {asked} bytes")]
    NotLarger {
        /// The capacity asked for, in bytes.
        asked: u64,
        /// The capacity in force, in bytes.
        capacity: u64,
    },
    /// A range that was to shrink would grow.
    #[error("a range of {capacity} bytes cannot shrink to {asked} bytes")]
    NotSmaller {
        /// The capacity asked for, in bytes.
        asked: u64,
        /// The capacity in force, in bytes.
        capacity: u64,
    },
    /// An allocation reaches behind the new end.
    #[error("{} bytes at offset {} reach behind a capacity of {asked} bytes", by.size(), by.offset())]
    Occupied {
        /// The capacity asked for, in bytes.
        asked: u64,
        /// The last allocation of the range.
        by: Allocation,
    },
    /// The last byte of a shared range would have no address of 64 bits.
    #[error("base {base:#x} and a capacity of {asked} bytes pass the end of the address space")]
    PastAddressSpace {
        /// The capacity asked for, in bytes.
        asked: u64,
        /// The address at which the range begins.
        base: u64,
    },
    /// The heap has no room for the new hole.
    #[error("the heap has no room for another hole")]
    OutOfMemory,
}

impl From<SlabFull> for CapacityError {
    fn from(SlabFull: SlabFull) -> Self {
        Self::OutOfMemory
    }
}

/// Why an allocation keeps its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResizeError {
    /// A new size of no bytes.
    #[error("a new size of 0 bytes; free the allocation instead")]
    ZeroSize,
    /// The bytes up to the next allocation are too few.
    #[error("{asked} bytes do not fit in the {available} up to the next allocation")]
    NoRoom {
        /// Bytes asked for.
        asked: u64,
        /// Bytes from the allocation's offset to the next allocation.
        available: u64,
    },
    /// The token is not live, or the heap has no room for the rest's hole.
    #[error(transparent)]
    Refused(#[from] FreeError),
}

impl From<SlabFull> for ResizeError {
    fn from(SlabFull: SlabFull) -> Self {
        Self::Refused(FreeError::OutOfMemory)
    }
}

/// Why a token could not be freed; the allocator is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FreeError {
    /// The token was freed before, or another allocator gave it.
    #[error("no live allocation of this allocator: {size} bytes at offset {offset}")]
    NotLive {
        /// The token's offset.
        offset: u64,
        /// The token's size in bytes.
        size: u64,
    },
    /// The heap has no room to record the hole; the allocation stays live.
    #[error("the heap has no room to record a hole")]
    OutOfMemory,
}

impl FreeError {
    #[cold]
    pub(crate) fn not_live(allocation: Allocation) -> Self {
        Self::NotLive {
            offset: allocation.offset(),
            size: allocation.size(),
        }
    }
}

impl From<SlabFull> for FreeError {
    fn from(SlabFull: SlabFull) -> Self {
        Self::OutOfMemory
    }
}
